#include "gloss/sparse/coder.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <stdexcept>
#include <system_error>
#include <tuple>
#include <utility>

#include "gloss/base/error.h"
#include "gloss/base/hash.h"
#include "gloss/base/natural_order.h"
#include "gloss/base/parallel.h"
#include "gloss/model/torch_tensor.h"
#include "gloss/sparse/encoder.h"
#include "gloss/sparse/format.h"
#include "gloss/sparse/torch_encode.h"

namespace gloss::sparse {
namespace {

constexpr std::size_t kRowsPerTask = 64;

std::size_t threads() { return static_cast<std::size_t>(std::max(1, at::get_num_threads())); }

at::Device find_device(const std::string& name) {
  if (name == "cpu") return at::kCPU;
  if (name != "cuda") fail_unknown_name("device", name, std::vector<std::string>{"cpu", "cuda"});
  if (!at::hasCUDA())
    throw Error(ErrorKind::usage, "", "device 'cuda' is not there: this libtorch has no CUDA, or there is no GPU",
                "use --device cpu");
  return at::kCUDA;
}

at::Tensor to_tensor(const std::vector<float>& values, std::int64_t rows, std::int64_t columns) {
  at::Tensor t = at::empty({rows, columns}, at::kFloat);
  std::copy(values.begin(), values.end(), t.data_ptr<float>());
  return t;
}

/// Row-major f32 in host memory, whatever it was.
at::Tensor on_host(const model::Tensor& t) { return model::unwrap(t).detach().to(at::kCPU, at::kFloat).contiguous(); }

void check_width(const model::Tensor& t, std::uint32_t wanted, std::string_view what) {
  if (t.holder() == nullptr || t.columns() != wanted)
    fail_input("sparse coder", fmt::format("{} has width {}, but the coder's files say {}", what, t.columns(), wanted),
               "was the coder trained on another model or hookpoint?");
}

void check_finite(const at::Tensor& x) {
  const float* values = x.data_ptr<float>();
  const float* end = values + x.numel();
  const float* bad = std::find_if(values, end, [](float v) { return !std::isfinite(v); });
  if (bad != end)
    fail_input("activations",
               fmt::format("row {}, column {} is {}, wanted finite numbers", (bad - values) / x.size(1),
                           (bad - values) % x.size(1), *bad),
               "the model's weights or its precision are at fault");
}

bool is_coder(const std::filesystem::path& path) {
  return std::any_of(formats().begin(), formats().end(),
                     [&](const Format& format) { return !format.files(path).empty(); });
}

bool is_seed_name(std::string_view name) {
  constexpr std::string_view kSeed = "seed";
  return name.starts_with(kSeed) && name.size() > kSeed.size() &&
         std::all_of(name.begin() + kSeed.size(), name.end(), [](char c) { return c >= '0' && c <= '9'; });
}

std::vector<std::string> subfolders(const std::filesystem::path& folder) {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.is_directory()) names.push_back(entry.path().filename().string());
  }
  return names;
}

/// What normalising took from a row, to give it back. Shapes: mean, scale [N, 1]; undefined without normalisation.
struct Scale {
  at::Tensor mean, scale;
};

at::Tensor normalised(const at::Tensor& x, Normalisation how, Scale& taken) {
  constexpr double kEpsilon = 1e-5;
  if (how == Normalisation::layer_norm) {
    taken.mean = x.mean(-1, true);
    const at::Tensor centred = x - taken.mean;
    taken.scale = centred.std(at::IntArrayRef({-1}), true, true);
    return centred / (taken.scale + kEpsilon);
  }
  if (how == Normalisation::constant_norm) {
    taken.scale = x.norm(2, at::IntArrayRef({-1}), true) / std::sqrt(static_cast<double>(x.size(1)));
    return x / taken.scale;
  }
  return x;
}

