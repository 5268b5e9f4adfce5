#pragma once
/// The `pre_tokenizer` of tokenizer.json: how a text is cut before the model sees it.
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "gloss/text/split.h"

namespace gloss::text {

/// A text being cut. Spans ascend and lie in `text`, which points to the caller's text or to `owned`.
struct Pieces {
  std::string_view text;
  std::vector<Span> spans;
  std::string owned;
  /// The first piece begins where the document begins.
  bool at_start = false;
  /// Pieces are bytes, each of which stands for its byte-level character (byte_level.h).
  bool raw_bytes = false;

  Pieces(std::string_view whole, bool at_document_start);
  Pieces(const Pieces&) = delete;
  Pieces& operator=(const Pieces&) = delete;
};

/// A list of steps, in order; empty = a text is one piece. Types: ByteLevel, Split, Digits, Punctuation, Metaspace,
/// Whitespace, WhitespaceSplit, BertPreTokenizer, CharDelimiterSplit, Sequence.
class PreTokenizer {
 public:
  /// `json` may be null. Errors: bad_input, beginning with `where`, when malformed or of another type.
  static PreTokenizer parse(const nlohmann::json& json, const std::string& where);

  void apply(Pieces& pieces) const;

 private:
  struct ByteLevel {
    bool add_prefix_space;
    bool use_regex;
    Regex words;
    bool last = false;  // then characters for bytes need not be written out
  };
  struct Split {
    Pattern pattern;
    SplitBehavior behavior;
    bool invert;
  };
  struct Digits {
    bool individual;
  };
  struct Punctuation {
    SplitBehavior behavior;
  };
  enum class PrependScheme { always, first, never };
  struct Metaspace {
    std::string replacement;
    PrependScheme scheme;
    bool split;
  };
  struct Whitespace {};       // words, and what is between them and no white space
  struct WhitespaceSplit {};  // what white space is between
  struct Bert {};             // the same, cut at punctuation
  using Step = std::variant<ByteLevel, Split, Digits, Punctuation, Metaspace, Whitespace, WhitespaceSplit, Bert>;

  bool add_simple(const std::string& type);
  void add(const nlohmann::json& json, const std::string& where, int depth);
  static ByteLevel parse_byte_level(const nlohmann::json& json, const std::string& where);
  static Metaspace parse_metaspace(const nlohmann::json& json, const std::string& where);

  static void run(const ByteLevel& step, Pieces& pieces);
  static void run(const Split& step, Pieces& pieces);
  static void run(const Digits& step, Pieces& pieces);
  static void run(const Punctuation& step, Pieces& pieces);
  static void run(const Metaspace& step, Pieces& pieces);
  static void run(const Whitespace& step, Pieces& pieces);
  static void run(const WhitespaceSplit& step, Pieces& pieces);
  static void run(const Bert& step, Pieces& pieces);

  std::vector<Step> steps_;
};

}  // namespace gloss::text
