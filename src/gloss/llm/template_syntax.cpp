#include "gloss/llm/template_syntax.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>

#include "gloss/llm/template_lexer.h"

namespace gloss::llm {
namespace {

constexpr std::size_t kLargestSource = 1 << 20;
constexpr std::uint32_t kDeepestSyntax = 100;  // of brackets and blocks
constexpr std::uint32_t kDeepestTree = 250;    // of expressions: a long chain is a deep tree

std::string describe(const Word& word) {
  switch (word.kind) {
    case WordKind::text:
      return "text";
    case WordKind::open_output:
      return "'{{'";
    case WordKind::close_output:
      return "'}}'";
    case WordKind::open_tag:
      return "'{%'";
    case WordKind::close_tag:
      return "'%}'";
    case WordKind::string:
      return fmt::format("the text '{}'", word.text.substr(0, 40));
    default:
      return fmt::format("'{}'", word.text.substr(0, 40));
  }
}

class Parser {
 public:
  Parser(std::vector<Word> words, const std::string& where) : words_(std::move(words)), where_(where) {}

  Body parse() {
    Body body = parse_body();
    if (at_ < words_.size()) fail(fmt::format("'{}' closes nothing", words_[at_ + 1].text));
    return body;
  }

 private:
  /// Counts nesting, of blocks and expressions alike.
  class Deeper {
   public:
    explicit Deeper(Parser& parser) : parser_(parser) {
      if (++parser_.depth_ > kDeepestSyntax) parser_.fail(fmt::format("is nested deeper than {}", kDeepestSyntax));
    }
    ~Deeper() { --parser_.depth_; }
    Deeper(const Deeper&) = delete;
    Deeper& operator=(const Deeper&) = delete;

   private:
    Parser& parser_;
  };

  std::uint32_t line() const {
    if (words_.empty()) return 1;
    return words_[std::min(at_, words_.size() - 1)].line;
  }
  [[noreturn]] void fail(std::string_view what, std::string_view hint = {}) const {
    fail_template(where_, line(), what, hint);
  }
  bool at(WordKind kind) const { return at_ < words_.size() && words_[at_].kind == kind; }
  bool at_sign(std::string_view sign) const { return at(WordKind::sign) && words_[at_].text == sign; }
  bool at_name(std::string_view name) const { return at(WordKind::name) && words_[at_].text == name; }
  std::string here() const { return at_ < words_.size() ? describe(words_[at_]) : "the end of the template"; }
  bool take_sign(std::string_view sign) {
    const bool found = at_sign(sign);
    if (found) ++at_;
    return found;
  }
  bool take_name(std::string_view name) {
    const bool found = at_name(name);
    if (found) ++at_;
    return found;
  }
  void want_sign(std::string_view sign) {
    if (!take_sign(sign)) fail(fmt::format("found {}, wanted '{}'", here(), sign));
  }
  void want(WordKind kind, std::string_view what) {
    if (!at(kind)) fail(fmt::format("found {}, wanted {}", here(), what));
    ++at_;
  }
  std::string want_name() {
    if (!at(WordKind::name)) fail(fmt::format("found {}, wanted a name", here()));
    return words_[at_++].text;
  }

  // --- blocks -----------------------------------------------------------------------------------------------------

  /// Whether the next tag ends a body.
  bool at_end() const {
    if (!at(WordKind::open_tag) || at_ + 1 >= words_.size()) return false;
    const Word& word = words_[at_ + 1];
    return word.kind == WordKind::name && (word.text.starts_with("end") || word.text == "else" || word.text == "elif");
  }

  Body parse_body() {
    const Deeper deeper(*this);
    Body body;
    while (at_ < words_.size() && !at_end()) body.push_back(parse_node());
    return body;
  }

  /// A body and the tag that ends it, up to the tag's name.
  std::unique_ptr<Body> parse_inside(const std::string& what, const std::vector<std::string_view>& ends) {
    const std::uint32_t begin = words_[at_ - 1].line;
    auto body = std::make_unique<Body>(parse_body());
    const bool fits =
        at_ + 1 < words_.size() && std::find(ends.begin(), ends.end(), words_[at_ + 1].text) != ends.end();
    if (!fits) {
      fail_template(where_, begin,
                    fmt::format("'{}' is not closed: found {}, wanted '{}'", what,
                                at_ + 1 < words_.size() ? describe(words_[at_ + 1]) : here(), ends.back()));
    }
    ++at_;
    return body;
  }

  void end_tag(std::string_view name) {
    if (!take_name(name)) fail(fmt::format("found {}, wanted '{}'", here(), name));
    want(WordKind::close_tag, "'%}'");
  }

