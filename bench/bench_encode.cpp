// Exact top-K encoding against the bare matrix product of the same shapes, in the same run. The result is checked
// against a dense product with a selection first. Arguments: rows, D, F, K. "MB beyond weights" is how far the resident
// memory rose above the packed weights while the first batch was encoded, work buffers and results included.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <benchmark/benchmark.h>
#include <malloc.h>

#include <chrono>
#include <cmath>
#include <cstdint>
#include <fstream>
#include <string>
#include <vector>

#include "gloss/base/parallel.h"
#include "gloss/sparse/encoder.h"

namespace gloss::sparse {
namespace {

struct Problem {
  at::Tensor x, weight, bias;
  std::uint32_t k;

  explicit Problem(const benchmark::State& state)
      : x(at::randn({state.range(0), state.range(1)})),
        weight(at::randn({state.range(2), state.range(1)}) / std::sqrt(static_cast<double>(state.range(1)))),
        bias(at::randn({state.range(2)}) * 0.1),
        k(static_cast<std::uint32_t>(state.range(3))) {}
  EncoderInput input() const { return {x.data_ptr<float>(), nullptr, static_cast<std::size_t>(x.size(0))}; }
};

double seconds(const auto& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

/// A line of /proc/self/status in megabytes; not a number when there is none.
double memory_mb(const std::string& name) {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.rfind(name + ":", 0) == 0) return std::stod(line.substr(name.size() + 1)) * 1024e-6;
  }
  return std::nan("");
}

/// How far the resident memory rises during `work`: Linux sets its mark back when 5 is written to clear_refs. What was
/// freed before is given back first, so that it is not used again unseen.
double megabytes_taken(const auto& work) {
  malloc_trim(0);
  std::ofstream("/proc/self/clear_refs") << 5;
  const double before = memory_mb("VmRSS");
  work();
  return memory_mb("VmHWM") - before;
}

/// The values must be those of a dense selection, up to rounding.
bool agrees(const Problem& p, const std::vector<float>& value) {
  const at::Tensor z = at::relu(at::addmm(p.bias, p.x, p.weight.t()));
  const at::Tensor wanted = std::get<0>(z.topk(p.k, 1));
  const at::Tensor got = at::from_blob(const_cast<float*>(value.data()), wanted.sizes(), at::kFloat);
  return at::allclose(got, wanted, 1e-4, 1e-4);
}

void encode(benchmark::State& state) {
  const at::NoGradGuard no_gradients;
  at::manual_seed(1);
  const Problem p(state);
  const std::size_t threads = available_threads();
  at::set_num_threads(static_cast<int>(threads));
  TopkEncoder encoder;
  encoder.pack(p.weight.data_ptr<float>(), p.bias.data_ptr<float>(), static_cast<std::size_t>(p.weight.size(0)),
               static_cast<std::size_t>(p.weight.size(1)), threads);
  std::vector<std::uint32_t> latent(static_cast<std::size_t>(p.x.size(0)) * p.k);
  std::vector<float> value(latent.size());
  const auto run = [&] { encoder.encode(p.input(), p.k, threads, {latent.data(), value.data()}); };
  state.counters["MB beyond weights"] = megabytes_taken(run);
  if (!agrees(p, value)) {
    state.SkipWithError("the result differs from a dense selection");
    return;
  }
  at::Tensor z = at::empty({p.x.size(0), p.weight.size(0)});
  double product = 0.0;
  double encoded = 0.0;
  for (auto unused : state) {  // in turn, so that both meet the same machine
    product += seconds([&] { at::mm_out(z, p.x, p.weight.t()); });
    const double time = seconds(run);
    encoded += time;
    state.SetIterationTime(time);
  }
  state.counters["ratio to bare product"] = encoded / product;
  state.counters["rows/s"] = benchmark::Counter(static_cast<double>(state.iterations() * state.range(0)) / encoded);
  state.counters["GFLOP/s"] = 2e-9 * static_cast<double>(state.iterations()) * static_cast<double>(state.range(0)) *
                              static_cast<double>(state.range(1)) * static_cast<double>(state.range(2)) / encoded;
}
BENCHMARK(encode)
    ->Args({2048, 768, 32768, 32})
    ->Args({1024, 768, 131072, 32})
    ->Args({4096, 64, 2048, 4})
    ->Args({4096, 512, 8192, 64})
    ->UseManualTime()
    ->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace gloss::sparse

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  benchmark::AddCustomContext("threads", std::to_string(gloss::available_threads()));
  benchmark::AddCustomContext("kernels", std::string(gloss::sparse::kernels().name));
  benchmark::AddCustomContext("compiler", __VERSION__);
  benchmark::AddCustomContext("commit", GLOSS_BENCH_COMMIT);
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
}
