#pragma once
/// The `post_processor` of tokenizer.json: special tokens around a text.
#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string>
#include <vector>

#include "gloss/base/ids.h"

namespace gloss::text {

/// Of a single text; pairs are not made here. Types: TemplateProcessing, BertProcessing, RobertaProcessing, ByteLevel
/// (which changes no ids), Sequence.
class PostProcessor {
 public:
  /// `json` may be null. Errors: bad_input, beginning with `where`, when malformed, of another type, or with an id that
  /// is not below `token_count`.
  static PostProcessor parse(const nlohmann::json& json, std::uint32_t token_count, const std::string& where);

  std::span<const TokenId> before() const& { return before_; }
  std::span<const TokenId> before() && = delete;
  std::span<const TokenId> behind() const& { return behind_; }
  std::span<const TokenId> behind() && = delete;

 private:
  void add(const nlohmann::json& json, std::uint32_t token_count, const std::string& where, int depth);
  void add_template(const nlohmann::json& json, std::uint32_t token_count, const std::string& where);

  std::vector<TokenId> before_;
  std::vector<TokenId> behind_;
};

}  // namespace gloss::text
