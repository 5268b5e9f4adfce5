// The tests of a pattern: what each means, and which of them hold at a token.
#include <algorithm>
#include <array>

#include "gloss/explain/pattern_window.h"

namespace gloss::explain {
namespace {

constexpr std::array<std::string_view, kWhereCount> kWhereNames{"here", "before", "word-before", "within"};
constexpr std::array<std::string_view, kWhatCount> kWhatNames{"any",  "token",  "text",   "so-far",
                                                              "word", "prefix", "suffix", "class"};

bool has_text(const Test& test, std::string_view text) {
  return std::find(test.texts.begin(), test.texts.end(), text) != test.texts.end();
}

bool has_prefix(const Test& test, std::string_view text) {
  return std::any_of(test.texts.begin(), test.texts.end(), [&](const std::string& p) { return text.starts_with(p); });
}

bool has_suffix(const Test& test, std::string_view text) {
  return std::any_of(test.texts.begin(), test.texts.end(), [&](const std::string& s) { return text.ends_with(s); });
}

bool has_class(const Test& test, std::uint32_t classes) {
  return std::any_of(test.ids.begin(), test.ids.end(), [&](std::uint32_t c) { return (classes >> c & 1U) != 0; });
}

bool word_holds(const Test& test, const WindowText& window, const WindowText::Word& word, bool whole) {
  const std::string_view text = window.text_of(word);
  switch (test.what) {
    case What::any:
      return true;
    case What::word:
      return whole && !word.cut && has_text(test, text);
    case What::prefix:
      return !word.cut && has_prefix(test, text);
    case What::suffix:
      return has_suffix(test, text);
    case What::token_class:
      return has_class(test, word.classes);
    default:
      return false;
  }
}

bool token_holds(const Test& test, const WindowText& window, std::size_t t) {
  const WindowText::Token& token = window.token(t);
  const WindowText::Word* word = window.word_of(t);
  const std::string_view so_far = window.so_far(t);
  switch (test.what) {
    case What::any:
      return true;
    case What::token:
      return std::find(test.ids.begin(), test.ids.end(), token.id) != test.ids.end();
    case What::text:
      return std::find(test.ids.begin(), test.ids.end(), token.text) != test.ids.end();
    case What::so_far:
      return word != nullptr && !word->cut && has_text(test, so_far);
    case What::word:
      return word != nullptr && !word->open && word_holds(test, window, *word, true);
    case What::prefix:
      return word != nullptr && !word->cut && has_prefix(test, so_far);
    case What::suffix:
      return word != nullptr && has_suffix(test, so_far);
    case What::token_class:
      return has_class(test, token.classes);
  }
  return false;
}

/// Tokens count as a whole in `within` where they are no part of a word.
bool within_holds(const Test& test, const WindowText& window, std::size_t t) {
  const std::size_t first = t - std::min<std::size_t>(t, test.distance);
  if (test.what == What::word) {
    for (std::size_t j = 1;; ++j) {
      const WindowText::Word* word = window.word_before(t, j);
      if (word == nullptr || word->last < first) return false;
      if (word_holds(test, window, *word, true)) return true;
    }
  }
  for (std::size_t i = first; i < t; ++i) {
    if (window.token(i).word == WindowText::kNoWord && token_holds(test, window, i)) return true;
  }
  return false;
}

std::uint64_t mix(std::uint64_t x) {
  x = (x ^ (x >> 32)) * 0xd6e8feb86659fd93ULL;
  x = (x ^ (x >> 32)) * 0xd6e8feb86659fd93ULL;
  return x ^ (x >> 32);
}

std::uint64_t hash_text(std::string_view text) {
  std::uint64_t h = 0xcbf29ce484222325ULL;
  for (const char c : text) h = (h ^ static_cast<unsigned char>(c)) * 0x100000001b3ULL;
  return mix(h);
}

/// Byte offsets at which characters begin, from the end: [0] is the start of the last character.
std::size_t back_one(std::string_view text, std::size_t at) {
  do --at;
  while (at > 0 && (static_cast<unsigned char>(text[at]) & 0xC0U) == 0x80U);
  return at;
}

std::size_t forward_one(std::string_view text, std::size_t at) {
  do ++at;
  while (at < text.size() && (static_cast<unsigned char>(text[at]) & 0xC0U) == 0x80U);
  return at;
}

constexpr std::size_t kShortest = 2, kLongest = 4;  // characters of a prefix or suffix

/// Collects what holds; one place and distance at a time.
class Collector {
 public:
  explicit Collector(std::vector<Candidate>& out) : out_(out) {}