/// Brings rows into the order of `Encoded` after `value_of(latent, z)`; what is not above 0 goes.
template <class ValueOf>
void finish_rows(Encoded& e, const ValueOf& value_of) {
  std::vector<std::uint64_t> kept(e.rows());
  parallel_for((e.rows() + kRowsPerTask - 1) / kRowsPerTask, threads(), [&](std::size_t task, std::size_t) {
    std::vector<std::pair<float, std::uint32_t>> row;
    for (std::size_t r = task * kRowsPerTask; r < std::min(e.rows(), (task + 1) * kRowsPerTask); ++r) {
      row.clear();
      for (std::uint64_t i = e.offsets[r]; i < e.offsets[r + 1]; ++i) {
        const float value = value_of(e.latent[i], e.value[i]);
        if (value > 0.0F) row.emplace_back(value, e.latent[i]);
      }
      std::sort(row.begin(), row.end(), [](const auto& a, const auto& b) {
        return a.first > b.first || (a.first == b.first && a.second < b.second);
      });
      for (std::size_t i = 0; i < row.size(); ++i)
        std::tie(e.value[e.offsets[r] + i], e.latent[e.offsets[r] + i]) = row[i];
      kept[r] = row.size();
    }
  });
  std::uint64_t to = 0;
  for (std::size_t r = 0; r < kept.size(); ++r) {
    const std::uint64_t from = std::exchange(e.offsets[r], to);
    for (std::uint64_t i = 0; i < kept[r]; ++i, ++to) {
      e.latent[to] = e.latent[from + i];
      e.value[to] = e.value[from + i];
    }
  }
  e.offsets.back() = to;
  e.latent.resize(to);
  e.value.resize(to);
}

/// Rows of K entries, those with value 0 left out.
Encoded without_zeros(const std::vector<std::uint32_t>& latent, const std::vector<float>& value, std::size_t rows,
                      std::uint32_t k) {
  Encoded out;
  out.offsets.reserve(rows + 1);
  out.latent.reserve(latent.size());
  out.value.reserve(value.size());
  for (std::size_t row = 0; row < rows; ++row) {
    for (std::size_t i = row * k; i < (row + 1) * k && value[i] > 0.0F; ++i) {  // descending: zeros come last
      out.latent.push_back(latent[i]);
      out.value.push_back(value[i]);
    }
    out.offsets.push_back(out.value.size());
  }
  return out;
}

}  // namespace

double Fit::fvu() const {
  if (variance > 0.0) return squared_error / variance;
  return squared_error == 0.0 ? 0.0 : std::numeric_limits<double>::infinity();
}

Fit& Fit::operator+=(const Fit& other) {
  squared_error += other.squared_error;
  variance += other.variance;
  norm += other.norm;
  active += other.active;
  rows += other.rows;
  return *this;
}

struct Coder::Impl {
  CoderInfo info;
  std::string fingerprint;
  at::Device device = at::kCPU;
  TopkEncoder topk;  // on the CPU: one of these three, as info.selection says
  GroupmaxEncoder groupmax;
  ThresholdEncoder above;
  at::Tensor w_enc, b_enc, limits;  // elsewhere: [F, D], [F], [F] on the device
  std::vector<float> gain, offset;  // [F] each, or empty
  bool tanh = false, denormalise = true;
  std::vector<float> w_dec;  // [F, O] row-major, empty when the file has none
  std::vector<float> b_dec;  // [O]
  at::Tensor w_skip;         // [O, D] on the host, undefined when there is none

  explicit Impl(CoderInfo neurons) : info(std::move(neurons)) {}
  Impl(CoderData data, at::Device where)
      : info(std::move(data.info)),
        device(where),
        gain(std::move(data.gain)),
        offset(std::move(data.offset)),
        tanh(data.tanh),
        denormalise(data.denormalise),
        w_dec(std::move(data.w_dec)),
        b_dec(std::move(data.b_dec)) {
    info.has_decoder = !w_dec.empty();
    if (data.threshold.empty()) data.threshold.assign(info.latents, 0.0F);
    if (device == at::kCPU) {
      panels().pack(data.w_enc.data(), data.b_enc.data(), info.latents, info.input_width, threads());
      if (info.selection == Selection::threshold) above.set_thresholds(data.threshold);
    } else {
      w_enc = to_tensor(data.w_enc, info.latents, info.input_width).to(device);
      b_enc = to_tensor(data.b_enc, 1, info.latents).view({-1}).to(device);
      limits = to_tensor(data.threshold, 1, info.latents).view({-1}).to(device);
    }
    if (info.skip_connection) w_skip = to_tensor(data.w_skip, info.output_width, info.input_width);
  }

