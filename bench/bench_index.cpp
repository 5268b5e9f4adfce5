/// Writing and reading the activation index, against sorting the same firings in memory and a plain read of the bytes.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <cstring>
#include <numeric>
#include <stdexcept>

#include "gloss/base/hash.h"
#include "gloss/base/mapped_file.h"
#include "gloss/index/reader.h"
#include "gloss/index/writer.h"
#include "zipf_firings.h"

namespace gloss {
namespace {

constexpr std::uint32_t kLatents = 32768;
constexpr std::uint32_t kActive = 32;
constexpr std::uint32_t kCtxLen = 256;
constexpr std::uint32_t kTokens = 1024 * kCtxLen;

const std::vector<index::Firing>& firings() {
  static const std::vector<index::Firing> made = bench::zipf_firings(kLatents, kActive, kTokens);
  return made;
}

void write_index(const std::filesystem::path& folder, std::uint64_t memory) {
  SilentReporter reporter;
  index::WriterOptions options;
  options.hookpoint = "layers.0";
  options.latent_count = kLatents;
  options.ctx_len = kCtxLen;
  options.memory_bytes = memory;
  index::Writer writer(folder, options);
  const std::size_t batch = std::size_t{16} * kCtxLen * kActive;
  for (std::size_t begin = 0; begin < firings().size(); begin += batch)
    writer.append(std::span(firings()).subspan(begin, batch), (begin + batch) / kActive);
  writer.finish(kTokens, 0, reporter);
}

/// What any way of making the index has to do: a counting sort in memory. Returns positions and activations by latent.
std::pair<std::vector<std::uint32_t>, std::vector<float>> sort_in_memory() {
  std::vector<std::uint64_t> cursor(kLatents + 1);
  for (const index::Firing& f : firings()) ++cursor[f.latent + 1];
  std::partial_sum(cursor.begin(), cursor.end(), cursor.begin());
  std::vector<std::uint32_t> positions(firings().size());
  std::vector<float> activations(firings().size());
  for (const index::Firing& f : firings()) {
    const std::uint64_t at = cursor[f.latent]++;
    positions[at] = f.position;
    activations[at] = f.activation;
  }
  return {std::move(positions), std::move(activations)};
}

void check(const std::filesystem::path& file) {
  const index::Reader reader = index::Reader::open(file);
  reader.verify();
  const auto positions = sort_in_memory().first;
  auto wanted = positions.begin();
  for (std::uint32_t f = 0; f < kLatents; ++f) {
    const index::Firings found = reader.firings(LatentId{f});
    if (!std::equal(found.position.begin(), found.position.end(), wanted))
      throw std::runtime_error("the index differs from the firings sorted in memory");
    wanted += static_cast<std::ptrdiff_t>(found.size());
  }
}

void write(benchmark::State& state) {
  const bench::ScratchFolder folder("bench-index");
  const auto memory = static_cast<std::uint64_t>(state.range(0)) << 20;
  write_index(folder.path(), memory);
  check(folder.path() / "index.safetensors");
  double whole = 0.0;
  double sorting = 0.0;
  for (auto _ : state) {
    const double begin = bench::processor_seconds();
    write_index(folder.path(), memory);
    const double middle = bench::processor_seconds();
    benchmark::DoNotOptimize(sort_in_memory());
    sorting += bench::processor_seconds() - middle;
    whole += middle - begin;
    state.SetIterationTime(middle - begin);
  }
  const double count = static_cast<double>(firings().size()) * static_cast<double>(state.iterations());
  state.counters["firings/cpu-s"] = count / whole;
  state.counters["cpu/sort"] = whole / sorting;
}

void read(benchmark::State& state) {
  const bench::ScratchFolder folder("bench-index");
  write_index(folder.path(), std::uint64_t{1} << 28);
  check(folder.path() / "index.safetensors");
  const MappedFile file = MappedFile::open(folder.path() / "index.safetensors");
  double whole = 0.0;
  double plain = 0.0;
  for (auto _ : state) {
    const double begin = bench::processor_seconds();
    const index::Reader reader = index::Reader::parse(file);
    std::uint64_t sum = 0;
    for (std::uint32_t f = 0; f < kLatents; ++f) {
      const index::Firings found = reader.firings(LatentId{f});
      for (const std::uint32_t p : found.position) sum += p;
      for (const std::uint16_t bits : found.half_bits) sum += bits;
    }
    benchmark::DoNotOptimize(sum);
    const double middle = bench::processor_seconds();
    std::uint64_t words = 0;
    const auto bytes = file.bytes();
    for (std::size_t i = 0; i + 4 <= bytes.size(); i += 4) {
      std::uint32_t word = 0;
      std::memcpy(&word, bytes.data() + i, sizeof(word));
      words += word;
    }
    benchmark::DoNotOptimize(words);
    plain += bench::processor_seconds() - middle;
    whole += middle - begin;
    state.SetIterationTime(middle - begin);
  }
  state.counters["bytes/cpu-s"] =
      static_cast<double>(file.bytes().size()) * static_cast<double>(state.iterations()) / whole;
  state.counters["cpu/plain-read"] = whole / plain;
}

}  // namespace
}  // namespace gloss

int main(int argc, char** argv) {
  benchmark::AddCustomContext("commit", GLOSS_BENCH_COMMIT);
  benchmark::AddCustomContext("compiler", __VERSION__);
  benchmark::AddCustomContext("shape", "262,144 tokens, F = 32768, K = 32, 8.4M firings; 1 thread");
  benchmark::RegisterBenchmark("write/memory_MiB", gloss::write)
      ->Arg(16)
      ->Arg(64)
      ->Arg(1024)
      ->UseManualTime()
      ->Unit(benchmark::kMillisecond);
  benchmark::RegisterBenchmark("read", gloss::read)->UseManualTime()->Unit(benchmark::kMillisecond);
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
