// Co-occurrence of all latents from the index, against the bare increments it cannot do without: for every firing, one
// for each latent that fires at the same token. A sample of latents is checked against intersections first.
// Argument: memory for the turned-over index, MiB.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <iterator>
#include <stdexcept>

#include "gloss/base/parallel.h"
#include "gloss/index/cooccurrence.h"
#include "zipf_firings.h"

namespace gloss {
namespace {

constexpr std::uint32_t kLatents = 32768;
constexpr std::uint32_t kActive = 32;
constexpr std::uint32_t kCtxLen = 256;
constexpr std::uint32_t kTokens = 1024 * kCtxLen;

double seconds(const auto& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

const std::vector<index::Firing>& firings() {
  static const std::vector<index::Firing> made = bench::zipf_firings(kLatents, kActive, kTokens);
  return made;
}

index::Reader make_index(const std::filesystem::path& folder) {
  SilentReporter reporter;
  index::WriterOptions options;
  options.hookpoint = "layers.0";
  options.latent_count = kLatents;
  options.ctx_len = kCtxLen;
  index::Writer writer(folder, options);
  writer.append(firings(), kTokens);
  writer.finish(kTokens, 0, reporter);
  return index::Reader::open(folder / "index.safetensors");
}

/// The same increments with nothing around them, in the order of tokens, where a token's latents lie together.
std::uint64_t bare_increments(std::size_t threads) {
  constexpr std::uint32_t kTokensPerTask = 1024;
  std::vector<std::vector<std::uint32_t>> counts(threads, std::vector<std::uint32_t>(kLatents));
  parallel_for(kTokens / kTokensPerTask, threads, [&](std::size_t task, std::size_t worker) {
    std::vector<std::uint32_t>& count = counts[worker];
    for (std::size_t token = task * kTokensPerTask; token < (task + 1) * kTokensPerTask; ++token) {
      for (std::uint32_t i = 0; i < kActive; ++i) {
        for (std::uint32_t j = 0; j < kActive; ++j) ++count[firings()[token * kActive + j].latent];
      }
    }
  });
  return counts[0][0];
}

void check(const index::Reader& index, const index::Cooccurring& found, std::uint64_t min_count) {
  for (std::uint32_t a = 0; a < kLatents; a += kLatents / 16 + 1) {
    const auto mine = index.firings(LatentId{a}).position;
    std::vector<double> jaccard;
    for (std::uint32_t b = 0; b < kLatents; ++b) {
      const auto other = index.firings(LatentId{b}).position;
      std::vector<std::uint32_t> both;
      std::set_intersection(mine.begin(), mine.end(), other.begin(), other.end(), std::back_inserter(both));
      if (b != a && both.size() >= min_count)
        jaccard.push_back(static_cast<double>(both.size()) /
                          static_cast<double>(mine.size() + other.size() - both.size()));
    }
    std::sort(jaccard.rbegin(), jaccard.rend());
    jaccard.resize(found.n);
    for (std::size_t i = 0; i < found.n; ++i) {
      if (found.jaccard[a * found.n + i] != static_cast<float>(jaccard[i]))
        throw std::runtime_error("the result differs from intersections");
    }
  }
}

void cooccurrence(benchmark::State& state) {
  const bench::ScratchFolder folder("bench-cooccurrence");
  const index::Reader index = make_index(folder.path());
  SilentReporter reporter;
  index::CooccurrenceOptions options;
  options.threads = available_threads();
  options.memory_bytes = static_cast<std::uint64_t>(state.range(0)) << 20;
  check(index, index::cooccurring(index, options, reporter), options.min_count);
  double whole = 0.0;
  double bare = 0.0;
  for (auto unused : state) {
    bare += seconds([&] { benchmark::DoNotOptimize(bare_increments(options.threads)); });
    const double time = seconds([&] { benchmark::DoNotOptimize(index::cooccurring(index, options, reporter)); });
    whole += time;
    state.SetIterationTime(time);
  }
  const double rounds = static_cast<double>(state.iterations());
  state.counters["ratio to bare increments"] = whole / bare;
  state.counters["increments/s"] = rounds * kTokens * kActive * kActive / whole;
  state.counters["firings/s"] = rounds * static_cast<double>(firings().size()) / whole;
}
BENCHMARK(cooccurrence)->Arg(1024)->Arg(8)->UseManualTime()->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace gloss

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  benchmark::AddCustomContext("threads", std::to_string(gloss::available_threads()));
  benchmark::AddCustomContext("compiler", __VERSION__);
  benchmark::AddCustomContext("commit", GLOSS_BENCH_COMMIT);
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
}