  EncoderPanels& panels() {
    if (info.selection == Selection::topk) return topk;
    if (info.selection == Selection::groupmax) return groupmax;
    return above;
  }
  const EncoderPanels& panels() const { return const_cast<Impl*>(this)->panels(); }

  bool denormalises() const { return denormalise && info.normalisation != Normalisation::none; }

  Encoded select_here(const at::Tensor& x) const {
    const EncoderInput input{x.data_ptr<float>(), info.subtract_bias ? b_dec.data() : nullptr,
                             static_cast<std::size_t>(x.size(0))};
    if (info.selection == Selection::threshold) return above.encode(input, threads());
    if (info.selection == Selection::groupmax) return groupmax.encode(input, info.k, threads());
    std::vector<std::uint32_t> latent(input.rows * info.k);
    std::vector<float> value(latent.size());
    topk.encode(input, info.k, threads(), {latent.data(), value.data()});
    return without_zeros(latent, value, input.rows, info.k);
  }

  Encoded select_there(at::Tensor u) const {
    if (info.subtract_bias) u = u - to_tensor(b_dec, 1, u.size(1)).to(device);
    if (info.selection == Selection::threshold) return encode_above_with_torch(u, w_enc, b_enc, limits);
    if (info.selection == Selection::groupmax) return encode_groups_with_torch(u, w_enc, b_enc, info.k);
    return encode_with_torch(u, w_enc, b_enc, info.k);
  }

  /// Values of what was selected, in order.
  void finish(Encoded& encoded) const {
    if (info.selection == Selection::topk) return;
    finish_rows(encoded, [this](std::uint32_t f, float z) {
      const float value = gain.empty() ? z : gain[f] * z + offset[f];
      return tanh ? std::tanh(value) : value;
    });
  }

  Encoded encode_neurons(const at::Tensor& x) const {
    const auto width = static_cast<std::size_t>(x.size(1));
    Encoded out;
    for (std::int64_t row = 0; row < x.size(0); ++row) {
      const float* values = x.data_ptr<float>() + static_cast<std::size_t>(row) * width;
      for (const bool negative : {false, true}) {
        for (std::size_t f = 0; f < width; ++f) {
          const float value = negative ? -values[f] : values[f];
          if (!(value > 0.0F)) continue;
          out.latent.push_back(static_cast<std::uint32_t>(negative ? width + f : f));
          out.value.push_back(value);
        }
      }
      out.offsets.push_back(out.value.size());
    }
    finish_rows(out, [](std::uint32_t, float v) { return v; });
    return out;
  }

  void decode_row(const Encoded& e, std::size_t row, float* to) const {
    const std::uint64_t begin = e.offsets[row];
    const std::uint64_t end = e.offsets[row + 1];
    const std::size_t width = info.output_width;
    if (info.neurons) {
      std::fill(to, to + width, 0.0F);
      for (std::uint64_t i = begin; i < end; ++i)
        to[e.latent[i] % width] = e.latent[i] < width ? e.value[i] : -e.value[i];
      return;
    }
    std::copy(b_dec.begin(), b_dec.end(), to);
    kernels().weighted_sum(to, w_dec.data(), e.latent.data() + begin, e.value.data() + begin, end - begin, width);
  }

  /// f W_dec + b_dec.
  at::Tensor decode(const Encoded& encoded, std::int64_t rows) const {
    if (!info.has_decoder) fail_input("sparse coder", "the file has no W_dec, so nothing can be reconstructed");
    if (rows < 0 || encoded.rows() != static_cast<std::size_t>(rows) ||
        encoded.offsets.back() != encoded.value.size() || encoded.latent.size() != encoded.value.size())
      throw std::invalid_argument("Coder::decode: the encoded values are not of this many rows");
    at::Tensor out = at::empty({rows, static_cast<std::int64_t>(info.output_width)}, at::kFloat);
    float* to = out.data_ptr<float>();
    const auto count = static_cast<std::size_t>(rows);
    parallel_for((count + kRowsPerTask - 1) / kRowsPerTask, threads(), [&](std::size_t task, std::size_t) {
      for (std::size_t row = task * kRowsPerTask; row < std::min(count, (task + 1) * kRowsPerTask); ++row)
        decode_row(encoded, row, to + row * info.output_width);
    });
    return out;
  }
};

