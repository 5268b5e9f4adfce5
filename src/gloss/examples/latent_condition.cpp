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
  enum class What : std::uint8_t { any, all, negation, kind, alive, density, firings, max };
  enum class Order : std::uint8_t { below, at_most, above, at_least };
  What what{};
  std::vector<Node> parts;  // of any, all and negation
  index::LatentKind kind{};
  Order order{};
  double number = 0.0;
};

namespace {

using Node = LatentCondition::Node;

constexpr std::size_t kDeepest = 64;  // of brackets and negations, so that no text exhausts the stack

bool is_space(char c) { return c == ' ' || c == '\t'; }
bool is_word(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
}

std::optional<Node::What> number_named(std::string_view word) {
  if (word == "density") return Node::What::density;
  if (word == "firings") return Node::What::firings;
  if (word == "max") return Node::What::max;
  return {};
}

class Parser {
 public:
  Parser(std::string_view text, const LatentCondition::Fail& fail) : text_(text), fail_(fail) {}

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
    if (const auto number = number_named(word)) {
      at_ += word.size();
      node.what = *number;
      node.order = order();
      node.number = this->number();
      return node;
    }
    node.what = word == "alive" ? Node::What::alive : Node::What::kind;
    if (word != "alive") {
      const auto kind = index::find_kind(word);
      if (!kind) refuse(unknown(word));
      node.kind = *kind;
    }
    at_ += word.size();
    return node;
  }
  static std::string unknown(std::string_view word) {
    std::vector<std::string> names = {"alive", "density", "firings", "max"};
    for (const index::KindInfo& kind : index::latent_kinds()) names.emplace_back(kind.name);
    if (word.empty()) return fmt::format("wanted one of {}", fmt::join(names, ", "));
    const std::string nearest = nearest_name(std::string(word), names);
    return nearest.empty() ? fmt::format("'{}' is none of {}", word, fmt::join(names, ", "))
                           : fmt::format("'{}' is not known; did you mean '{}'?", word, nearest);
  }
  Node::Order order() {
    const bool less = take('<');
    if (!less && !take('>')) refuse("wanted <, <=, > or >=");
    const bool equal = at_ < text_.size() && text_[at_] == '=';
    if (equal) ++at_;
    if (less) return equal ? Node::Order::at_most : Node::Order::below;
    return equal ? Node::Order::at_least : Node::Order::above;
  }
  double number() {
    skip();
    double value = 0.0;
    const char* begin = text_.data() + at_;
    const auto [end, error] = std::from_chars(begin, text_.data() + text_.size(), value);
    if (error != std::errc() || !(value >= 0.0)) refuse("wanted a number from 0");
    at_ += static_cast<std::size_t>(end - begin);
    if (at_ < text_.size() && is_word(text_[at_])) refuse("wanted a number from 0");
    return value;
  }

  std::string_view text_;
  const LatentCondition::Fail& fail_;
  std::size_t at_ = 0, depth_ = 0;
};

bool compare(double value, Node::Order order, double with) {
  switch (order) {
    case Node::Order::below:
      return value < with;
    case Node::Order::at_most:
      return value <= with;
    case Node::Order::above:
      return value > with;
    case Node::Order::at_least:
      return value >= with;
  }
  return false;
}

double ask(const std::function<double(LatentId)>& property, LatentId latent, std::string_view name) {
  if (!property)
    throw Error(ErrorKind::usage, "--latents", fmt::format("asks for {}, which is not known before a cache", name));
  return property(latent);
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
    case Node::What::alive:
      return ask(of.firings, latent, "alive") > 0.0;
    case Node::What::density:
      return compare(ask(of.density, latent, "density"), node.order, node.number);
    case Node::What::firings:
      return compare(ask(of.firings, latent, "firings"), node.order, node.number);
    case Node::What::max:
      return compare(ask(of.max, latent, "max"), node.order, node.number);
    case Node::What::kind:
      break;
  }
  if (node.kind == index::LatentKind::dead) return ask(of.firings, latent, "dead") == 0.0;
  if (!of.is_kind)
    throw Error(ErrorKind::usage, "--latents",
                fmt::format("asks for '{}', which is not known before a cache", index::info(node.kind).name));
  return of.is_kind(node.kind, latent);
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

LatentCondition LatentCondition::parse(std::string_view text, const Fail& fail) {
  LatentCondition condition;
  condition.root_ = std::make_shared<const Node>(Parser(text, fail).whole());
  return condition;
}

bool LatentCondition::holds(LatentId latent, const LatentProperties& of) const {
  return examples::holds(*root_, latent, of);
}

}  // namespace gloss::examples
