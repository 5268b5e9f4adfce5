/// Judgements into results.db and out again, in transactions of 200 latents. The limit is 200,000 written a second.
#include <benchmark/benchmark.h>

#include <filesystem>
#include <stdexcept>
#include <string>

#include "gloss/base/random.h"
#include "gloss/store/store.h"

namespace gloss {
namespace {

constexpr std::uint32_t kLatents = 2000;
constexpr std::size_t kJudgements = 100;  // of a latent
constexpr std::uint32_t kTransaction = 200;

/// Five judgements a call, as a language model gives them, or none, as a pattern does.
std::vector<std::vector<score::Judgement>> judgements(bool calls) {
  Random random = Random::for_purpose(1, "bench-store");
  std::vector<std::vector<score::Judgement>> all(kLatents);
  std::string hash;
  for (std::vector<score::Judgement>& latent : all) {
    for (const std::uint64_t window : random.sample(300'000, kJudgements)) {
      if (calls && latent.size() % 5 == 0) {
        hash.clear();
        for (int i = 0; i < 32; ++i) hash += "0123456789abcdef"[random.below(16)];
      }
      score::Judgement j;
      j.start = static_cast<std::uint32_t>(32 * window);
      j.truth = random.below(2) == 1;
      j.verdict = static_cast<score::Verdict>(random.below(2));
      j.probability = static_cast<float>(random.uniform());
      j.call_hash = hash;
      latent.push_back(j);
    }
  }
  return all;
}

void write_all(store::Store& store, const std::vector<std::vector<score::Judgement>>& all) {
  for (std::uint32_t latent = 0; latent < kLatents;) {
    store::Store::Transaction transaction(store);
    for (std::uint32_t i = 0; i < kTransaction; ++i, ++latent)
      store.put_score({"layers.5", "default", "detection", "llm", score::summarize(LatentId{latent}, all[latent], 10)},
                      all[latent]);
    transaction.commit();
  }
}

std::filesystem::path file_name() { return std::filesystem::temp_directory_path() / "gloss-bench-store.db"; }

void remove_file() {
  for (const char* suffix : {"", "-wal", "-shm"}) std::filesystem::remove(file_name().string() + suffix);
}

void write_judgements(benchmark::State& state) {
  const auto all = judgements(state.range(0) != 0);
  double bytes = 0;
  for (auto _ : state) {
    state.PauseTiming();
    remove_file();
    state.ResumeTiming();
    store::Store store(file_name());
    write_all(store, all);
    state.PauseTiming();
    if (store.judgements("layers.5", LatentId{7}, "default", "detection", "llm").size() != kJudgements)
      throw std::runtime_error("judgements are missing");
    state.ResumeTiming();
  }
  bytes = static_cast<double>(std::filesystem::file_size(file_name()));
  constexpr double kRows = static_cast<double>(kLatents) * kJudgements;
  state.counters["judgements/s"] = benchmark::Counter(kRows, benchmark::Counter::kIsIterationInvariantRate);
  state.counters["bytes/judgement"] = bytes / kRows;  // with the rows of scores and calls
  remove_file();
}
BENCHMARK(write_judgements)->ArgName("calls")->Arg(0)->Arg(1)->Unit(benchmark::kMillisecond)->UseRealTime();

void read_judgements(benchmark::State& state) {
  remove_file();
  store::Store store(file_name());
  write_all(store, judgements(true));
  std::size_t rows = 0;
  for (auto _ : state) {
    for (std::uint32_t latent = 0; latent < kLatents; ++latent)
      rows += store.judgements("layers.5", LatentId{latent}, "default", "detection", "llm").size();
  }
  if (rows != state.iterations() * kLatents * kJudgements) throw std::runtime_error("judgements are missing");
  state.counters["judgements/s"] = benchmark::Counter(static_cast<double>(rows), benchmark::Counter::kIsRate);
  remove_file();
}
BENCHMARK(read_judgements)->Unit(benchmark::kMillisecond)->UseRealTime();

}  // namespace
}  // namespace gloss

int main(int argc, char** argv) {
  benchmark::AddCustomContext("compiler", __VERSION__);
  benchmark::AddCustomContext("commit", GLOSS_BENCH_COMMIT);
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
}
