#include "gloss/examples/latent_condition.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <stdexcept>
#include <utility>
#include <vector>

#include "gloss/base/error.h"

namespace gloss::examples {

struct LatentCondition::Node {
  enum class What : std::uint8_t { any, all, negation, test };
  What what{};
  std::vector<Node> parts;  // of any, all and negation
  Test test;
};

namespace {

using Node = LatentCondition::Node;
using Test = LatentCondition::Test;
using Order = LatentCondition::Order;

constexpr std::size_t kDeepest = 64;  // of brackets and negations, so that no text exhausts the stack

bool is_space(char c) { return c == ' ' || c == '\t'; }
bool is_word(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
}

std::optional<Test::What> number_named(std::string_view word) {
  if (word == "density") return Test::What::density;
  if (word == "firings") return Test::What::firings;
  if (word == "max") return Test::What::max;
  return {};
}

class Parser {
 public:
  Parser(std::string_view text, const LatentCondition::Fail& fail, std::span<const std::string> further)
      : text_(text), fail_(fail), further_(further) {}

  Node whole() {
    Node node = any();
    if (skip(); at_ < text_.size()) refuse(fmt::format("'{}' follows a whole condition", text_.substr(at_)));
    return node;
  }

 private:
  [[noreturn]] void refuse(std::string_view what) {
    fail_(at_, what);
    throw std::logic_error("a fault of a condition must throw");
  }
  void skip() {
    while (at_ < text_.size() && is_space(text_[at_])) ++at_;
  }
  std::string_view peek_word() {
    skip();
    std::size_t end = at_;
    while (end < text_.size() && is_word(text_[end])) ++end;
    return text_.substr(at_, end - at_);
  }
  bool take_word(std::string_view wanted) {
    if (peek_word() != wanted) return false;
    at_ += wanted.size();
    return true;
  }
  bool take(char wanted) {
    skip();
    if (at_ >= text_.size() || text_[at_] != wanted) return false;
    ++at_;
    return true;
  }

  Node any() {
    return list(Node::What::any, "or", [this] { return all(); });
  }
  Node all() {
    return list(Node::What::all, "and", [this] { return negation(); });
  }
  template <class Part>
  Node list(Node::What what, std::string_view word, const Part& part) {
    Node node = part();
    if (peek_word() != word) return node;
    Node joined;
    joined.what = what;
    joined.parts.push_back(std::move(node));
    while (take_word(word)) joined.parts.push_back(part());
    return joined;
  }
  Node negation() {
    if (++depth_ > kDeepest) refuse("is nested too deeply");
    Node node;
    if (take_word("not")) {
      node.what = Node::What::negation;
      node.parts.push_back(negation());
    } else if (take('(')) {
      node = any();
      if (!take(')')) refuse("a ')' is missing");
    } else {
      node = atom();
    }
    --depth_;
    return node;
  }
  Node atom() {
    const std::string_view word = peek_word();
    Node node;
    node.what = Node::What::test;
    Test& test = node.test;
    if (const auto number = number_named(word)) {
      at_ += word.size();
      test.what = *number;
      test.order = order();
      test.number = this->number(false);
      return node;
    }
    if (const std::string_view name = further_named(); !name.empty()) {
      at_ += name.size();
      test.what = Test::What::further;
      test.further = static_cast<std::size_t>(std::find(further_.begin(), further_.end(), name) - further_.begin());
      test.order = order();
      test.number = number(true);
      return node;
    }
    test.what = word == "alive" ? Test::What::alive : Test::What::kind;
    if (word != "alive") {
      const auto kind = index::find_kind(word);
      if (!kind) refuse(unknown(word));
      test.kind = *kind;
    }
    at_ += word.size();
    return node;
  }
  /// The further number whose name comes next, or "".
  std::string_view further_named() const {
    std::size_t end = at_;
    while (end < text_.size() && (is_word(text_[end]) || text_[end] == '.')) ++end;
    const std::string_view word = text_.substr(at_, end - at_);
    return std::find(further_.begin(), further_.end(), word) == further_.end() ? std::string_view() : word;
  }
  std::string unknown(std::string_view word) const {
    std::vector<std::string> names = {"alive", "density", "firings", "max"};
    for (const index::KindInfo& kind : index::latent_kinds()) names.emplace_back(kind.name);
    names.insert(names.end(), further_.begin(), further_.end());
    if (word.empty()) return fmt::format("wanted one of {}", fmt::join(names, ", "));
    const std::string nearest = nearest_name(std::string(word), names);
    return nearest.empty() ? fmt::format("'{}' is none of {}", word, fmt::join(names, ", "))
                           : fmt::format("'{}' is not known; did you mean '{}'?", word, nearest);
  }
  Order order() {
    const bool less = take('<');
    if (!less && !take('>')) refuse("wanted <, <=, > or >=");
    const bool equal = at_ < text_.size() && text_[at_] == '=';
    if (equal) ++at_;
    if (less) return equal ? Order::at_most : Order::below;
    return equal ? Order::at_least : Order::above;
  }
  double number(bool may_be_negative) {
    skip();
    const char* wanted = may_be_negative ? "wanted a number" : "wanted a number from 0";
    double value = 0.0;
    const char* begin = text_.data() + at_;
    const auto [end, error] = std::from_chars(begin, text_.data() + text_.size(), value);
    if (error != std::errc() || !(value >= 0.0 || (may_be_negative && value < 0.0))) refuse(wanted);
    at_ += static_cast<std::size_t>(end - begin);
    if (at_ < text_.size() && is_word(text_[at_])) refuse(wanted);
    return value;
  }

