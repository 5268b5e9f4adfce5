/// Tokens per second of the subject model's forward pass, and its time over that of the bare matrix products of the
/// same pass (same sizes, same weights' worth of memory, nothing between them), measured in turn in the same run.
#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <benchmark/benchmark.h>
#include <fmt/format.h>
#include <unistd.h>

#include <chrono>
#include <cmath>
#include <ctime>
#include <nlohmann/json.hpp>
#include <set>
#include <stdexcept>

#include "gloss/base/parallel.h"
#include "gloss/base/random.h"
#include "gloss/formats/safetensors.h"
#include "gloss/model/architecture.h"
#include "gloss/model/subject_model.h"

namespace gloss {
namespace {

using model::Config;
using model::SubjectModel;
using Clock = std::chrono::steady_clock;

/// 12 layers of width 768, as GPT-2 small, with the parts of a Llama; a small vocabulary, since no logits are made.
Config gpt2_small() {
  Config c;
  c.architecture = "llama";
  c.layers = 12;
  c.width = 768;
  c.heads = 12;
  c.kv_heads = 12;
  c.head_width = 64;
  c.hidden = 2048;
  c.vocabulary = 4096;
  c.max_context = 1024;
  c.tied_embeddings = true;
  return c;
}

/// The sizes of the stories260k model: so narrow that what is between the products shows.
Config stories() {
  Config c = gpt2_small();
  c.layers = 5;
  c.width = 64;
  c.heads = 8;
  c.kv_heads = 4;
  c.head_width = 8;
  c.hidden = 172;
  c.vocabulary = 512;
  return c;
}

void write_config(const std::filesystem::path& folder, const Config& c) {
  const nlohmann::json json = {{"model_type", c.architecture},
                               {"num_hidden_layers", c.layers},
                               {"hidden_size", c.width},
                               {"num_attention_heads", c.heads},
                               {"num_key_value_heads", c.kv_heads},
                               {"intermediate_size", c.hidden},
                               {"vocab_size", c.vocabulary},
                               {"max_position_embeddings", c.max_context},
                               {"tie_word_embeddings", c.tied_embeddings}};
  write_file(folder / "config.json", json.dump());
}

/// Seeded weights as bf16: uniform within +-1/sqrt(columns).
SubjectModel random_model(const Config& c) {
  const std::filesystem::path folder =
      std::filesystem::temp_directory_path() / fmt::format("gloss-bench-{}-{}", getpid(), c.width);
  std::filesystem::create_directories(folder);
  write_config(folder, c);
  std::vector<formats::SafeTensorsWriter::Declared> declared;
  for (const model::PlannedTensor& t : model::architecture_of(c).plan(c))
    declared.push_back({t.name, formats::Dtype::bf16, t.shape});
  formats::SafeTensorsWriter writer(folder / "model.safetensors", declared, {});
  Random random = Random::for_purpose(1, "bench weights");
  for (const auto& tensor : declared) {
    const std::uint64_t columns = tensor.shape.back();
    std::vector<std::uint16_t> values((tensor.shape.size() == 1 ? 1 : tensor.shape[0]) * columns);
    const double scale = tensor.shape.size() == 1 ? 0.0 : std::sqrt(3.0 / static_cast<double>(columns));
    for (std::uint16_t& v : values) {
      const double value = scale == 0.0 ? 1.0 : (2.0 * random.uniform() - 1.0) * scale;
      v = static_cast<std::uint16_t>(std::bit_cast<std::uint32_t>(static_cast<float>(value)) >> 16);
    }
    writer.write_values(std::span<const std::uint16_t>(values));
  }
  writer.commit();
  SubjectModel result = SubjectModel::load(folder);
  std::filesystem::remove_all(folder);
  return result;
}

/// Every product of one pass, weights of their own for each layer as in the model.
class BareProducts {
 public:
  BareProducts(const Config& c, std::int64_t batch, std::int64_t length) : layers_(c.layers) {
    const std::int64_t rows = batch * length;
    const std::int64_t queries = std::int64_t{c.heads} * c.head_width;
    const std::int64_t keys = std::int64_t{c.kv_heads} * c.head_width;
    const std::int64_t shared = c.heads / c.kv_heads;
    const auto values = [](at::IntArrayRef shape) { return at::rand(shape); };
    for (Layer& l : layers_)
      l = {values({queries + 2 * keys, c.width}), values({c.width, queries}),
           values({2 * std::int64_t{c.hidden}, c.width}), values({c.width, c.hidden})};
    stream_ = values({rows, c.width});
    mixed_ = values({rows, queries});
    gated_ = values({rows, c.hidden});
    q_ = values({batch * c.kv_heads, shared * length, c.head_width});
    k_ = values({batch * c.kv_heads, c.head_width, length});
    v_ = values({batch * c.kv_heads, length, c.head_width});
  }

