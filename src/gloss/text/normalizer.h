#pragma once
/// The `normalizer` of tokenizer.json: what is done to a text before it is cut.
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "gloss/text/charsmap.h"
#include "gloss/text/split.h"
#include "gloss/text/unicode.h"

namespace gloss::formats {
class Fields;
}

namespace gloss::text {

/// A list of steps, in order; empty = the text stays as it is. Types: NFC, NFD, NFKC, NFKD, Lowercase, StripAccents,
/// BertNormalizer, Precompiled, Nmt, ByteLevel, Prepend, Replace, Strip, Sequence. A key of our own, longest_match,
/// makes Precompiled replace as SentencePiece itself does.
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
  struct Form {
    NormalForm form;
  };
  struct Lowercase {};
  struct StripAccents {};
  struct Bert {
    bool clean;  // drops controls, makes every white space a space
    bool space_around_han;
    bool strip_accents;
    bool lowercase;
  };
  struct Precompiled {
    Charsmap map;
    bool longest;
  };
  struct Nmt {};
  struct ByteLevel {};
  struct Strip {
    bool left;
    bool right;
  };
  using Step = std::variant<Prepend, Replace, Form, Strip, Lowercase, StripAccents, Bert, Precompiled, Nmt, ByteLevel>;

  void add(const nlohmann::json& json, const std::string& where, int depth);
  void add_charsmap(const formats::Fields& fields);
  static Bert parse_bert(const formats::Fields& fields);
  static std::string run_bert(const Bert& step, std::string_view text);
  static std::string run(const Step& step, std::string text);

  std::vector<Step> steps_;
};

/// `text` without white space at its beginning, its end, or both.
std::string_view strip_white_space(std::string_view text, bool left, bool right);

}  // namespace gloss::text
