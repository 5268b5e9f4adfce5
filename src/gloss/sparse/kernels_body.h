// The kernels of kernels.h for one instruction set. kernels.cpp includes this several times, each time inside another
// namespace that has defined V (a vector of kLanes floats), kLanes, kAccRows (rows whose sums fit the registers),
// bits_above and square_root; hence no include guard and no includes.

inline V load(const float* p) {
  V v;
  __builtin_memcpy(&v, p, sizeof(v));
  return v;
}
inline void store(float* p, V v) { __builtin_memcpy(p, &v, sizeof(v)); }
inline V broadcast(float x) { return V{} + x; }

inline float sum_lanes(V v) {
  float lanes[kLanes];
  store(lanes, v);
  for (std::size_t half = kLanes / 2; half > 0; half /= 2) {
    for (std::size_t i = 0; i < half; ++i) lanes[i] += lanes[i + half];
  }
  return lanes[0];
}

/// kAccRows x 2 kLanes sums stay in registers over the whole width.
inline void product_part(const float* x, const float* panel, const float* bias, std::size_t width, float* z) {
  V sum[kAccRows][2];
  GLOSS_UNROLL for (std::size_t r = 0; r < kAccRows; ++r) {
    sum[r][0] = load(bias);
    sum[r][1] = load(bias + kLanes);
  }
  for (std::size_t d = 0; d < width; ++d) {
    const V w0 = load(panel + d * kPanel);
    const V w1 = load(panel + d * kPanel + kLanes);
    GLOSS_UNROLL for (std::size_t r = 0; r < kAccRows; ++r) {
      const V value = broadcast(x[d * kRowBlock + r]);
      sum[r][0] += value * w0;
      sum[r][1] += value * w1;
    }
  }
  GLOSS_UNROLL for (std::size_t r = 0; r < kAccRows; ++r) {
    store(z + r * kPanel, sum[r][0]);
    store(z + r * kPanel + kLanes, sum[r][1]);
  }
}

inline void product_block(const float* x, const float* panel, const float* bias, std::size_t width, float* z) {
  for (std::size_t row = 0; row < kRowBlock; row += kAccRows) {
    for (std::size_t column = 0; column < kPanel; column += 2 * kLanes)
      product_part(x + row, panel + column, bias + column, width, z + row * kPanel + column);
  }
}

void product(const float* x, const float* panel, const float* bias, std::size_t width, const float* threshold, float* z,
             std::uint32_t* hits) {
  product_block(x, panel, bias, width, z);
  for (std::size_t row = 0; row < kRowBlock; ++row) {
    const V limit = broadcast(threshold[row]);
    std::uint32_t bits = 0;
    for (std::size_t column = 0; column < kPanel; column += kLanes)
      bits |= bits_above(load(z + row * kPanel + column), limit) << column;
    hits[row] = bits;
  }
}

void product_by_latent(const float* x, const float* panel, const float* bias, std::size_t width, const float* threshold,
                       float* z, std::uint32_t* hits) {
  product_block(x, panel, bias, width, z);
  for (std::size_t row = 0; row < kRowBlock; ++row) {
    std::uint32_t bits = 0;
    for (std::size_t column = 0; column < kPanel; column += kLanes)
      bits |= bits_above(load(z + row * kPanel + column), load(threshold + column)) << column;
    hits[row] = bits;
  }
}

/// Columns [first, first + kVectors * kLanes) of a weighted sum.
template <std::size_t kVectors>
inline void weighted_sum_part(float* out, const float* base, const std::uint32_t* row, const float* weight,
                              std::size_t count, std::size_t width) {
  V sum[kVectors];
  for (std::size_t i = 0; i < kVectors; ++i) sum[i] = load(out + i * kLanes);
  for (std::size_t j = 0; j < count; ++j) {
    const float* from = base + row[j] * width;
    const V w = broadcast(weight[j]);
    for (std::size_t i = 0; i < kVectors; ++i) sum[i] += w * load(from + i * kLanes);
  }
  for (std::size_t i = 0; i < kVectors; ++i) store(out + i * kLanes, sum[i]);
}

void weighted_sum(float* out, const float* base, const std::uint32_t* row, const float* weight, std::size_t count,
                  std::size_t width) {
  constexpr std::size_t kWide = 4;
  std::size_t d = 0;
  for (; d + kWide * kLanes <= width; d += kWide * kLanes)
    weighted_sum_part<kWide>(out + d, base + d, row, weight, count, width);
  for (; d + kLanes <= width; d += kLanes) weighted_sum_part<1>(out + d, base + d, row, weight, count, width);
  for (; d < width; ++d) {
    for (std::size_t j = 0; j < count; ++j) out[d] += weight[j] * base[row[j] * width + d];
  }
}

void dots(float* out, const float* v, const float* base, const std::uint32_t* row, std::size_t count,
          std::size_t width) {
  for (std::size_t j = 0; j < count; ++j) {
    const float* from = base + row[j] * width;
    V even{};
    V odd{};
    std::size_t d = 0;
    for (; d + 2 * kLanes <= width; d += 2 * kLanes) {
      even += load(v + d) * load(from + d);
      odd += load(v + d + kLanes) * load(from + d + kLanes);
    }
    for (; d + kLanes <= width; d += kLanes) even += load(v + d) * load(from + d);
    float sum = sum_lanes(even + odd);
    for (; d < width; ++d) sum += v[d] * from[d];
    out[j] = sum;
  }
}

void adam(float* parameter, float* first, float* second, const float* gradient, std::size_t count,
          const AdamStep& step) {
  const auto update = [&step](V& p, V& m, V& v, V g) {
    g = g * step.scale;
    m = step.beta1 * m + step.rest1 * g;
    v = step.beta2 * v + step.rest2 * (g * g);
    p = p - step.rate * m / (square_root(v) + step.epsilon);
  };
  std::size_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    V p = load(parameter + i);
    V m = load(first + i);
    V v = load(second + i);
    update(p, m, v, load(gradient + i));
    store(parameter + i, p);
    store(first + i, m);
    store(second + i, v);
  }
  for (; i < count; ++i) {  // the same arithmetic in the first lane of a vector
    V p = broadcast(parameter[i]);
    V m = broadcast(first[i]);
    V v = broadcast(second[i]);
    update(p, m, v, broadcast(gradient[i]));
    parameter[i] = p[0];
    first[i] = m[0];
    second[i] = v[0];
  }
}
