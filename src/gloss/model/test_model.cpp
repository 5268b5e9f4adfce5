#include "gloss/model/test_model.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <stdexcept>

#include "gloss/base/half.h"
#include "gloss/base/output_file.h"
#include "gloss/base/random.h"

namespace gloss::model {
namespace {

using Values = std::vector<double>;

/// `value` with the 8 significant bits of a bf16, small enough in exponent range to be exact in f16 too.
float coarse(double value) {
  int exponent = 0;
  const double fraction = std::frexp(value, &exponent);
  return static_cast<float>(std::ldexp(std::round(fraction * 128.0) / 128.0, exponent));
}

TestTensor random_matrix(std::uint64_t rows, std::uint64_t columns, double deviation, Random& random) {
  TestTensor t{{rows, columns}, std::vector<float>(rows * columns)};
  for (float& v : t.values) v = coarse(std::clamp(random.normal(), -3.0, 3.0) * deviation + 0.001);
  return t;
}

TestTensor random_gain(std::uint64_t width, Random& random) {
  TestTensor t{{width}, std::vector<float>(width)};
  for (float& v : t.values) v = coarse(0.75 + 0.5 * random.uniform());
  return t;
}

std::vector<std::byte> stored(const TestTensor& tensor, formats::Dtype dtype) {
  std::vector<std::byte> bytes;
  const auto append = [&](auto value) {
    const auto part = std::as_bytes(std::span(&value, 1));
    bytes.insert(bytes.end(), part.begin(), part.end());
  };
  for (const float v : tensor.values) {
    if (dtype == formats::Dtype::f32) {
      append(v);
    } else if (dtype == formats::Dtype::f16) {
      append(half_from_float(v));
    } else if (dtype == formats::Dtype::bf16) {
      append(static_cast<std::uint16_t>(std::bit_cast<std::uint32_t>(v) >> 16));
    } else {
      append(static_cast<std::int64_t>(v));
    }
  }
  return bytes;
}

void write_tensors(const std::filesystem::path& file, const std::map<std::string, TestTensor>& tensors,
                   formats::Dtype dtype) {
  std::vector<formats::SafeTensorsWriter::Declared> declared;
  declared.reserve(tensors.size());
  for (const auto& [name, tensor] : tensors) declared.push_back({name, dtype, tensor.shape});
  formats::SafeTensorsWriter writer(file, declared, {{"format", "pt"}});
  for (const auto& [name, tensor] : tensors) writer.write(stored(tensor, dtype));
  writer.commit();
}

// --- the reference pass: one row at a time, no tricks -------------------------------------------------------------

struct Reader {
  const TestModel& model;
  const TestTensor& get(const std::string& name) const { return model.tensors.at(name + ".weight"); }
  const TestTensor& get(std::uint32_t layer, std::string_view name) const {
    return get(fmt::format("model.layers.{}.{}", layer, name));
  }
};

/// y[r][o] = sum_i x[r][i] w[o][i]. Shapes: x [N, in]; w [out, in].
Values product(const Values& x, const TestTensor& w) {
  const std::size_t out = w.shape[0];
  const std::size_t in = w.shape[1];
  const std::size_t rows = x.size() / in;
  Values y(rows * out, 0.0);
  for (std::size_t r = 0; r < rows; ++r)
    for (std::size_t o = 0; o < out; ++o)
      for (std::size_t i = 0; i < in; ++i) y[r * out + o] += x[r * in + i] * w.values[o * in + i];
  return y;
}

Values normalised(const Values& x, const TestTensor& gain, double epsilon) {
  const std::size_t width = gain.values.size();
  Values y(x.size());
  for (std::size_t r = 0; r < x.size() / width; ++r) {
    double squares = 0.0;
    for (std::size_t i = 0; i < width; ++i) squares += x[r * width + i] * x[r * width + i];
    const double root = std::sqrt(squares / static_cast<double>(width) + epsilon);
    for (std::size_t i = 0; i < width; ++i) y[r * width + i] = x[r * width + i] / root * gain.values[i];
  }
  return y;
}

/// Turns (i, i + E/2) of each head as a complex number by angle t / theta^(2i/E). Shapes: x [B, T, heads, E].
void turn(Values& x, std::size_t length, std::size_t heads, std::size_t width, double theta) {
  const std::size_t half = width / 2;
  for (std::size_t row = 0; row < x.size() / width; ++row) {
    const std::size_t t = row / heads % length;
    for (std::size_t i = 0; i < half; ++i) {
      const double angle =
          static_cast<double>(t) / std::pow(theta, 2.0 * static_cast<double>(i) / static_cast<double>(width));
      double& real = x[row * width + i];
      double& imaginary = x[row * width + half + i];
      const double old = real;
      real = old * std::cos(angle) - imaginary * std::sin(angle);
      imaginary = old * std::sin(angle) + imaginary * std::cos(angle);
    }
  }
}

/// One query over the keys at and before its position. Shapes: q [E] at row `t`; k, v [T, G, E] of this context.
void attend_one(const double* q, const double* k, const double* v, std::size_t t, std::size_t stride, std::size_t width,
                double* out) {
  Values weight(t + 1, 0.0);
  double total = 0.0;
  for (std::size_t s = 0; s <= t; ++s) {
    double score = 0.0;
    for (std::size_t i = 0; i < width; ++i) score += q[i] * k[s * stride + i];
    weight[s] = std::exp(score / std::sqrt(static_cast<double>(width)));
    total += weight[s];
  }
  for (std::size_t s = 0; s <= t; ++s)
    for (std::size_t i = 0; i < width; ++i) out[i] += weight[s] / total * v[s * stride + i];
}

Values attention(const Values& x, const Reader& weights, std::uint32_t layer, std::uint32_t batch) {
  const Config& c = weights.model.config;
  const std::size_t length = x.size() / c.width / batch;
  const std::size_t key_row = std::size_t{c.kv_heads} * c.head_width;
  const std::size_t query_row = std::size_t{c.heads} * c.head_width;
  Values q = product(x, weights.get(layer, "self_attn.q_proj"));
  Values k = product(x, weights.get(layer, "self_attn.k_proj"));
  const Values v = product(x, weights.get(layer, "self_attn.v_proj"));
  turn(q, length, c.heads, c.head_width, c.ropes.at(0).theta);
  turn(k, length, c.kv_heads, c.head_width, c.ropes.at(0).theta);
  Values mixed(q.size(), 0.0);
  for (std::size_t b = 0; b < batch; ++b)
    for (std::size_t t = 0; t < length; ++t)
      for (std::size_t head = 0; head < c.heads; ++head) {
        const std::size_t query = (b * length + t) * query_row + head * c.head_width;
        const std::size_t keys = b * length * key_row + head / (c.heads / c.kv_heads) * c.head_width;
        attend_one(&q[query], &k[keys], &v[keys], t, key_row, c.head_width, &mixed[query]);
      }
  return product(mixed, weights.get(layer, "self_attn.o_proj"));
}

Values mlp(const Values& x, const Reader& weights, std::uint32_t layer) {
  Values gate = product(x, weights.get(layer, "mlp.gate_proj"));
  const Values up = product(x, weights.get(layer, "mlp.up_proj"));
  for (std::size_t i = 0; i < gate.size(); ++i) gate[i] = gate[i] / (1.0 + std::exp(-gate[i])) * up[i];
  return product(gate, weights.get(layer, "mlp.down_proj"));
}

}  // namespace

TestModel TestModel::make(const Config& config, std::uint64_t seed) {
  TestModel model;
  model.config = config;
  model.config.architecture = "llama";
  if (config.ropes.empty()) model.config.ropes = {Rope{}};
  const Config& c = model.config;
  model.json = {{"model_type", "llama"},
                {"architectures", {"LlamaForCausalLM"}},
                {"num_hidden_layers", c.layers},
                {"hidden_size", c.width},
                {"intermediate_size", c.hidden},
                {"num_attention_heads", c.heads},
                {"num_key_value_heads", c.kv_heads},
                {"head_dim", c.head_width},
                {"vocab_size", c.vocabulary},
                {"max_position_embeddings", c.max_context},
                {"rms_norm_eps", c.norm_epsilon},
                {"rope_theta", c.ropes.at(0).theta},
                {"tie_word_embeddings", c.tied_embeddings},
                {"hidden_act", "silu"}};
  Random random = Random::for_purpose(seed, "test model");
  const std::uint64_t queries = std::uint64_t{c.heads} * c.head_width;
  const std::uint64_t keys = std::uint64_t{c.kv_heads} * c.head_width;
  const auto matrix = [&](std::uint64_t rows, std::uint64_t columns) {
    return random_matrix(rows, columns, 1.0 / std::sqrt(static_cast<double>(columns)), random);
  };
  model.tensors["model.embed_tokens.weight"] = random_matrix(c.vocabulary, c.width, 1.0, random);
  model.tensors["model.norm.weight"] = random_gain(c.width, random);
  if (!c.tied_embeddings) model.tensors["lm_head.weight"] = matrix(c.vocabulary, c.width);
  for (std::uint32_t layer = 0; layer < c.layers; ++layer) {
    const std::string prefix = fmt::format("model.layers.{}.", layer);
    model.tensors[prefix + "input_layernorm.weight"] = random_gain(c.width, random);
    model.tensors[prefix + "post_attention_layernorm.weight"] = random_gain(c.width, random);
    model.tensors[prefix + "self_attn.q_proj.weight"] = matrix(queries, c.width);
    model.tensors[prefix + "self_attn.k_proj.weight"] = matrix(keys, c.width);
    model.tensors[prefix + "self_attn.v_proj.weight"] = matrix(keys, c.width);
    model.tensors[prefix + "self_attn.o_proj.weight"] = matrix(c.width, queries);
    model.tensors[prefix + "mlp.gate_proj.weight"] = matrix(c.hidden, c.width);
    model.tensors[prefix + "mlp.up_proj.weight"] = matrix(c.hidden, c.width);
    model.tensors[prefix + "mlp.down_proj.weight"] = matrix(c.width, c.hidden);
  }
  return model;
}

void TestModel::write_config(const std::filesystem::path& folder) const {
  std::filesystem::create_directories(folder);
  write_file(folder / "config.json", json.dump(2));
}

void TestModel::write(const std::filesystem::path& folder, formats::Dtype dtype) const {
  write_config(folder);
  write_tensors(folder / "model.safetensors", tensors, dtype);
}

void TestModel::write_sharded(const std::filesystem::path& folder, std::size_t shards) const {
  write_config(folder);
  std::vector<std::map<std::string, TestTensor>> parts(shards);
  nlohmann::json map = nlohmann::json::object();
  std::size_t next = 0;
  for (const auto& [name, tensor] : tensors) {
    parts[next][name] = tensor;
    map[name] = fmt::format("model-{:05}-of-{:05}.safetensors", next + 1, shards);
    next = (next + 1) % shards;
  }
  for (std::size_t i = 0; i < shards; ++i)
    write_tensors(folder / fmt::format("model-{:05}-of-{:05}.safetensors", i + 1, shards), parts[i],
                  formats::Dtype::f32);
  const nlohmann::json index = {{"metadata", {{"total_size", 0}}}, {"weight_map", map}};
  write_file(folder / "model.safetensors.index.json", index.dump(2));
}

ReferencePass reference_pass(const TestModel& model, std::span<const TokenId> tokens, std::uint32_t batch) {
  const Config& c = model.config;
  const Reader weights{model};
  ReferencePass pass;
  const auto add = [](Values& stream, const Values& added) {
    for (std::size_t i = 0; i < stream.size(); ++i) stream[i] += added[i];
  };
  Values stream;
  for (const TokenId token : tokens) {
    const auto row = weights.get("model.embed_tokens").values.begin() + std::ptrdiff_t{to_index(token)} * c.width;
    stream.insert(stream.end(), row, row + c.width);
  }
  for (std::uint32_t layer = 0; layer < c.layers; ++layer) {
    const auto keep = [&](Site site, const Values& values) { pass.activations[{layer, site}] = values; };
    Values input = normalised(stream, weights.get(layer, "input_layernorm"), c.norm_epsilon);
    keep(Site::attn_input, input);
    Values added = attention(input, weights, layer, batch);
    keep(Site::attn_output, added);
    add(stream, added);
    input = normalised(stream, weights.get(layer, "post_attention_layernorm"), c.norm_epsilon);
    keep(Site::mlp_input, input);
    added = mlp(input, weights, layer);
    keep(Site::mlp_output, added);
    add(stream, added);
    keep(Site::layer_output, stream);
  }
  const std::string head = c.tied_embeddings ? "model.embed_tokens" : "lm_head";
  pass.logits = product(normalised(stream, weights.get("model.norm"), c.norm_epsilon), weights.get(head));
  return pass;
}

std::vector<TokenId> random_tokens(std::size_t count, std::uint32_t vocabulary, std::uint64_t seed) {
  Random random = Random::for_purpose(seed, "test tokens");
  std::vector<TokenId> tokens(count);
  for (TokenId& token : tokens) token = TokenId{static_cast<std::uint32_t>(random.below(vocabulary))};
  return tokens;
}

std::vector<Hookpoint> all_hookpoints(std::uint32_t layers) {
  std::vector<Hookpoint> all;
  for (std::uint32_t layer = 0; layer < layers; ++layer)
    for (const Site site : {Site::attn_input, Site::attn_output, Site::mlp_input, Site::mlp_output, Site::layer_output})
      all.push_back({layer, site});
  return all;
}

}  // namespace gloss::model
