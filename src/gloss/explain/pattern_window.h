#pragma once
/// Private to `pattern`: a window as words, classes and tokens, and the tests that can be asked of it.
///
/// The model is causal, so everything a test sees lies at or before the token it is asked of; the one exception is the
/// whole word a token is part of. And a judge sees the window alone, so a word cut by the window's edge is known to be
/// cut: only its end can be tested.
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "gloss/explain/pattern_vocabulary.h"

namespace gloss::explain {

/// What a token is, or where it stands.
enum class TokenClass : std::uint8_t {
  word_start,
  continuation,
  capitalised,  // the word it is part of begins with a capital
  all_caps,     // the word so far: 2 or more letters, all capitals
  digit,
  number_word,  // the word so far is one of "zero", "one", ... "million"
  punctuation,
  sentence_end,  // . ! ?
  newline,
  opening_quote,
  closing_quote,
  opening_bracket,
  closing_bracket,
  non_latin,
  space,
  special,
  in_quotation,
  sentence_start,  // part of a sentence's first word
  window_start,    // the first token shown
};
constexpr std::size_t kClassCount = 19;
constexpr std::size_t kFarthest = 8;      // tokens or words before
constexpr std::size_t kWidest = 16;       // tokens that `within` looks at
constexpr std::size_t kLongestText = 64;  // bytes of a value
/// How the class is written in a program.
std::string_view name_of(TokenClass c);

constexpr std::uint32_t bit_of(TokenClass c) { return 1U << static_cast<unsigned>(c); }

/// Reused from window to window. Indexes are token offsets in the window.
class WindowText {
 public:
  static constexpr std::int32_t kNoWord = -1;
  struct Token {
    std::uint32_t id = 0, text = 0;
    std::uint32_t classes = 0;      // bits of TokenClass
    std::int32_t word = kNoWord;    // the word it ends in
    std::int32_t words_before = 0;  // number of words that began before the one it ends in (or before it)
    std::uint32_t so_far_end = 0;   // the word so far is folded [word.begin, so_far_end)
  };
  struct Word {
    std::uint32_t begin = 0, end = 0;   // in the folded text
    std::uint32_t first = 0, last = 0;  // tokens
    std::uint32_t classes = 0;          // of its last token
    bool cut = false;                   // began before the window
    bool open = false;                  // may go on after the window
  };

  /// Shapes: ids [W]. Errors: bad_input for an id that the vocabulary has not.
  void read(const Vocabulary::Impl& vocabulary, std::span<const TokenId> ids);

  std::size_t size() const { return tokens_.size(); }
  const Token& token(std::size_t t) const { return tokens_[t]; }
  /// The j-th word before token t (1: the one before), or nullptr.
  const Word* word_before(std::size_t t, std::size_t j) const {
    const std::int32_t i = tokens_[t].words_before - static_cast<std::int32_t>(j);
    return i >= 0 ? &words_[static_cast<std::size_t>(i)] : nullptr;
  }
  const Word* word_of(std::size_t t) const {
    return tokens_[t].word == kNoWord ? nullptr : &words_[static_cast<std::size_t>(tokens_[t].word)];
  }
  std::string_view text_of(const Word& w) const { return std::string_view(folded_).substr(w.begin, w.end - w.begin); }
  /// Letters of the word that token t ends in, up to and including t; "" outside words.
  std::string_view so_far(std::size_t t) const {
    const Word* w = word_of(t);
    return w == nullptr ? std::string_view()
                        : std::string_view(folded_).substr(w->begin, tokens_[t].so_far_end - w->begin);
  }
  const std::vector<Word>& words() const { return words_; }

 private:
  struct State;
  void take(const Character& c, std::size_t t, State& state);
  void end_word(State& state, bool open);
  void finish_token(std::size_t t, State& state);

  std::string bytes_, folded_;
  std::vector<std::uint32_t> ends_;
  std::vector<Token> tokens_;
  std::vector<Word> words_;
};

/// Which token or word a test looks at.
enum class Where : std::uint8_t {
  here,         // the token itself
  before,       // exactly `distance` tokens before
  word_before,  // the distance-th word before
  within,       // any of the `distance` tokens before, as whole words and other tokens
};
constexpr std::size_t kWhereCount = 4;
enum class What : std::uint8_t { any, token, text, so_far, word, prefix, suffix, token_class };
constexpr std::size_t kWhatCount = 8;
std::string_view name_of(Where w);
std::string_view name_of(What w);

/// One test; it holds when one of its values does. `ids` for token, text (index in Vocabulary::Impl::texts) and
/// token_class, `texts` for so_far, word, prefix and suffix; neither for any.
struct Test {
  Where where = Where::here;
  std::uint8_t distance = 0;
  What what = What::any;
  std::vector<std::uint32_t> ids;
  std::vector<std::string> texts;

  bool operator==(const Test&) const = default;
};

/// Whether the test holds at token t: the definition, asked value by value.
bool holds(const Test& test, const WindowText& window, std::size_t t);

/// One value that a test would accept at a token.
struct Candidate {
  Where where;
  std::uint8_t distance;
  What what;
  std::uint32_t id;       // token, text (its index) or token_class
  std::string_view text;  // so_far, word, prefix, suffix
  /// The same for candidates that are the same test.
  std::uint64_t key() const;
  Test test() const;
};
/// Every test the learner considers that holds at token t, in a fixed order, a few of them twice; `out` is cleared
/// first. Lifetime: of `window`'s text.
void candidates_at(const WindowText& window, std::size_t t, std::vector<Candidate>& out);

}  // namespace gloss::explain
