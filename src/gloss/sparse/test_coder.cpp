#include "gloss/sparse/test_coder.h"

#include <stdexcept>

#include "gloss/base/output_file.h"
#include "gloss/base/random.h"

namespace gloss::sparse {

TestCoder TestCoder::small() {
  TestCoder t;
  t.config = {{"d_in", 2}, {"num_latents", 3}, {"k", 2}, {"activation", "topk"}};
  t.tensors = {{"encoder.weight", {{3, 2}, {1, 0, 0, 1, 1, -1}}},
               {"encoder.bias", {{3}, {0, 0.5F, -3}}},
               {"W_dec", {{3, 2}, {1, 0, 0, 2, 1, 1}}},
               {"b_dec", {{2}, {1, 1}}}};
  return t;
}

TestCoder TestCoder::random(std::uint64_t width, std::uint64_t latents, std::uint32_t k, std::uint64_t seed) {
  Random random = Random::for_purpose(seed, "test coder");
  const auto draw = [&](std::vector<std::uint64_t> shape) {
    TestTensor t{std::move(shape), {}};
    std::uint64_t count = 1;
    for (const std::uint64_t n : t.shape) count *= n;
    for (std::uint64_t i = 0; i < count; ++i) t.values.push_back(static_cast<float>(random.normal()));
    return t;
  };
  TestCoder t;
  t.config = {{"d_in", width}, {"num_latents", latents}, {"k", k}};
  t.tensors["encoder.weight"] = draw({latents, width});
  t.tensors["encoder.bias"] = draw({latents});
  t.tensors["W_dec"] = draw({latents, width});
  t.tensors["b_dec"] = draw({width});
  return t;
}

void TestCoder::write(const std::filesystem::path& folder, formats::Dtype dtype) const {
  std::filesystem::create_directories(folder);
  std::vector<formats::SafeTensorsWriter::Declared> declared;
  for (const auto& [name, t] : tensors) declared.push_back({name, dtype, t.shape});
  formats::SafeTensorsWriter writer(folder / "sae.safetensors", declared, {});
  for (const auto& [name, t] : tensors) {
    if (dtype == formats::Dtype::f32) {
      writer.write_values<float>(t.values);
    } else if (dtype == formats::Dtype::f64) {
      writer.write_values<double>(std::vector<double>(t.values.begin(), t.values.end()));
    } else {
      throw std::logic_error("TestCoder::write: f32 or f64");
    }
  }
  writer.commit();
  write_file(folder / "cfg.json", config.dump() + "\n");
}

}  // namespace gloss::sparse
