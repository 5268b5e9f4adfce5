// Neighbours of all latents against the bare product of all pairs, and logit weights against the bare product with
// W_U, each in the same run. Results are checked against plain loops on a sample of latents first. The bare products
// are made in blocks, since [F, F] does not fit, and measured on a sample of blocks that is spread over the run.
// Arguments: neighbours F, D; logit_weights F, V, D. The size of issue 5 (minutes; 131,072 latents of width 768):
//   bench_neighbours --full --benchmark_filter=neighbours/131072
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <benchmark/benchmark.h>
#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>
#include <ctime>
#include <fstream>
#include <string>
#include <vector>

#include "gloss/base/parallel.h"
#include "gloss/sparse/logit_weights.h"
#include "gloss/sparse/neighbours.h"

namespace gloss::sparse {
namespace {

constexpr std::int64_t kBlock = 1024;
constexpr std::size_t kNearest = 10;

/// Of the clock, and of all processors together, which other work on the machine hardly touches.
struct Seconds {
  double wall = 0.0, processor = 0.0;

  void add(const Seconds& other, double times) {
    wall += times * other.wall;
    processor += times * other.processor;
  }
};

Seconds seconds(const auto& work) {
  const auto start = std::chrono::steady_clock::now();
  const std::clock_t begin = std::clock();
  work();
  return {std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count(),
          static_cast<double>(std::clock() - begin) / CLOCKS_PER_SEC};
}

/// Bytes that the process has held at most since reset_peak().
void reset_peak() { std::ofstream("/proc/self/clear_refs") << "5"; }
double peak_bytes() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("VmHWM:")) return 1024.0 * std::stod(line.substr(6));
  }
  return 0.0;
}
double held_bytes() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("VmRSS:")) return 1024.0 * std::stod(line.substr(6));
  }
  return 0.0;
}

std::span<const float> span_of(const at::Tensor& t) {
  return {t.data_ptr<float>(), static_cast<std::size_t>(t.numel())};
}

/// Seconds of a [rows, D] x [D, columns] product in blocks of rows, from `sampled` of them spread evenly.
Seconds bare_product(const at::Tensor& rows, const at::Tensor& columns, std::int64_t sampled) {
  const std::int64_t blocks = (rows.size(0) + kBlock - 1) / kBlock;
  const std::int64_t count = std::min(sampled, blocks);
  at::Tensor z = at::empty({std::min(kBlock, rows.size(0)), columns.size(0)});
  at::mm_out(z, rows.narrow(0, 0, z.size(0)), columns.t());  // pages and threads are there from here
  Seconds time;
  for (std::int64_t i = 0; i < count; ++i) {
    const at::Tensor part = rows.narrow(0, std::min(i * blocks / count * kBlock, rows.size(0) - z.size(0)), z.size(0));
    time.add(seconds([&] { at::mm_out(z, part, columns.t()); }),
             static_cast<double>(blocks) / static_cast<double>(count));
  }
  return time;
}

/// The nearest of a sample of latents, in f64.
bool agrees(const at::Tensor& rows, const Neighbours& found) {
  const at::Tensor unit = rows.to(at::kDouble);
  const at::Tensor norm = unit.norm(2, 1);
  for (std::int64_t i = 0; i < 20; ++i) {
    const std::int64_t f = i * (rows.size(0) - 1) / 19;
    at::Tensor cosine = at::mv(unit, unit[f]) / (norm * norm[f]);
    cosine[f] = -2.0;
    const at::Tensor wanted = std::get<0>(cosine.topk(kNearest));
    for (std::size_t j = 0; j < kNearest; ++j) {
      const std::size_t at = static_cast<std::size_t>(f) * kNearest + j;
      const double best = wanted[static_cast<std::int64_t>(j)].item<double>();
      if (std::abs(double{found.cosine[at]} - best) > 2e-6 ||
          std::abs(cosine[found.latent[at]].item<double>() - best) > 2e-6)
        return false;
    }
  }
  return true;
}

void neighbours(benchmark::State& state) {
  const at::NoGradGuard no_gradients;
  at::manual_seed(1);
  const at::Tensor rows = at::randn({state.range(0), state.range(1)});
  const std::size_t threads = available_threads();
  SilentReporter reporter;
  Neighbours found;
  Seconds bare;
  Seconds own;
  double peak = 0.0;
  for (auto unused : state) {  // the bare product before and after, so that both meet the same machine
    bare.add(bare_product(rows, rows, 8), 0.5);
    const double before = held_bytes();
    reset_peak();
    const Seconds time = seconds([&] {
      found = cosine_neighbours(RowSource::of(span_of(rows), static_cast<std::size_t>(rows.size(1))),
                                {kNearest, threads, "neighbours"}, reporter);
    });
    peak = peak_bytes() - before;
    bare.add(bare_product(rows, rows, 8), 0.5);
    own.add(time, 1.0);
    state.SetIterationTime(time.wall);
  }
  if (!agrees(rows, found)) {
    state.SkipWithError("the result differs from plain loops");
    return;
  }
  const auto f = static_cast<double>(state.range(0));
  state.counters["ratio to bare product"] = own.wall / bare.wall;
  state.counters["ratio of processor time"] = own.processor / bare.processor;
  state.counters["processor s"] = own.processor / static_cast<double>(state.iterations());
  state.counters["bare product s"] = bare.wall / static_cast<double>(state.iterations());
  state.counters["memory MiB"] = peak / 1048576.0;
  state.counters["of it rows MiB"] = f * static_cast<double>(state.range(1)) * 4.0 / 1048576.0;
  state.counters["latents/s"] = f * static_cast<double>(state.iterations()) / own.wall;
}

