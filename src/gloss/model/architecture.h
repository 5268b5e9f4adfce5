#pragma once
/// Model families as data: how config.json becomes a Config, and which tensors such a model has. A family is one file
/// arch_NAME.cpp and its rows of architectures(); the forward pass knows none of them.
#include <array>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "gloss/formats/json_file.h"
#include "gloss/model/config.h"

namespace gloss::model {

/// Where a tensor goes. qkv and mlp_in are several products with one input, one below the other (rows). Shapes:
/// embedding, head [V, D]; positions [max_context, D]; *_norm, *_post_norm [D]; qkv [(H + 2 G) E, D] for G key/value
/// heads; q_norm, k_norm [E]; attn_out [D, H E]; mlp_in [2 I, D] (gate, then up) or [I, D]; down [D, I]; a bias is as
/// long as its product has rows.
enum class Part : std::uint8_t {
  embedding,
  positions,
  final_norm,
  final_norm_bias,
  head,
  attn_norm,  // from here on: one for each layer
  attn_norm_bias,
  qkv,
  qkv_bias,
  q_norm,
  k_norm,
  attn_out,
  attn_out_bias,
  attn_post_norm,
  mlp_norm,
  mlp_norm_bias,
  mlp_in,
  mlp_in_bias,
  down,
  down_bias,
  mlp_post_norm
};
inline constexpr std::size_t kPartCount = 21;
constexpr bool is_of_layer(Part part) { return part >= Part::attn_norm; }

/// One tensor the files must hold: what it is called, what shape it must have, and which rows of which part it fills.
struct PlannedTensor {
  std::string name;
  std::vector<std::uint64_t> shape;  // as stored
  std::string because;               // the keys of config.json that make the shape
  Part part;
  std::uint32_t layer = 0;  // 0 for parts that belong to no layer
  std::uint64_t first_row = 0;
  /// Stored as [in, out], as GPT-2's Conv1D does; a part is [out, in].
  bool transposed = false;
  /// Not all rows: of every `stride` rows those from `offset`, `block` of them. 0 = all.
  struct Pick {
    std::uint64_t block = 0, stride = 0, offset = 0;
  } pick = {};

  /// Rows of the part that it fills.
  std::uint64_t rows() const {
    const std::uint64_t stored = transposed ? shape[1] : shape[0];
    return pick.block == 0 ? stored : stored / pick.stride * pick.block;
  }
};

struct Architecture {
  std::string_view name;         // model_type of config.json
  std::string_view class_name;   // architectures[0] of config.json
  std::string_view description;  // one line
  /// Errors: bad_input: a key is missing, of the wrong type, out of bounds, unsupported, or disagrees with another.
  Config (*read)(const formats::Fields& fields);
  std::vector<PlannedTensor> (*plan)(const Config& config);
  /// What the plan's names begin with; and what stands there in files that were saved from another class, "" = nothing.
  std::string_view prefix;
  std::array<std::string_view, 3> other_prefixes;
};

/// The table. First come, first taken.
std::span<const Architecture> architectures();
/// The row of a Config. Requires: made by parse_config.
const Architecture& architecture_of(const Config& config);

/// Errors: bad_input: no JSON object, an architecture that is not in the table (lists those that are), or what read()
/// says.
Config parse_config(std::string_view json, const std::string& where);

}  // namespace gloss::model
