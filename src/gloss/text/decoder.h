#pragma once
/// The `decoder` of tokenizer.json: tokens back to text.
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "gloss/text/split.h"

namespace gloss::text {

/// A list of steps, in order. Types: ByteLevel, ByteFallback, Fuse, Strip, Replace, Metaspace, WordPiece,
/// BPEDecoder, Sequence.
class Decoder {
 public:
  /// `json` may be null. Errors: bad_input, beginning with `where`, when malformed or of another type.
  static Decoder parse(const nlohmann::json& json, const std::string& where);

  /// The text of a row of tokens. Without any step: the tokens with spaces between them.
  std::string decode(std::vector<std::string> tokens) const;
  /// The bytes of one token where it is neither the first nor the last of a text.
  std::string bytes_of(std::string_view token) const;
  /// The same of an added token, which is text where others are byte-level characters.
  std::string bytes_of_added(std::string_view token) const;

 private:
  struct ByteLevel {};
  struct ByteFallback {};
  struct Fuse {};
  struct Strip {
    std::string content;  // one character
    std::size_t start;
    std::size_t stop;
  };
  struct Replace {
    Pattern pattern;
    std::string content;
  };
  struct Metaspace {
    std::string replacement;
    bool prepends;
  };
  struct WordPiece {
    std::string prefix;  // of tokens inside a word
    bool cleanup;        // spaces before punctuation go
  };
  struct Bpe {
    std::string suffix;  // of tokens at the end of a word
  };
  using Step = std::variant<ByteLevel, ByteFallback, Fuse, Strip, Replace, Metaspace, WordPiece, Bpe>;
  using Tokens = std::vector<std::string>;

  void add(const nlohmann::json& json, const std::string& where, int depth);

  static Tokens run(const ByteLevel& step, const Tokens& tokens);
  static Tokens run(const ByteFallback& step, const Tokens& tokens);
  static Tokens run(const Fuse& step, const Tokens& tokens);
  static Tokens run(const Strip& step, const Tokens& tokens);
  static Tokens run(const Replace& step, const Tokens& tokens);
  static Tokens run(const Metaspace& step, const Tokens& tokens);
  static Tokens run(const WordPiece& step, const Tokens& tokens);
  static Tokens run(const Bpe& step, const Tokens& tokens);

  static std::string middle(const ByteLevel& step, const std::string& token);
  static std::string middle(const ByteFallback& step, const std::string& token);
  static std::string middle(const Fuse&, const std::string& token) { return token; }
  static std::string middle(const Strip&, const std::string& token) { return token; }
  static std::string middle(const Replace& step, const std::string& token);
  static std::string middle(const Metaspace& step, const std::string& token);
  static std::string middle(const WordPiece& step, const std::string& token);
  static std::string middle(const Bpe& step, const std::string& token);

  std::vector<Step> steps_;
};

}  // namespace gloss::text