bool agrees(const at::Tensor& decoder, const at::Tensor& tokens, const LogitWeights& found) {
  for (std::int64_t i = 0; i < 20; ++i) {
    const std::int64_t f = i * (decoder.size(0) - 1) / 19;
    const at::Tensor z = at::mv(tokens.to(at::kDouble), decoder[f].to(at::kDouble));
    const at::Tensor high = std::get<0>(z.topk(kNearest));
    const at::Tensor low = std::get<0>(z.topk(kNearest, -1, false));
    const double tolerance = 1e-5 * z.abs().max().item<double>();
    for (std::size_t j = 0; j < kNearest; ++j) {
      const std::size_t at = static_cast<std::size_t>(f) * kNearest + j;
      const auto place = static_cast<std::int64_t>(j);
      if (std::abs(double{found.promoted_weight[at]} - high[place].item<double>()) > tolerance ||
          std::abs(double{found.suppressed_weight[at]} - low[place].item<double>()) > tolerance ||
          std::abs(z[found.promoted[at]].item<double>() - high[place].item<double>()) > tolerance)
        return false;
    }
    const at::Tensor centred = z - z.mean();
    const double variance = centred.pow(2).mean().item<double>();
    const double kurtosis = centred.pow(4).mean().item<double>() / (variance * variance);
    if (std::abs(double{found.moments[static_cast<std::size_t>(f) * 4 + 3]} - kurtosis) > 1e-3 * kurtosis) return false;
  }
  return true;
}

void logit_weights_of_all(benchmark::State& state) {
  const at::NoGradGuard no_gradients;
  at::manual_seed(1);
  const at::Tensor decoder = at::randn({state.range(0), state.range(2)});
  const at::Tensor tokens = at::randn({state.range(1), state.range(2)}) + 0.1;
  const auto width = static_cast<std::size_t>(state.range(2));
  SilentReporter reporter;
  LogitOptions options;
  options.n = kNearest;
  options.threads = available_threads();
  LogitWeights found;
  Seconds bare;
  Seconds own;
  double peak = 0.0;
  for (auto unused : state) {
    bare.add(bare_product(decoder, tokens, 8), 0.5);
    const double before = held_bytes();
    reset_peak();
    const Seconds time = seconds([&] {
      found = logit_weights(RowSource::of(span_of(decoder), width), RowSource::of(span_of(tokens), width), options,
                            reporter);
    });
    peak = peak_bytes() - before;
    bare.add(bare_product(decoder, tokens, 8), 0.5);
    own.add(time, 1.0);
    state.SetIterationTime(time.wall);
  }
  if (!agrees(decoder, tokens, found)) {
    state.SkipWithError("the result differs from plain loops");
    return;
  }
  state.counters["ratio to bare product"] = own.wall / bare.wall;
  state.counters["ratio of processor time"] = own.processor / bare.processor;
  state.counters["processor s"] = own.processor / static_cast<double>(state.iterations());
  state.counters["bare product s"] = bare.wall / static_cast<double>(state.iterations());
  state.counters["memory MiB"] = peak / 1048576.0;
  state.counters["latents/s"] = static_cast<double>(state.range(0) * state.iterations()) / own.wall;
}

}  // namespace
}  // namespace gloss::sparse

int main(int argc, char** argv) {
  using namespace gloss::sparse;
  const bool full = argc > 1 && std::strcmp(argv[1], "--full") == 0;
  if (full) std::rotate(argv + 1, argv + 2, argv + argc--);
  auto* near = benchmark::RegisterBenchmark("neighbours", neighbours)->Args({16384, 768});
  auto* weights = benchmark::RegisterBenchmark("logit_weights", logit_weights_of_all)->Args({8192, 16384, 768});
  if (full) {
    near->Args({131072, 768});
    weights->Args({32768, 50257, 768});
  }
  for (auto* each : {near, weights}) each->UseManualTime()->Unit(benchmark::kMillisecond)->Iterations(1);
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  const std::size_t threads = gloss::available_threads();
  at::set_num_threads(static_cast<int>(threads));
  benchmark::AddCustomContext("threads", std::to_string(threads));
  benchmark::AddCustomContext("kernels", std::string(kernels().name));
  benchmark::AddCustomContext("compiler", __VERSION__);
  benchmark::AddCustomContext("commit", GLOSS_BENCH_COMMIT);
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
}