Coder Coder::load(const std::filesystem::path& folder, const CoderOptions& options) {
  const at::Device where = find_device(options.device);
  const Format& format = recognise(folder, options.format);
  const auto impl = std::make_shared<Impl>(format.load(folder, options), where);
  Hasher hasher;
  for (const std::filesystem::path& file : format.files(folder)) hasher.add(hash_path(file));
  // What changes the coder without being in its files.
  if (options.activation_scale != 0) hasher.add(fmt::format("activation scale {}", options.activation_scale));
  if (!options.normalize_decoder) hasher.add("decoder as stored");
  impl->fingerprint = hasher.digest_hex();
  Coder coder;
  coder.impl_ = impl;
  return coder;
}

Coder Coder::neurons(std::uint32_t width) {
  CoderInfo info;
  info.format = "neurons";
  info.activation = "relu of x and of -x";
  info.selection = Selection::threshold;
  info.input_width = info.output_width = width;
  info.latents = 2 * width;
  info.subtract_bias = false;
  info.neurons = true;
  Coder coder;
  const auto impl = std::make_shared<Impl>(std::move(info));
  Hasher hasher;
  hasher.add(fmt::format("neurons {}", width));
  impl->fingerprint = hasher.digest_hex();
  coder.impl_ = impl;
  return coder;
}

std::filesystem::path Coder::find(const std::filesystem::path& root, const std::string& hookpoint) {
  if (is_coder(root / hookpoint)) return root / hookpoint;
  if (is_coder(root)) return root;
  const std::vector<std::string> known = hookpoints(root);
  const std::string nearest = nearest_name(hookpoint, known);
  fail_input(root.string(),
             fmt::format("has no coder for hookpoint '{}'; {}", hookpoint,
                         known.empty() ? "none of its folders holds a coder"
                                       : fmt::format("it has {}", fmt::join(known, ", "))),
             nearest.empty() ? "" : fmt::format("did you mean '{}'?", nearest));
}

std::vector<std::string> Coder::hookpoints(const std::filesystem::path& root) {
  std::error_code ignored;
  std::vector<std::string> names;
  if (is_coder(root)) return names;
  if (!std::filesystem::is_directory(root, ignored))
    fail_input(root.string(), "is no folder, wanted a coder folder or a folder with one coder per hookpoint");
  for (const std::string& name : subfolders(root)) {
    if (is_coder(root / name)) names.push_back(name);
    for (const std::string& seed : subfolders(root / name)) {
      if (is_seed_name(seed) && is_coder(root / name / seed)) names.push_back(name + "/" + seed);
    }
  }
  natural_sort(names);
  return names;
}

const CoderInfo& Coder::info() const { return impl_->info; }
const std::string& Coder::fingerprint() const { return impl_->fingerprint; }

std::span<const float> Coder::decoder_rows() const { return impl_->w_dec; }

void Coder::encoder_rows(std::size_t first, std::span<float> out) const {
  const std::size_t width = impl_->info.input_width;
  if (impl_->device == at::kCPU) {
    for (std::size_t i = 0; i * width < out.size(); ++i)
      impl_->panels().copy_row(first + i, out.subspan(i * width, width));
    return;
  }
  const auto count = static_cast<std::int64_t>(out.size() / width);
  const at::Tensor rows = impl_->w_enc.narrow(0, static_cast<std::int64_t>(first), count).to(at::kCPU).contiguous();
  std::copy_n(rows.data_ptr<float>(), out.size(), out.begin());
}

void Coder::value_gradient(LatentId latent, float value, std::span<float> out) const {
  const std::size_t f = to_index(latent);
  const CoderInfo& info = impl_->info;
  if (info.normalisation != Normalisation::none)
    fail_input("sparse coder",
               "it normalises its input, so the gradient of its latents depends on more than the latent");
  if (info.neurons) {
    std::fill(out.begin(), out.end(), 0.0F);
    out[f % info.input_width] = f < info.input_width ? 1.0F : -1.0F;
    return;
  }
  encoder_rows(f, out);
  const float slope = (impl_->gain.empty() ? 1.0F : impl_->gain[f]) * (impl_->tanh ? 1.0F - value * value : 1.0F);
  for (float& g : out) g *= slope;
}