  void at(Where where, std::size_t distance) {
    where_ = where;
    distance_ = static_cast<std::uint8_t>(distance);
  }
  void id(What what, std::uint32_t id) { out_.push_back({where_, distance_, what, id, {}}); }
  void text(What what, std::string_view text) {
    if (text.size() <= kLongestText) out_.push_back({where_, distance_, what, 0, text});
  }
  void classes(std::uint32_t bits) {
    for (; bits != 0; bits &= bits - 1) id(What::token_class, static_cast<std::uint32_t>(__builtin_ctz(bits)));
  }
  void prefixes(std::string_view text) {
    std::size_t at = 0;
    for (std::size_t n = 1; n <= kLongest && at < text.size(); ++n) {
      at = forward_one(text, at);
      if (n >= kShortest) this->text(What::prefix, text.substr(0, at));
    }
  }
  void suffixes(std::string_view text) {
    std::size_t at = text.size();
    for (std::size_t n = 1; n <= kLongest && at > 0; ++n) {
      at = back_one(text, at);
      if (n >= kShortest) this->text(What::suffix, text.substr(at));
    }
  }

 private:
  std::vector<Candidate>& out_;
  Where where_ = Where::here;
  std::uint8_t distance_ = 0;
};

constexpr std::size_t kClassesBefore = 2, kTextsBefore = 3, kWordsBefore = 3;

void collect_here(const WindowText& window, std::size_t t, Collector& collect) {
  const WindowText::Token& token = window.token(t);
  collect.at(Where::here, 0);
  collect.id(What::any, 0);
  collect.id(What::token, token.id);
  collect.id(What::text, token.text);
  collect.classes(token.classes);
  const WindowText::Word* word = window.word_of(t);
  if (word == nullptr) return;
  const std::string_view so_far = window.so_far(t);
  if (!word->cut) {
    collect.text(What::so_far, so_far);
    collect.prefixes(so_far);
    if (!word->open) collect.text(What::word, window.text_of(*word));
  }
  collect.suffixes(so_far);
}

void collect_before(const WindowText& window, std::size_t t, Collector& collect) {
  for (std::size_t d = 1; d <= std::min(kFarthest, t); ++d) {
    const WindowText::Token& token = window.token(t - d);
    collect.at(Where::before, d);
    collect.id(What::token, token.id);
    if (d <= kTextsBefore) collect.id(What::text, token.text);
    if (d <= kClassesBefore) collect.classes(token.classes & ~bit_of(TokenClass::in_quotation));
  }
  for (std::size_t j = 1; j <= kWordsBefore; ++j) {
    const WindowText::Word* word = window.word_before(t, j);
    if (word == nullptr) break;
    collect.at(Where::word_before, j);
    if (!word->cut) collect.text(What::word, window.text_of(*word));
    collect.suffixes(window.text_of(*word));
  }
}

/// Tests at 8 tokens hold at 16 too. A word that comes twice gives its test twice; the learner counts keys once.
void collect_within(const WindowText& window, std::size_t t, Collector& collect) {
  for (const std::size_t reach : {kWidest / 2, kWidest}) {
    const std::size_t first = t - std::min(t, reach);
    collect.at(Where::within, reach);
    for (std::size_t j = 1;; ++j) {
      const WindowText::Word* word = window.word_before(t, j);
      if (word == nullptr || word->last < first) break;
      if (!word->cut) collect.text(What::word, window.text_of(*word));
    }
    for (std::size_t i = first; i < t; ++i) {
      if (window.token(i).word == WindowText::kNoWord) collect.id(What::text, window.token(i).text);
    }
  }
}

}  // namespace

std::string_view name_of(Where w) { return kWhereNames[static_cast<std::size_t>(w)]; }
std::string_view name_of(What w) { return kWhatNames[static_cast<std::size_t>(w)]; }

bool holds(const Test& test, const WindowText& window, std::size_t t) {
  switch (test.where) {
    case Where::here:
      return token_holds(test, window, t);
    case Where::before:
      return test.distance <= t && token_holds(test, window, t - test.distance);
    case Where::word_before: {
      const WindowText::Word* word = window.word_before(t, test.distance);
      return word != nullptr && word_holds(test, window, *word, true);
    }
    case Where::within:
      return within_holds(test, window, t);
  }
  return false;
}

std::uint64_t Candidate::key() const {
  const std::uint64_t tag =
      static_cast<std::uint64_t>(where) << 13U | std::uint64_t{distance} << 8U | static_cast<std::uint64_t>(what);
  const std::uint64_t value = text.empty() ? mix(id + 1) : hash_text(text);
  return mix(value + tag * 0x9e3779b97f4a7c15ULL);
}

Test Candidate::test() const {
  Test test{where, distance, what, {}, {}};
  if (!text.empty()) {
    test.texts = {std::string(text)};
  } else if (what != What::any) {
    test.ids = {id};
  }
  return test;
}

void candidates_at(const WindowText& window, std::size_t t, std::vector<Candidate>& out) {
  out.clear();
  Collector collect(out);
  collect_here(window, t, collect);
  collect_before(window, t, collect);
  collect_within(window, t, collect);
}

}  // namespace gloss::explain