  Node parse_node() {
    Node node;
    node.line = line();
    if (at(WordKind::text)) {
      node.text = words_[at_++].text;
      return node;
    }
    if (at(WordKind::open_output)) {
      ++at_;
      node.kind = NodeKind::output;
      node.expr = parse_tuple();
      want(WordKind::close_output, "'}}'");
      return node;
    }
    want(WordKind::open_tag, "a tag");
    const std::string name = want_name();
    if (name == "if") {
      parse_if(node);
    } else if (name == "for") {
      parse_for(node);
    } else if (name == "set") {
      parse_set(node);
    } else if (name == "macro") {
      parse_macro(node);
    } else if (name == "break" || name == "continue") {
      if (loops_ == 0) fail(fmt::format("'{}' outside a loop", name));
      node.kind = name == "break" ? NodeKind::leave : NodeKind::next;
      want(WordKind::close_tag, "'%}'");
    } else if (name == "generation") {
      node.kind = NodeKind::group;
      want(WordKind::close_tag, "'%}'");
      node.body = parse_inside(name, {"endgeneration"});
      end_tag("endgeneration");
    } else {
      --at_;
      fail(fmt::format("'{{% {} %}}' is not supported", name),
           "known: if, for, set, macro, break, continue, generation");
    }
    return node;
  }

  void parse_if(Node& node) {
    node.kind = NodeKind::condition;
    ExprPtr condition = parse_expr();
    for (;;) {
      want(WordKind::close_tag, "'%}'");
      const bool last = condition == nullptr;
      std::unique_ptr<Body> body =
          last ? parse_inside("else", {"endif"}) : parse_inside("if", {"elif", "else", "endif"});
      node.branches.push_back({std::move(condition), std::move(body)});
      if (take_name("elif")) {
        condition = parse_expr();
      } else if (take_name("else")) {
        condition = nullptr;
      } else {
        end_tag("endif");
        return;
      }
    }
  }

  void parse_for(Node& node) {
    node.kind = NodeKind::loop;
    const bool bracket = take_sign("(");
    do {
      node.names.push_back(want_name());
    } while (take_sign(","));
    if (bracket) want_sign(")");
    if (!take_name("in")) fail(fmt::format("found {}, wanted 'in'", here()));
    node.expr = parse_either();
    if (take_name("if")) node.filter = parse_expr();
    if (at_name("recursive")) fail("'recursive' loops are not supported");
    want(WordKind::close_tag, "'%}'");
    ++loops_;
    node.body = parse_inside("for", {"else", "endfor"});
    --loops_;
    if (take_name("else")) {
      want(WordKind::close_tag, "'%}'");
      node.other = parse_inside("else", {"endfor"});
    }
    end_tag("endfor");
  }

  void parse_set(Node& node) {
    node.kind = NodeKind::assign;
    node.names.push_back(want_name());
    if (take_sign(".")) {
      node.attribute = want_name();
    } else {
      while (take_sign(",")) node.names.push_back(want_name());
    }
    if (take_sign("=")) {
      node.expr = parse_tuple();
      want(WordKind::close_tag, "'%}'");
      return;
    }
    if (node.names.size() > 1 || !node.attribute.empty()) fail(fmt::format("found {}, wanted '='", here()));
    node.kind = NodeKind::assign_body;
    want(WordKind::close_tag, "'=' or '%}'");
    node.body = parse_inside("set", {"endset"});
    end_tag("endset");
  }

  void parse_macro(Node& node) {
    node.kind = NodeKind::macro;
    node.macro = std::make_unique<MacroNode>();
    node.macro->name = want_name();
    want_sign("(");
    while (!take_sign(")")) {
      std::string parameter = want_name();
      ExprPtr fallback = take_sign("=") ? parse_expr() : nullptr;
      node.macro->parameters.emplace_back(std::move(parameter), std::move(fallback));
      if (!at_sign(")")) want_sign(",");
    }
    want(WordKind::close_tag, "'%}'");
    const std::uint32_t outer = std::exchange(loops_, 0);
    node.macro->body = parse_inside("macro", {"endmacro"});
    loops_ = outer;
    ++at_;  // its name may be said again
    if (at(WordKind::name)) ++at_;
    want(WordKind::close_tag, "'%}'");
  }

  // --- expressions, from the loosest to the tightest --------------------------------------------------------------

  ExprPtr make(ExprKind kind, std::string text = {}) const {
    auto expr = std::make_unique<Expr>();
    expr->kind = kind;
    expr->line = line();
    expr->text = std::move(text);
    return expr;
  }
  template <class... Items>
  ExprPtr make_of(ExprKind kind, std::string text, Items... items) const {
    ExprPtr expr = make(kind, std::move(text));
    (add(*expr, std::move(items)), ...);
    return expr;
  }
  void add(Expr& parent, ExprPtr item) const {
    deepen(parent, item.get());
    parent.items.push_back(std::move(item));
  }
  void deepen(Expr& parent, const Expr* item) const {
    if (item == nullptr || item->depth < parent.depth) return;
    parent.depth = item->depth + 1;
    if (parent.depth > kDeepestTree) fail(fmt::format("an expression is nested deeper than {}", kDeepestTree));
  }
  ExprPtr literal(Value value) const {
    ExprPtr expr = make(ExprKind::literal);
    expr->value = std::move(value);
    return expr;
  }