  std::string_view text_;
  const LatentCondition::Fail& fail_;
  std::span<const std::string> further_;
  std::size_t at_ = 0, depth_ = 0;
};

double ask(const std::function<double(LatentId)>& property, LatentId latent, std::string_view name) {
  if (!property)
    throw Error(ErrorKind::usage, "--latents", fmt::format("asks for {}, which is not known before a cache", name));
  return property(latent);
}

bool holds(const Test& test, LatentId latent, const LatentProperties& of) {
  const auto compared = [&](const std::function<double(LatentId)>& property, std::string_view name) {
    return LatentCondition::compare(ask(property, latent, name), test.order, test.number);
  };
  switch (test.what) {
    case Test::What::alive:
      return ask(of.firings, latent, "alive") > 0.0;
    case Test::What::density:
      return compared(of.density, "density");
    case Test::What::firings:
      return compared(of.firings, "firings");
    case Test::What::max:
      return compared(of.max, "max");
    case Test::What::further:
      throw std::logic_error("further numbers are asked for by rows() alone");
    case Test::What::kind:
      break;
  }
  if (test.kind == index::LatentKind::dead) return ask(of.firings, latent, "dead") == 0.0;
  if (!of.is_kind)
    throw Error(ErrorKind::usage, "--latents",
                fmt::format("asks for '{}', which is not known before a cache", index::info(test.kind).name));
  return of.is_kind(test.kind, latent);
}

bool holds(const Node& node, LatentId latent, const LatentProperties& of) {
  const auto part = [&](const Node& n) { return holds(n, latent, of); };
  switch (node.what) {
    case Node::What::any:
      return std::any_of(node.parts.begin(), node.parts.end(), part);
    case Node::What::all:
      return std::all_of(node.parts.begin(), node.parts.end(), part);
    case Node::What::negation:
      return !part(node.parts.front());
    case Node::What::test:
      break;
  }
  return holds(node.test, latent, of);
}

LatentCondition::Rows rows_of(const Node& node, const std::function<LatentCondition::Rows(const Test&)>& test) {
  if (node.what == Node::What::test) return test(node.test);
  LatentCondition::Rows rows = rows_of(node.parts.front(), test);
  if (node.what == Node::What::negation) {
    for (std::uint8_t& row : rows) row ^= 1U;
    return rows;
  }
  for (std::size_t i = 1; i < node.parts.size(); ++i) {
    const LatentCondition::Rows more = rows_of(node.parts[i], test);
    if (node.what == Node::What::all) {
      for (std::size_t r = 0; r < rows.size(); ++r) rows[r] &= more[r];
    } else {
      for (std::size_t r = 0; r < rows.size(); ++r) rows[r] |= more[r];
    }
  }
  return rows;
}

}  // namespace

bool LatentCondition::looks_like(std::string_view text) {
  if (text.find_first_of("<>()") != std::string_view::npos) return true;
  while (!text.empty() && is_space(text.front())) text.remove_prefix(1);
  std::size_t end = 0;
  while (end < text.size() && is_word(text[end])) ++end;
  const std::string_view word = text.substr(0, end);
  const bool alone = end == text.size();
  if (word == "alive" || word == "dead") return !alone;  // alone they are parts of their own
  return word == "not" || (index::find_kind(word) && (alone || is_space(text[end])));
}

bool LatentCondition::compare(double value, Order order, double with) {
  switch (order) {
    case Order::below:
      return value < with;
    case Order::at_most:
      return value <= with;
    case Order::above:
      return value > with;
    case Order::at_least:
      return value >= with;
  }
  return false;
}

LatentCondition LatentCondition::parse(std::string_view text, const Fail& fail, std::span<const std::string> further) {
  LatentCondition condition;
  condition.root_ = std::make_shared<const Node>(Parser(text, fail, further).whole());
  return condition;
}

bool LatentCondition::holds(LatentId latent, const LatentProperties& of) const {
  return examples::holds(*root_, latent, of);
}

LatentCondition::Rows LatentCondition::rows(const std::function<Rows(const Test&)>& test) const {
  return rows_of(*root_, test);
}

}  // namespace gloss::examples
