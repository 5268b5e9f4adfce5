#include "gloss/model/sentence_encoder.h"

#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <utility>

#include "gloss/base/error.h"
#include "gloss/base/hash.h"
#include "gloss/formats/json_file.h"
#include "gloss/model/weight_files.h"

namespace gloss::model {
namespace {

constexpr std::uint64_t kMostWidth = 1U << 16;
constexpr std::uint64_t kMostLayers = 1U << 10;
constexpr std::uint64_t kMostVocabulary = 1U << 24;
constexpr const char* kHint = "gloss embeds sentences with BERT encoders, such as all-MiniLM-L6-v2";

struct BertConfig {
  std::uint64_t vocabulary = 0, width = 0, layers = 0, heads = 0, inner = 0, positions = 0, types = 0;
  std::uint64_t max_tokens = 0;
  double norm_epsilon = 0.0;
  std::string activation;
};

BertConfig read_config(const std::filesystem::path& folder) {
  const std::filesystem::path path = folder / "config.json";
  const nlohmann::json json = formats::read_json(path);
  const formats::Fields fields(json, path.string());
  const std::string type = fields.string("model_type");
  if (type != "bert") fail_input(path.string(), fmt::format("model_type is '{}', wanted 'bert'", type), kHint);
  const std::string positions = fields.string("position_embedding_type", "absolute");
  if (positions != "absolute")
    fail_input(path.string(), fmt::format("position_embedding_type is '{}', wanted 'absolute'", positions), kHint);
  BertConfig c;
  c.vocabulary = fields.integer("vocab_size", 1, kMostVocabulary);
  c.width = fields.integer("hidden_size", 1, kMostWidth);
  c.layers = fields.integer("num_hidden_layers", 1, kMostLayers);
  c.heads = fields.integer("num_attention_heads", 1, kMostWidth);
  c.inner = fields.integer("intermediate_size", 1, kMostWidth);
  c.positions = fields.integer("max_position_embeddings", 2, kMostWidth);
  c.types = fields.integer("type_vocab_size", 1, kMostWidth, 2);
  c.norm_epsilon = fields.number("layer_norm_eps", 1e-12);
  c.activation = fields.string("hidden_act", "gelu");
  if (c.activation != "gelu" && c.activation != "gelu_new" && c.activation != "relu")
    fail_input(path.string(), fmt::format("hidden_act is '{}', wanted gelu, gelu_new or relu", c.activation));
  if (c.width % c.heads != 0)
    fail_input(path.string(), fmt::format("hidden_size {} is no multiple of {} num_attention_heads", c.width, c.heads));
  c.max_tokens = c.positions;
  return c;
}

/// What sentence-transformers says of the folder beyond the model.
void read_sentence_files(const std::filesystem::path& folder, BertConfig& c) {
  const std::filesystem::path pooling = folder / "1_Pooling" / "config.json";
  if (std::filesystem::exists(pooling)) {
    const nlohmann::json json = formats::read_json(pooling);
    if (!formats::Fields(json, pooling.string()).boolean("pooling_mode_mean_tokens", true))
      fail_input(pooling.string(), "pooling_mode_mean_tokens is false: the model was not trained for mean pooling",
                 kHint);
  }
  const std::filesystem::path longest = folder / "sentence_bert_config.json";
  if (std::filesystem::exists(longest)) {
    const nlohmann::json json = formats::read_json(longest);
    c.max_tokens = std::min(
        c.max_tokens, formats::Fields(json, longest.string()).integer("max_seq_length", 2, kMostWidth, c.positions));
  }
}

/// Finds tensors by the names of BertModel, or those behind "bert." that other classes save.
class Loader {
 public:
  Loader(const WeightFiles& files, Hasher& hasher) : files_(files), hasher_(hasher) {
    prefix_ = files.has("bert.embeddings.word_embeddings.weight") ? "bert." : "";
  }
  at::Tensor load(const std::string& name, std::vector<std::uint64_t> shape, const char* because) {
    const PlannedTensor planned{prefix_ + name, std::move(shape), because, Part::embedding};
    const std::vector<float> values = formats::to_floats(files_.find(planned));
    hasher_.add_bytes(std::as_bytes(std::span(values)));
    const std::vector<std::int64_t> sizes(planned.shape.begin(), planned.shape.end());
    at::Tensor tensor = at::empty(sizes, at::kFloat);
    std::copy(values.begin(), values.end(), tensor.data_ptr<float>());
    return tensor;
  }