  /// An expression, or several with commas between: a list.
  ExprPtr parse_tuple() {
    ExprPtr first = parse_expr();
    if (!at_sign(",")) return first;
    ExprPtr list = make_of(ExprKind::list, "", std::move(first));
    while (take_sign(",")) {
      if (at(WordKind::close_tag) || at(WordKind::close_output)) break;
      add(*list, parse_expr());
    }
    return list;
  }

  ExprPtr parse_expr() {
    const Deeper deeper(*this);
    ExprPtr value = parse_either();
    while (take_name("if")) {
      ExprPtr condition = parse_either();
      ExprPtr other = take_name("else") ? parse_expr() : nullptr;
      value = make_of(ExprKind::choice, "", std::move(value), std::move(condition), std::move(other));
    }
    return value;
  }

  ExprPtr parse_either() {
    ExprPtr left = parse_both();
    while (take_name("or")) left = make_of(ExprKind::either, "", std::move(left), parse_both());
    return left;
  }

  ExprPtr parse_both() {
    ExprPtr left = parse_not();
    while (take_name("and")) left = make_of(ExprKind::both, "", std::move(left), parse_not());
    return left;
  }

  ExprPtr parse_not() {
    if (!at_name("not")) return parse_comparison();
    const Deeper deeper(*this);
    ++at_;
    return make_of(ExprKind::negation, "", parse_not());
  }

  std::optional<std::string> comparison_sign() {
    for (const std::string_view sign : {"==", "!=", "<=", ">=", "<", ">"}) {
      if (take_sign(sign)) return std::string(sign);
    }
    if (take_name("in")) return "in";
    if (at_name("not") && at_ + 1 < words_.size() && words_[at_ + 1].text == "in") {
      at_ += 2;
      return "not in";
    }
    return std::nullopt;
  }

  ExprPtr parse_comparison() {
    ExprPtr left = parse_operation(0);
    std::optional<std::string> sign = comparison_sign();
    if (!sign) return left;
    ExprPtr result = make_of(ExprKind::comparison, *std::move(sign), std::move(left), parse_operation(0));
    if (comparison_sign()) fail("comparisons in a chain are not supported", "write a < b and b < c");
    return result;
  }

  /// Signs of one strength, from the loosest: + and -, then ~, then * / // %, then **.
  ExprPtr parse_operation(std::size_t strength) {
    static const std::array<std::vector<std::string_view>, 4> kSigns = {
        {{"+", "-"}, {"~"}, {"*", "/", "//", "%"}, {"**"}}};
    if (strength == kSigns.size()) return parse_unary(true);
    ExprPtr left = parse_operation(strength + 1);
    for (;;) {
      const auto sign = std::find_if(kSigns[strength].begin(), kSigns[strength].end(),
                                     [&](std::string_view s) { return at_sign(s); });
      if (sign == kSigns[strength].end()) return left;
      ++at_;
      left = make_of(ExprKind::operation, std::string(*sign), std::move(left), parse_operation(strength + 1));
    }
  }

  ExprPtr parse_unary(bool with_filters) {
    const Deeper deeper(*this);
    ExprPtr value;
    if (take_sign("-")) {
      value = make_of(ExprKind::minus, "", parse_unary(false));
    } else if (take_sign("+")) {
      value = parse_unary(false);
    } else {
      value = parse_primary();
    }
    value = parse_postfix(std::move(value));
    return with_filters ? parse_filters(std::move(value)) : std::move(value);
  }

  ExprPtr parse_primary() {
    if (at(WordKind::string)) {
      std::string text;
      while (at(WordKind::string)) text += words_[at_++].text;
      return literal(Value(std::move(text)));
    }
    if (at(WordKind::number)) return parse_number();
    if (at(WordKind::name)) {
      const std::string name = words_[at_++].text;
      if (name == "true" || name == "True") return literal(Value(true));
      if (name == "false" || name == "False") return literal(Value(false));
      if (name == "none" || name == "None") return literal(Value(nullptr));
      return make(ExprKind::name, name);
    }
    if (take_sign("(")) return parse_brackets();
    if (take_sign("[")) {
      ExprPtr list = make(ExprKind::list);
      while (!take_sign("]")) {
        add(*list, parse_expr());
        if (!at_sign("]")) want_sign(",");
      }
      return list;
    }
    if (take_sign("{")) {
      ExprPtr map = make(ExprKind::map);
      while (!take_sign("}")) {
        add(*map, parse_expr());
        want_sign(":");
        add(*map, parse_expr());
        if (!at_sign("}")) want_sign(",");
      }
      return map;
    }
    fail(fmt::format("found {}, wanted an expression", here()));
  }

