#pragma once
/// The `normalizer` of tokenizer.json: what is done to a text before it is cut.
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "gloss/text/split.h"

namespace gloss::text {

/// A list of steps, in order; empty = the text stays as it is. Types: Prepend, Replace, NFC, Strip, Sequence.
class Normalizer {
 public:
  /// `json` may be null. Errors: bad_input, beginning with `where`, when malformed or of another type.
  static Normalizer parse(const nlohmann::json& json, const std::string& where);

  bool empty() const { return steps_.empty(); }
  /// Requires: well-formed UTF-8.
  std::string apply(std::string_view text) const;

 private:
  struct Prepend {
    std::string text;
  };
  struct Replace {
    Pattern pattern;
    std::string content;
  };
  struct Nfc {};
  struct Strip {
    bool left;
    bool right;
  };
  using Step = std::variant<Prepend, Replace, Nfc, Strip>;

  void add(const nlohmann::json& json, const std::string& where, int depth);
  static std::string run(const Step& step, std::string text);

  std::vector<Step> steps_;
};

/// `text` without white space at its beginning, its end, or both.
std::string_view strip_white_space(std::string_view text, bool left, bool right);

}  // namespace gloss::text