Encoded Coder::encode(const model::Tensor& x) const {
  const at::NoGradGuard no_gradients;
  check_width(x, impl_->info.input_width, "the input");
  Scale taken;
  Encoded encoded;
  if (impl_->device == at::kCPU) {
    const at::Tensor host = on_host(x);
    check_finite(host);
    if (impl_->info.neurons) return impl_->encode_neurons(host);
    encoded = impl_->select_here(normalised(host, impl_->info.normalisation, taken).contiguous());
  } else {
    const at::Tensor u = model::unwrap(x).detach().to(impl_->device, at::kFloat);
    if (!at::isfinite(u).all().item<bool>()) check_finite(u.to(at::kCPU).contiguous());
    encoded = impl_->select_there(normalised(u, impl_->info.normalisation, taken));
  }
  impl_->finish(encoded);
  return encoded;
}

model::Tensor Coder::decode(const Encoded& encoded, std::int64_t rows) const {
  if (impl_->info.skip_connection)
    fail_input("sparse coder", "it has a skip connection, so a reconstruction needs the input too");
  if (impl_->denormalises())
    fail_input("sparse coder", "it normalises its input, so a reconstruction needs the input too");
  return model::wrap(impl_->decode(encoded, rows).to(impl_->device));
}

model::Tensor Coder::decode(const Encoded& encoded, const model::Tensor& x) const {
  const at::NoGradGuard no_gradients;
  if (!impl_->info.skip_connection && !impl_->denormalises()) return decode(encoded, x.rows());
  check_width(x, impl_->info.input_width, "the input");
  const at::Tensor host = on_host(x);
  at::Tensor y = impl_->decode(encoded, x.rows());
  if (impl_->denormalises()) {
    Scale taken;
    normalised(host, impl_->info.normalisation, taken);
    y.mul_(taken.scale);
    if (taken.mean.defined()) y.add_(taken.mean);
  }
  if (impl_->info.skip_connection) y.add_(at::mm(host, impl_->w_skip.t()));
  return model::wrap(y.to(impl_->device));
}

Fit Coder::fit(const model::Tensor& x, const model::Tensor& target, const Encoded& encoded,
               const std::vector<bool>& counted) const {
  const at::NoGradGuard no_gradients;
  check_width(target, impl_->info.output_width, "the target");
  if (x.rows() != target.rows() || static_cast<std::size_t>(x.rows()) != encoded.rows() ||
      (!counted.empty() && counted.size() != encoded.rows()))
    throw std::invalid_argument("Coder::fit: input, target and marks have different numbers of rows");
  Fit fit;
  std::vector<std::int64_t> rows;
  for (std::size_t row = 0; row < encoded.rows(); ++row) {
    if (!counted.empty() && !counted[row]) continue;
    rows.push_back(static_cast<std::int64_t>(row));
    fit.active += encoded.offsets[row + 1] - encoded.offsets[row];
  }
  fit.rows = rows.size();
  if (rows.empty()) return fit;
  const at::Tensor which = at::tensor(at::IntArrayRef(rows), at::kLong);
  const auto chosen = [&](const model::Tensor& t) { return on_host(t).index_select(0, which).to(at::kDouble); };
  fit.norm = chosen(x).norm(2, at::IntArrayRef({-1})).sum().item<double>();
  if (!impl_->info.has_decoder) return fit;
  const at::Tensor y = chosen(target);
  fit.squared_error = (y - chosen(decode(encoded, x))).square().sum().item<double>();
  fit.variance = (y - y.mean(0, true)).square().sum().item<double>();
  return fit;
}

double Coder::fvu(const model::Tensor& x, const model::Tensor& target, const Encoded& encoded) const {
  if (!impl_->info.has_decoder) fail_input("sparse coder", "the file has no W_dec, so nothing can be reconstructed");
  return fit(x, target, encoded).fvu();
}

}  // namespace gloss::sparse
