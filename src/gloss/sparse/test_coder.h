#pragma once
/// For tests: small coder folders in the sparsify layout.
#include <cstdint>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "gloss/base/error.h"
#include "gloss/formats/safetensors.h"

namespace gloss::sparse {

/// A folder of its own below the system's temporary folder; removed with everything in it.
class TemporaryFolder {
 public:
  TemporaryFolder();
  ~TemporaryFolder();
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

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

/// The message of the Error that `act` throws, "no error" when it throws none.
template <class Act>
std::string error_of(const Act& act) {
  try {
    act();
  } catch (const Error& e) {
    return e.what();
  }
  return "no error";
}

}  // namespace gloss::sparse