 private:
  const WeightFiles& files_;
  Hasher& hasher_;
  std::string prefix_;
};

struct Linear {
  at::Tensor weight, bias;  // [out, in], [out]
  at::Tensor operator()(const at::Tensor& x) const { return at::linear(x, weight, bias); }
};

struct LayerNorm {
  at::Tensor gain, bias;  // [D]
  double epsilon = 0.0;
  at::Tensor operator()(const at::Tensor& x) const { return at::layer_norm(x, {x.size(-1)}, gain, bias, epsilon); }
};

struct Layer {
  Linear query, key, value, out, inner, down;
  LayerNorm attention_norm, norm;
};

}  // namespace

struct SentenceEncoder::Impl {
  BertConfig config;
  at::Tensor words, positions;  // [V, D]; [max_position, D] with the first token type's row added
  LayerNorm norm;
  std::vector<Layer> layers;
  std::string fingerprint;

  at::Tensor run(std::span<const TokenId> ids) const;
  at::Tensor attend(const Layer& layer, const at::Tensor& x) const;
  at::Tensor activate(const at::Tensor& x) const;
};

/// Every token sees every other. Shapes: x [T, D] -> [T, D].
at::Tensor SentenceEncoder::Impl::attend(const Layer& layer, const at::Tensor& x) const {
  const auto heads = static_cast<std::int64_t>(config.heads);
  const std::int64_t head_width = x.size(1) / heads;
  const auto split = [&](const at::Tensor& of_all) {  // [H, T, E]
    return of_all.view({x.size(0), heads, head_width}).transpose(0, 1);
  };
  const at::Tensor scores = at::matmul(split(layer.query(x)), split(layer.key(x)).transpose(1, 2))
                                .div_(std::sqrt(static_cast<double>(head_width)));
  const at::Tensor mixed = at::matmul(at::softmax(scores, -1), split(layer.value(x)));
  return mixed.transpose(0, 1).reshape({x.size(0), x.size(1)});
}

at::Tensor SentenceEncoder::Impl::activate(const at::Tensor& x) const {
  if (config.activation == "relu") return at::relu(x);
  return config.activation == "gelu" ? at::gelu(x) : at::gelu(x, "tanh");
}

at::Tensor SentenceEncoder::Impl::run(std::span<const TokenId> ids) const {
  const c10::InferenceMode inference;
  if (ids.empty() || ids.size() > config.max_tokens)
    throw std::invalid_argument(fmt::format("{} tokens, wanted 1 to {}", ids.size(), config.max_tokens));
  at::Tensor index = at::empty({static_cast<std::int64_t>(ids.size())}, at::kLong);
  for (std::size_t i = 0; i < ids.size(); ++i) {
    if (to_index(ids[i]) >= config.vocabulary)
      fail_input("sentence embeddings",
                 fmt::format("token {} is not below the model's vocabulary of {}", to_index(ids[i]), config.vocabulary),
                 "the folder's tokenizer belongs to another model");
    index.data_ptr<std::int64_t>()[i] = to_index(ids[i]);
  }
  at::Tensor x = norm(at::index_select(words, 0, index) + positions.narrow(0, 0, index.size(0)));
  for (const Layer& layer : layers) {
    x = layer.attention_norm(x + layer.out(attend(layer, x)));
    x = layer.norm(x + layer.down(activate(layer.inner(x))));
  }
  return x;
}

SentenceEncoder SentenceEncoder::load(const std::filesystem::path& folder) {
  auto impl = std::make_shared<Impl>();
  BertConfig& c = impl->config;
  c = read_config(folder);
  read_sentence_files(folder, c);
  const WeightFiles files = WeightFiles::open(folder);
  Hasher hasher;
  hasher.add(fmt::format("bert {} {} {} {} {}", c.heads, c.layers, c.norm_epsilon, c.activation, c.max_tokens));
  Loader loader(files, hasher);
  const auto linear = [&](const std::string& name, std::uint64_t out, std::uint64_t in, const char* because) {
    return Linear{loader.load(name + ".weight", {out, in}, because), loader.load(name + ".bias", {out}, because)};
  };
  const auto layer_norm = [&](const std::string& name) {
    return LayerNorm{loader.load(name + ".weight", {c.width}, "hidden_size"),
                     loader.load(name + ".bias", {c.width}, "hidden_size"), c.norm_epsilon};
  };
  impl->words = loader.load("embeddings.word_embeddings.weight", {c.vocabulary, c.width}, "vocab_size, hidden_size");
  impl->positions = loader.load("embeddings.position_embeddings.weight", {c.positions, c.width},
                                "max_position_embeddings, hidden_size");
  impl->positions.add_(
      loader.load("embeddings.token_type_embeddings.weight", {c.types, c.width}, "type_vocab_size, hidden_size")[0]);
  impl->norm = layer_norm("embeddings.LayerNorm");
  for (std::uint64_t i = 0; i < c.layers; ++i) {
    const std::string at = fmt::format("encoder.layer.{}.", i);
    Layer layer;
    layer.query = linear(at + "attention.self.query", c.width, c.width, "hidden_size");
    layer.key = linear(at + "attention.self.key", c.width, c.width, "hidden_size");
    layer.value = linear(at + "attention.self.value", c.width, c.width, "hidden_size");
    layer.out = linear(at + "attention.output.dense", c.width, c.width, "hidden_size");
    layer.attention_norm = layer_norm(at + "attention.output.LayerNorm");
    layer.inner = linear(at + "intermediate.dense", c.inner, c.width, "intermediate_size, hidden_size");
    layer.down = linear(at + "output.dense", c.width, c.inner, "hidden_size, intermediate_size");
    layer.norm = layer_norm(at + "output.LayerNorm");
    impl->layers.push_back(std::move(layer));
  }
  impl->fingerprint = hasher.digest_hex();
  SentenceEncoder encoder;
  encoder.impl_ = std::move(impl);
  return encoder;
}

std::uint32_t SentenceEncoder::width() const { return static_cast<std::uint32_t>(impl_->config.width); }
std::uint32_t SentenceEncoder::vocabulary() const { return static_cast<std::uint32_t>(impl_->config.vocabulary); }
std::uint32_t SentenceEncoder::max_tokens() const { return static_cast<std::uint32_t>(impl_->config.max_tokens); }
const std::string& SentenceEncoder::fingerprint() const { return impl_->fingerprint; }

std::vector<float> SentenceEncoder::states(std::span<const TokenId> ids) const {
  const at::Tensor x = impl_->run(ids).contiguous();
  const float* values = x.data_ptr<float>();
  return {values, values + x.numel()};
}

std::vector<float> SentenceEncoder::embed(std::span<const TokenId> ids) const {
  std::vector<TokenId> cut;
  if (ids.size() > max_tokens()) {
    cut.assign(ids.begin(), ids.begin() + max_tokens());
    cut.back() = ids.back();
    ids = cut;
  }
  const std::vector<float> all = states(ids);
  std::vector<double> sum(width(), 0.0);
  for (std::size_t i = 0; i < all.size(); ++i) sum[i % sum.size()] += static_cast<double>(all[i]);
  double square = 0.0;
  for (const double s : sum) square += s * s;
  const double norm = square > 0.0 ? std::sqrt(square) : 1.0;
  std::vector<float> embedding(sum.size());
  std::transform(sum.begin(), sum.end(), embedding.begin(), [&](double s) { return static_cast<float>(s / norm); });
  return embedding;
}

}  // namespace gloss::model
