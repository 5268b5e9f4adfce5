#include "gloss/explain/pattern_window.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "gloss/base/error.h"
#include "gloss/base/utf8.h"

namespace gloss::explain {
namespace {

constexpr std::array<std::string_view, kClassCount> kClassNames{
    "word-start",    "continuation",    "capitalised",     "all-caps",    "digit",
    "number-word",   "punctuation",     "sentence-end",    "newline",     "opening-quote",
    "closing-quote", "opening-bracket", "closing-bracket", "non-latin",   "space",
    "special",       "in-quotation",    "sentence-start",  "window-start"};

constexpr std::array<std::string_view, 37> kNumberWords{
    "zero",     "one",       "two",      "three",     "four",    "five",     "six",      "seven",
    "eight",    "nine",      "ten",      "eleven",    "twelve",  "thirteen", "fourteen", "fifteen",
    "sixteen",  "seventeen", "eighteen", "nineteen",  "twenty",  "thirty",   "forty",    "fifty",
    "sixty",    "seventy",   "eighty",   "ninety",    "hundred", "thousand", "million",  "billion",
    "trillion", "dozen",     "hundreds", "thousands", "millions"};

bool is_number_word(std::string_view word) {
  return std::find(kNumberWords.begin(), kNumberWords.end(), word) != kNumberWords.end();
}

bool in_word(CharKind kind) { return kind == CharKind::letter || kind == CharKind::digit; }

}  // namespace

std::string_view name_of(TokenClass c) { return kClassNames[static_cast<std::size_t>(c)]; }

/// Where the reading stands between two characters.
struct WindowText::State {
  bool inside = false;        // a word is open
  bool before_window = true;  // nothing but the window's edge stands before
  bool after_gap = true;      // a space, newline, bracket or the edge stands before: a quote would open
  bool in_quotation = false;
  bool fresh_sentence = false;                                       // the next word is a sentence's first
  bool word_is_first = false;                                        // the open word is
  bool capitalised = false;                                          // the open word is
  std::uint32_t letters = 0, capitals = 0, digits = 0, foreign = 0;  // of the open word so far
  // of the token being read
  bool began = false;
  std::uint32_t seen = 0;   // bits of CharKind
  std::uint32_t marks = 0;  // class bits met
};

void WindowText::end_word(State& state, bool open) {
  if (!state.inside) return;
  Word& word = words_.back();
  // An apostrophe at the end was a quotation mark, not part of the word.
  while (!open && word.end > word.begin && folded_[word.end - 1] == '\'') --word.end;
  word.open = open;
  state.inside = false;
}

void WindowText::take(const Character& c, std::size_t t, State& state) {
  state.seen |= 1U << static_cast<unsigned>(c.kind);
  const bool apostrophe = c.kind == CharKind::apostrophe && state.inside && state.letters > 0;
  if (in_word(c.kind) || apostrophe) {
    if (!state.inside) {
      Word word;
      word.begin = static_cast<std::uint32_t>(folded_.size());
      word.first = static_cast<std::uint32_t>(t);
      word.cut = state.before_window;
      words_.push_back(word);
      state.inside = state.began = true;
      state.word_is_first = state.fresh_sentence;
      state.fresh_sentence = false;
      state.capitalised = c.upper;
      state.letters = state.capitals = state.digits = state.foreign = 0;
    }
    append_utf8(folded_, apostrophe ? U'\'' : c.folded);
    state.letters += c.kind == CharKind::letter ? 1 : 0;
    state.capitals += c.upper ? 1 : 0;
    state.digits += c.kind == CharKind::digit ? 1 : 0;
    state.foreign += c.latin ? 0 : 1;
    words_.back().end = static_cast<std::uint32_t>(folded_.size());
    words_.back().last = static_cast<std::uint32_t>(t);
  } else {
    end_word(state, false);
    if (c.kind == CharKind::quote) {
      state.marks |= bit_of(state.after_gap ? TokenClass::opening_quote : TokenClass::closing_quote);
      state.in_quotation = state.after_gap;
    }
    if (c.kind == CharKind::stop || c.kind == CharKind::newline) state.fresh_sentence = true;
    if (c.kind == CharKind::open) state.marks |= bit_of(TokenClass::opening_bracket);
    if (c.kind == CharKind::close) state.marks |= bit_of(TokenClass::closing_bracket);
  }
  state.after_gap = c.kind == CharKind::space || c.kind == CharKind::newline || c.kind == CharKind::open;
  state.before_window = false;
}

void WindowText::finish_token(std::size_t t, State& state) {
  Token& token = tokens_[t];
  const auto saw = [&](CharKind kind) { return (state.seen >> static_cast<unsigned>(kind) & 1U) != 0; };
  const auto set = [&](TokenClass c, bool on) { token.classes |= on ? bit_of(c) : 0; };
  token.classes |= state.marks;
  if (state.inside) {
    token.word = static_cast<std::int32_t>(words_.size()) - 1;
    token.so_far_end = static_cast<std::uint32_t>(folded_.size());
    set(TokenClass::word_start, state.began && !words_.back().cut);
    set(TokenClass::continuation, !state.began || words_.back().cut);
    set(TokenClass::capitalised, state.capitalised && !words_.back().cut);
    set(TokenClass::all_caps, state.letters >= 2 && state.capitals == state.letters);
    set(TokenClass::digit, state.digits > 0 && state.letters == 0);
    set(TokenClass::number_word, !words_.back().cut && is_number_word(so_far(t)));
    set(TokenClass::non_latin, state.foreign > 0);
    set(TokenClass::sentence_start, state.word_is_first);
  } else {
    set(TokenClass::punctuation, saw(CharKind::punctuation) || saw(CharKind::stop) || saw(CharKind::quote) ||
                                     saw(CharKind::apostrophe) || saw(CharKind::open) || saw(CharKind::close));
    set(TokenClass::space, state.seen == 1U << static_cast<unsigned>(CharKind::space));
  }
  set(TokenClass::sentence_end, !state.inside && saw(CharKind::stop));
  set(TokenClass::newline, saw(CharKind::newline));
  if (state.inside) words_.back().classes = token.classes;
  token.words_before = static_cast<std::int32_t>(words_.size()) - (state.inside ? 1 : 0);
  state.began = false;
  state.seen = state.marks = 0;
}

void WindowText::read(const Vocabulary::Impl& vocabulary, std::span<const TokenId> ids) {
  bytes_.clear();
  folded_.clear();
  ends_.clear();
  words_.clear();
  tokens_.assign(ids.size(), {});
  State state;
  for (std::size_t t = 0; t < ids.size(); ++t) {
    if (to_index(ids[t]) >= vocabulary.tokens.size()) {
      fail_input("window",
                 fmt::format("token {} is {}, the vocabulary has {}", t, to_index(ids[t]), vocabulary.tokens.size()),
                 "the tokens and the tokenizer are of different runs");
    }
    const Vocabulary::Impl::Token& known = vocabulary.tokens[to_index(ids[t])];
    if (!known.special) bytes_ += known.bytes;
    ends_.push_back(static_cast<std::uint32_t>(bytes_.size()));
  }
  std::size_t at = 0;
  for (std::size_t t = 0; t < ids.size(); ++t) {
    const Vocabulary::Impl::Token& known = vocabulary.tokens[to_index(ids[t])];
    tokens_[t].id = to_index(ids[t]);
    tokens_[t].text = known.text;
    const std::uint32_t quoted = state.in_quotation ? bit_of(TokenClass::in_quotation) : 0;
    if (known.special) {
      end_word(state, false);
      state = {};
      state.before_window = false;
      state.fresh_sentence = true;
      tokens_[t].classes = bit_of(TokenClass::special);
      tokens_[t].words_before = static_cast<std::int32_t>(words_.size());
      at = ends_[t];
    } else {
      // A character belongs to the token that completes it.
      while (at < ends_[t]) {
        const Decoded decoded = decode_utf8(std::string_view(bytes_).substr(at));
        if (at + decoded.size_bytes > ends_[t]) break;
        take(decoded.valid ? character_of(decoded.code_point) : Character{}, t, state);
        at += decoded.size_bytes;
      }
      finish_token(t, state);
      tokens_[t].classes |= quoted;
    }
    if (t == 0) tokens_[t].classes |= bit_of(TokenClass::window_start);
  }
  end_word(state, true);
}

}  // namespace gloss::explain