  void run() const {
    for (const Layer& l : layers_) {
      benchmark::DoNotOptimize(at::mm(stream_, l.qkv.t()));
      benchmark::DoNotOptimize(at::bmm(at::bmm(q_, k_), v_));
      benchmark::DoNotOptimize(at::mm(mixed_, l.out.t()));
      benchmark::DoNotOptimize(at::mm(stream_, l.gate_up.t()));
      benchmark::DoNotOptimize(at::mm(gated_, l.down.t()));
    }
  }

 private:
  struct Layer {
    at::Tensor qkv, out, gate_up, down;
  };
  std::vector<Layer> layers_;
  at::Tensor stream_, mixed_, gated_, q_, k_, v_;
};

/// The last context of the batch alone must give what it gave in the batch.
void check(const SubjectModel& model, std::span<const TokenId> tokens, std::uint32_t batch, model::Hookpoint last) {
  const std::vector<float> all = to_host(model.activations(tokens, batch, std::span(&last, 1))[0]);
  const std::size_t length = tokens.size() / batch;
  const std::vector<float> alone =
      to_host(model.activations(tokens.subspan(tokens.size() - length), 1, std::span(&last, 1))[0]);
  double wrong = 0.0;
  double norm = 0.0;
  for (std::size_t i = 0; i < alone.size(); ++i) {
    wrong += std::pow(alone[i] - all[all.size() - alone.size() + i], 2);
    norm += std::pow(alone[i], 2);
  }
  if (!(norm > 0.0 && wrong < 1e-8 * norm))
    throw std::runtime_error("a context alone differs from the same in a batch");
}

/// Seconds by the clock on the wall, and of all processors together: other work on the machine hardly touches the
/// latter.
struct Seconds {
  double wall = 0.0;
  double processor = 0.0;
};

/// Adds what `work` takes; gives the wall's part.
double measure(Seconds& total, const auto& work) {
  const auto begin = Clock::now();
  const std::clock_t processor_begin = std::clock();
  work();
  total.processor += static_cast<double>(std::clock() - processor_begin) / CLOCKS_PER_SEC;
  const double wall = std::chrono::duration<double>(Clock::now() - begin).count();
  total.wall += wall;
  return wall;
}

void forward(benchmark::State& state, const Config& c) {
  const at::NoGradGuard no_gradients;
  static const SubjectModel wide = random_model(gpt2_small());
  static const SubjectModel narrow = random_model(stories());
  const SubjectModel& model = c.width == narrow.config().width ? narrow : wide;
  const auto batch = static_cast<std::uint32_t>(state.range(0));
  const std::int64_t length = state.range(1);
  model::set_threads(static_cast<std::size_t>(state.range(2)));
  Random random = Random::for_purpose(1, "bench tokens");
  std::vector<TokenId> tokens(static_cast<std::size_t>(batch * length));
  for (TokenId& t : tokens) t = TokenId{static_cast<std::uint32_t>(random.below(c.vocabulary))};
  const model::Hookpoint last{c.layers - 1, model::Site::layer_output};
  check(model, tokens, batch, last);
  const BareProducts bare(c, batch, length);
  bare.run();
  Seconds whole;
  Seconds products;
  for (auto _ : state) {
    state.SetIterationTime(
        measure(whole, [&] { benchmark::DoNotOptimize(model.activations(tokens, batch, std::span(&last, 1))); }));
    measure(products, [&] { bare.run(); });
  }
  const double count = static_cast<double>(tokens.size()) * static_cast<double>(state.iterations());
  state.counters["tokens/s"] = count / whole.wall;
  state.counters["time/bare"] = whole.wall / products.wall;
  state.counters["cpu/bare"] = whole.processor / products.processor;
  state.counters["tokens/cpu-s"] = count / whole.processor;
}

}  // namespace
}  // namespace gloss

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  benchmark::AddCustomContext("libtorch", gloss::model::libtorch_version());
  benchmark::AddCustomContext("compiler", __VERSION__);
  benchmark::AddCustomContext("commit", GLOSS_BENCH_COMMIT);
  const auto add = [](const char* name, const gloss::model::Config& config, std::int64_t batch, std::int64_t length) {
    auto* row = benchmark::RegisterBenchmark(name, gloss::forward, config);
    row->ArgNames({"B", "T", "threads"})->UseManualTime()->Unit(benchmark::kMillisecond);
    const auto all = static_cast<std::int64_t>(gloss::available_threads());
    for (const std::int64_t threads : std::set<std::int64_t>{1, all}) row->Args({batch, length, threads});
  };
  add("forward/gpt2-small-sized", gloss::gpt2_small(), 8, 128);
  add("forward/gpt2-small-sized", gloss::gpt2_small(), 4, 512);
  add("forward/stories260k-sized", gloss::stories(), 32, 128);
  add("forward/stories260k-sized", gloss::stories(), 16, 256);
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