  ExprPtr parse_number() {
    const std::string& digits = words_[at_].text;
    const char* end = digits.data() + digits.size();
    Value value;
    if (digits.find_first_of(".eE") == std::string::npos) {
      std::int64_t whole = 0;
      if (std::from_chars(digits.data(), end, whole).ec != std::errc())
        fail(fmt::format("the number {} is too large", digits));
      value = Value(whole);
    } else {
      double real = 0.0;
      std::from_chars(digits.data(), end, real);
      value = Value(real);
    }
    ++at_;
    return literal(std::move(value));
  }

  /// After '(': an expression, or a list where there is a comma.
  ExprPtr parse_brackets() {
    if (take_sign(")")) return make(ExprKind::list);
    ExprPtr first = parse_expr();
    if (take_sign(")")) return first;
    ExprPtr list = make_of(ExprKind::list, "", std::move(first));
    while (!take_sign(")")) {
      want_sign(",");
      if (at_sign(")")) continue;
      add(*list, parse_expr());
    }
    return list;
  }

  ExprPtr parse_postfix(ExprPtr value) {
    for (;;) {
      if (take_sign(".")) {
        value = at(WordKind::number) ? make_of(ExprKind::item, "", std::move(value), parse_number())
                                     : make_of(ExprKind::attribute, want_name(), std::move(value));
      } else if (take_sign("[")) {
        value = parse_item(std::move(value));
      } else if (take_sign("(")) {
        value = make_of(ExprKind::call, "", std::move(value));
        parse_arguments(*value);
      } else {
        return value;
      }
    }
  }

  ExprPtr parse_item(ExprPtr value) {
    ExprPtr parts[3];
    std::size_t part = 0;
    bool slice = false;
    while (!take_sign("]")) {
      if (take_sign(":")) {
        slice = true;
        if (++part > 2) fail("a slice has at most three parts");
      } else {
        if (parts[part] != nullptr) fail(fmt::format("found {}, wanted ']'", here()));
        parts[part] = parse_expr();
      }
    }
    if (slice) {
      return make_of(ExprKind::slice, "", std::move(value), std::move(parts[0]), std::move(parts[1]),
                     std::move(parts[2]));
    }
    if (parts[0] == nullptr) fail("'[]' without an index");
    return make_of(ExprKind::item, "", std::move(value), std::move(parts[0]));
  }

  /// After '(', up to and with ')'.
  void parse_arguments(Expr& call) {
    while (!take_sign(")")) {
      if (at_sign("*") || at_sign("**")) fail("arguments by '*' are not supported");
      const bool named = at(WordKind::name) && at_ + 1 < words_.size() && words_[at_ + 1].kind == WordKind::sign &&
                         words_[at_ + 1].text == "=";
      if (named) {
        std::string name = want_name();
        ++at_;
        call.named.emplace_back(std::move(name), parse_expr());
        deepen(call, call.named.back().second.get());
      } else {
        add(call, parse_expr());
      }
      if (!at_sign(")")) want_sign(",");
    }
  }

  ExprPtr parse_filters(ExprPtr value) {
    for (;;) {
      if (take_sign("|")) {
        value = make_of(ExprKind::filter, want_name(), std::move(value));
        if (take_sign("(")) parse_arguments(*value);
      } else if (take_name("is")) {
        value = parse_test(std::move(value));
      } else {
        return value;
      }
    }
  }

  ExprPtr parse_test(ExprPtr value) {
    const bool negated = take_name("not");
    const std::string name = at_name("in") ? words_[at_++].text : want_name();
    ExprPtr test = make_of(ExprKind::test, name, std::move(value));
    const bool word = at(WordKind::name) && !at_name("else") && !at_name("or") && !at_name("and") && !at_name("is") &&
                      !at_name("if") && !at_name("in") && !at_name("not");
    if (take_sign("(")) {
      parse_arguments(*test);
    } else if (word || at(WordKind::string) || at(WordKind::number) || at_sign("[")) {
      add(*test, parse_postfix(parse_primary()));
    }
    return negated ? make_of(ExprKind::negation, "", std::move(test)) : std::move(test);
  }

  std::vector<Word> words_;
  const std::string& where_;
  std::size_t at_ = 0;
  std::uint32_t depth_ = 0, loops_ = 0;
};

}  // namespace

Body parse_template(std::string_view source, const std::string& where) {
  if (source.size() > kLargestSource) {
    fail_template(where, 1, fmt::format("has {} bytes, wanted at most {}", source.size(), kLargestSource));
  }
  return Parser(read_words(source, where), where).parse();
}

}  // namespace gloss::llm
