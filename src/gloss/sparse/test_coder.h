#pragma once
/// For tests: small coder folders in the sparsify layout.
#include <cstdint>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "gloss/base/testing.h"
#include "gloss/formats/safetensors.h"

namespace gloss::sparse {

using testing::error_of;
using testing::TemporaryFolder;

struct TestTensor {
  std::vector<std::uint64_t> shape;
  std::vector<float> values;
};

/// A coder in memory; tests change `config` (cfg.json) or `tensors` before writing it.
struct TestCoder {
  nlohmann::json config;
  std::map<std::string, TestTensor> tensors;

  /// D = 2, F = 3, K = 2: encoder rows (1,0), (0,1), (1,-1) with biases 0, 0.5, -3; decoder rows (1,0), (0,2), (1,1);
  /// b_dec (1,1).
  static TestCoder small();
  static TestCoder random(std::uint64_t width, std::uint64_t latents, std::uint32_t k, std::uint64_t seed);
  void write(const std::filesystem::path& folder, formats::Dtype dtype = formats::Dtype::f32) const;
};

}  // namespace gloss::sparse
