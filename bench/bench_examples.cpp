/// Examples of every latent of a run, against reading the index from memory once.
#include <benchmark/benchmark.h>

#include <chrono>
#include <set>
#include <stdexcept>

#include "gloss/base/parallel.h"
#include "gloss/examples/examples.h"
#include "gloss/index/reader.h"
#include "gloss/text/token_file.h"
#include "zipf_firings.h"

namespace gloss {
namespace {

constexpr std::uint32_t kLatents = 32768;
constexpr std::uint32_t kActive = 32;
constexpr std::uint32_t kCtxLen = 256;
constexpr std::uint32_t kContexts = 4096;
constexpr std::uint32_t kTokens = kContexts * kCtxLen;

struct Sample {
  index::Reader reader;
  text::TokenFile tokens;
};

/// About a million tokens; documents of 100 to 900 tokens.
const Sample& sample() {
  static const bench::ScratchFolder folder("bench-examples");
  static const Sample made = [] {
    SilentReporter reporter;
    index::WriterOptions options;
    options.hookpoint = "layers.0";
    options.latent_count = kLatents;
    options.ctx_len = kCtxLen;
    index::Writer writer(folder.path(), options);
    writer.append(bench::zipf_firings(kLatents, kActive, kTokens), kTokens);
    writer.finish(kTokens, 0, reporter);
    Random random = Random::for_purpose(1, "bench documents");
    std::vector<std::uint32_t> documents(kContexts);
    std::uint32_t document = 0;
    std::uint64_t end = 100 + random.below(800);
    for (std::uint64_t c = 0; c < kContexts; ++c) {
      for (; end <= c * kCtxLen; ++document) end += 100 + random.below(800);
      documents[c] = document;
    }
    const std::vector<TokenId> tokens(kTokens);
    text::write_token_file(folder.path() / "tokens.safetensors", tokens, documents, kCtxLen);
    return Sample{index::Reader::open(folder.path() / "index.safetensors"),
                  text::TokenFile::open(folder.path() / "tokens.safetensors")};
  }();
  return made;
}

/// Counts and disjointness of every latent's windows.
void check(const examples::LatentExamples& e, const examples::Options& options) {
  std::set<std::uint32_t> seen;
  std::size_t windows = 0;
  for (const auto* part : {&e.explain, &e.test, &e.refine, &e.explain_silent, &e.test_silent, &e.refine_silent}) {
    for (const examples::Window& w : *part) seen.insert(w.start);
    windows += part->size();
  }
  if (seen.size() != windows) throw std::runtime_error("a window serves twice");
  const bool plenty = e.window_count >= 1000 && e.silent_count >= 5000;
  if (plenty && (e.explain.size() != options.explain || e.test.size() != options.test ||
                 e.test_silent.size() != options.silent || !e.documents_disjoint))
    throw std::runtime_error("a latent with plenty of windows has not all that were asked for");
}

double wall_seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

void build_all(benchmark::State& state) {
  const auto threads = static_cast<std::size_t>(state.range(0));
  examples::Options options;
  options.test = 50;
  options.refine = static_cast<std::uint32_t>(state.range(2));
  options.split_documents = state.range(1) != 0;
  options.center = state.range(3) != 0;
  std::vector<examples::Builder> builders;
  for (std::size_t i = 0; i < threads; ++i) builders.emplace_back(sample().reader, sample().tokens, options);
  std::uint64_t alive = 0;
  if (options.split_documents) {
    for (std::uint32_t f = 0; f < kLatents; ++f) {
      const examples::LatentExamples e = builders[0].build(LatentId{f});
      check(e, options);
      alive += e.status == examples::Status::ok ? 1 : 0;
    }
  }
  double wall = 0.0;
  double processor = 0.0;
  double reading = 0.0;
  for (auto _ : state) {
    const double begin = wall_seconds();
    const double processor_begin = bench::processor_seconds();
    parallel_for(kLatents, threads, [&](std::size_t item, std::size_t worker) {
      benchmark::DoNotOptimize(builders[worker].build(LatentId{static_cast<std::uint32_t>(item)}));
    });
    state.SetIterationTime(wall_seconds() - begin);
    wall += wall_seconds() - begin;
    const double middle = bench::processor_seconds();
    processor += middle - processor_begin;
    std::uint64_t sum = 0;
    for (std::uint32_t f = 0; f < kLatents; ++f) {
      const index::Firings found = sample().reader.firings(LatentId{f});
      for (const std::uint32_t p : found.position) sum += p;
      for (const std::uint16_t bits : found.half_bits) sum += bits;
    }
    benchmark::DoNotOptimize(sum);
    reading += bench::processor_seconds() - middle;
  }
  const double count = double{kLatents} * static_cast<double>(state.iterations());
  state.counters["latents/s"] = count / wall;
  state.counters["latents/cpu-s"] = count / processor;
  state.counters["cpu/read"] = processor / reading;
  if (alive > 0) state.counters["alive"] = static_cast<double>(alive);
}

}  // namespace
}  // namespace gloss

int main(int argc, char** argv) {
  benchmark::AddCustomContext("commit", GLOSS_BENCH_COMMIT);
  benchmark::AddCustomContext("compiler", __VERSION__);
  benchmark::AddCustomContext("shape", "1,048,576 tokens, F = 32768, K = 32, frequencies 1/rank");
  benchmark::RegisterBenchmark("build/threads/by_document/refine/center", gloss::build_all)
      ->Args({1, 1, 0, 0})
      ->Args({2, 1, 0, 0})
      ->Args({2, 0, 0, 0})
      ->Args({2, 1, 20, 0})
      ->Args({2, 1, 0, 1})
      ->UseManualTime()
      ->Unit(benchmark::kMillisecond);
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
