/// Tokens per second of the subject model's forward pass, and its time over that of the bare matrix products of the
/// same pass (same sizes, same weights' worth of memory, nothing between them), measured in turn in the same run.
/// GLOSS_BENCH_MODEL=FOLDER measures that model instead; bench/forward_against_eager.py compares it with PyTorch.
#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <benchmark/benchmark.h>
#include <fmt/format.h>
#include <unistd.h>

#include <chrono>
#include <cmath>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <list>
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

/// GPT-2 small and Pythia 160m as published; no logits are made here.
nlohmann::json gpt2_small() {
  return {{"model_type", "gpt2"}, {"n_layer", 12},       {"n_embd", 768},
          {"n_head", 12},         {"n_positions", 1024}, {"vocab_size", 50257}};
}
nlohmann::json pythia_160m() {
  return {{"model_type", "gpt_neox"},  {"num_hidden_layers", 12},   {"hidden_size", 768},
          {"num_attention_heads", 12}, {"intermediate_size", 3072}, {"vocab_size", 50304},
          {"rotary_pct", 0.25},        {"hidden_act", "gelu"},      {"max_position_embeddings", 2048}};
}
/// The sizes of the stories260k model: so narrow that what is between the products shows.
nlohmann::json stories() {
  return {{"model_type", "llama"},    {"num_hidden_layers", 5},   {"hidden_size", 64}, {"num_attention_heads", 8},
          {"num_key_value_heads", 4}, {"intermediate_size", 172}, {"vocab_size", 512}, {"tie_word_embeddings", true}};
}

/// Seeded weights: uniform with variance 1/columns; norms 1.
SubjectModel random_model(const nlohmann::json& json) {
  const std::filesystem::path folder = std::filesystem::temp_directory_path() / fmt::format("gloss-bench-{}", getpid());
  std::filesystem::create_directories(folder);
  write_file(folder / "config.json", json.dump());
  const Config c = model::parse_config(json.dump(), "config.json");
  std::vector<formats::SafeTensorsWriter::Declared> declared;
  std::set<std::string> seen;  // one tensor may fill several parts
  for (const model::PlannedTensor& t : model::architecture_of(c).plan(c)) {
    if (seen.insert(t.name).second) declared.push_back({t.name, formats::Dtype::f32, t.shape});
  }
  formats::SafeTensorsWriter writer(folder / "model.safetensors", declared, {});
  Random random = Random::for_purpose(1, "bench weights");
  for (const auto& tensor : declared) {
    const std::uint64_t columns = tensor.shape.back();
    std::vector<float> values((tensor.shape.size() == 1 ? 1 : tensor.shape[0]) * columns, 1.0F);
    const double scale = std::sqrt(3.0 / static_cast<double>(columns));
    if (tensor.shape.size() > 1) {
      for (float& v : values) v = static_cast<float>((2.0 * random.uniform() - 1.0) * scale);
    }
    writer.write_values(std::span<const float>(values));
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
           values({(c.gated ? 2 : 1) * std::int64_t{c.hidden}, c.width}), values({c.width, c.hidden})};
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
      benchmark::DoNotOptimize(at::mm(stream_, l.in.t()));
      benchmark::DoNotOptimize(at::mm(gated_, l.down.t()));
    }
  }

 private:
  struct Layer {
    at::Tensor qkv, out, in, down;
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

/// Of this program since it began, from the kernel; 0 where it does not say.
double peak_mebibytes() {
  std::ifstream status("/proc/self/status");
  std::string line;
  while (std::getline(status, line)) {
    if (line.starts_with("VmHWM:")) return std::strtod(line.c_str() + 6, nullptr) / 1024.0;
  }
  return 0.0;
}

void forward(benchmark::State& state, const SubjectModel& model) {
  const at::NoGradGuard no_gradients;
  const Config& c = model.config();
  const auto batch = static_cast<std::uint32_t>(state.range(0));
  const std::int64_t length = state.range(1);
  model::set_threads(static_cast<std::size_t>(state.range(2)));
  std::vector<TokenId> tokens(static_cast<std::size_t>(batch * length));
  // The same in bench/forward_against_eager.py.
  for (std::size_t i = 0; i < tokens.size(); ++i)
    tokens[i] = TokenId{static_cast<std::uint32_t>((i * 7919 + 13) % c.vocabulary)};
  const model::Hookpoint last{c.layers - 1, model::Site::layer_output};
  check(model, tokens, batch, last);
  const BareProducts bare(c, batch, length);
  bare.run();
  double squares = 0.0;
  for (const float v : to_host(model.activations(tokens, batch, std::span(&last, 1))[0]))
    squares += double{v} * double{v};
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
  state.counters["norm"] = std::sqrt(squares);  // of what was computed, to be compared with another implementation
  state.counters["peak MiB"] = peak_mebibytes();
}

}  // namespace
}  // namespace gloss

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  benchmark::AddCustomContext("libtorch", gloss::model::libtorch_version());
  benchmark::AddCustomContext("compiler", __VERSION__);
  benchmark::AddCustomContext("commit", GLOSS_BENCH_COMMIT);
  std::list<gloss::SubjectModel> models;  // must outlive the rows
  const auto add = [&](const std::string& name, gloss::SubjectModel model, std::int64_t batch, std::int64_t length) {
    const gloss::SubjectModel& kept = models.emplace_back(std::move(model));
    auto* row = benchmark::RegisterBenchmark(name.c_str(), gloss::forward, kept);
    row->ArgNames({"B", "T", "threads"})->UseManualTime()->Unit(benchmark::kMillisecond);
    const auto all = static_cast<std::int64_t>(gloss::available_threads());
    for (const std::int64_t threads : std::set<std::int64_t>{1, all}) row->Args({batch, length, threads});
  };
  if (const char* folder = std::getenv("GLOSS_BENCH_MODEL"); folder != nullptr) {
    add("forward/model", gloss::SubjectModel::load(folder), 8, 128);
  } else {
    add("forward/gpt2-small", gloss::random_model(gloss::gpt2_small()), 8, 128);
    add("forward/pythia-160m", gloss::random_model(gloss::pythia_160m()), 8, 128);
    add("forward/stories260k-sized", gloss::random_model(gloss::stories()), 32, 128);
  }
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
