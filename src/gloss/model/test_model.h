#pragma once
/// For tests: small random Llama models written as Hugging Face folders, and a forward pass in plain double loops that
/// the real one must agree with.
#include <cstdint>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "gloss/base/ids.h"
#include "gloss/base/testing.h"
#include "gloss/formats/safetensors.h"
#include "gloss/model/hookpoint.h"
#include "gloss/model/subject_model.h"

namespace gloss::model {

using testing::error_of;
using testing::TemporaryFolder;

struct TestTensor {
  std::vector<std::uint64_t> shape;
  std::vector<float> values;
};

/// A model in memory; tests change `json` or `tensors` before writing it.
struct TestModel {
  nlohmann::json json;  // config.json
  Config config;        // what json says
  std::map<std::string, TestTensor> tensors;

  /// Normal weights whose rows keep the scale of what they are given; gains near 1. Every value is exact in bf16 and
  /// f16, so that the stored type changes nothing.
  static TestModel make(const Config& config, std::uint64_t seed);

  void write_config(const std::filesystem::path& folder) const;
  /// config.json and model.safetensors.
  void write(const std::filesystem::path& folder, formats::Dtype dtype = formats::Dtype::f32) const;
  /// config.json, the index and its shards; tensors go to the shards in turn.
  void write_sharded(const std::filesystem::path& folder, std::size_t shards) const;
};

/// What a pass computes, row-major: activations [N, D] by hookpoint, logits [N, V].
struct ReferencePass {
  std::map<Hookpoint, std::vector<double>> activations;
  std::vector<double> logits;
};
/// Shapes: tokens [B, T].
ReferencePass reference_pass(const TestModel& model, std::span<const TokenId> tokens, std::uint32_t batch);

std::vector<TokenId> random_tokens(std::size_t count, std::uint32_t vocabulary, std::uint64_t seed);
std::vector<Hookpoint> all_hookpoints(std::uint32_t layers);

}  // namespace gloss::model
