#pragma once
/// Model families as data: how config.json becomes a Config, and which tensors such a model has. A family is one file
/// arch_NAME.cpp and one row of architectures(); the forward pass knows none of them.
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "gloss/formats/json_file.h"
#include "gloss/model/subject_model.h"

namespace gloss::model {

/// Where a tensor goes. qkv and gate_up are several tensors of the file, one below the other (rows), so that one
/// product serves all of them. Shapes: embedding, head [V, D]; *_norm [D]; qkv [(H + 2 G) E, D] for G key/value heads;
/// attn_out [D, H E]; gate_up [2 I, D]; down [D, I].
enum class Part : std::uint8_t { embedding, final_norm, head, attn_norm, qkv, attn_out, mlp_norm, gate_up, down };
inline constexpr std::size_t kPartCount = 9;

/// One tensor the files must hold: what it is called, what shape it must have, and which rows of which part it fills.
struct PlannedTensor {
  std::string name;
  std::vector<std::uint64_t> shape;
  std::string because;  // the keys of config.json that make the shape
  Part part;
  std::uint32_t layer = 0;  // 0 for parts that belong to no layer
  std::uint64_t first_row = 0;
};

struct Architecture {
  std::string_view name;         // model_type of config.json
  std::string_view class_name;   // architectures[0] of config.json
  std::string_view description;  // one line
  /// Errors: bad_input: a key is missing, of the wrong type, out of bounds, unsupported, or disagrees with another.
  Config (*read)(const formats::Fields& fields);
  std::vector<PlannedTensor> (*plan)(const Config& config);
};

/// The table. First come, first taken.
std::span<const Architecture> architectures();
/// The row of a Config. Requires: made by parse_config.
const Architecture& architecture_of(const Config& config);

/// Errors: bad_input: no JSON object, an architecture that is not in the table (lists those that are), or what read()
/// says.
Config parse_config(std::string_view json, const std::string& where);

/// arch_llama.cpp
Config read_llama(const formats::Fields& fields);
std::vector<PlannedTensor> plan_llama(const Config& config);

}  // namespace gloss::model
