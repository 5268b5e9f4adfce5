#include "gloss/llm/template_run.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>

#include "gloss/llm/template_builtins.h"
#include "gloss/llm/template_lexer.h"

namespace gloss::llm {
namespace {

constexpr std::uint64_t kMostSteps = 2'000'000;
constexpr std::uint32_t kDeepestCalls = 16;

class Run {
 public:
  Run(const std::string& where, const Map& variables) : where_(where) {
    scopes_.emplace_back();
    for (const auto& [name, value] : variables) scopes_.back().names.insert_or_assign(name, value);
  }

  std::string run(const Body& body) {
    std::string out;
    execute(body, out);
    return out;
  }

 private:
  enum class Flow : std::uint8_t { on, leave, next };
  /// Names of a loop's body or a macro's call; what is set there ends with it.
  struct Scope {
    std::map<std::string, Value, std::less<>> names;
    bool is_call = false;  // names outside it but those of the template itself are not seen
  };
  class Inner {
   public:
    Inner(Run& run, bool is_call) : run_(run) { run_.scopes_.push_back({{}, is_call}); }
    ~Inner() { run_.scopes_.pop_back(); }
    Inner(const Inner&) = delete;
    Inner& operator=(const Inner&) = delete;

   private:
    Run& run_;
  };

  void step(std::uint32_t line) {
    if (++steps_ > kMostSteps) fail_template(where_, line, fmt::format("takes more than {} steps", kMostSteps));
  }

  /// `work`, with what goes wrong in it told with its line.
  template <class Work>
  auto at_line(std::uint32_t line, const Work& work) const {
    try {
      return work();
    } catch (const Trouble& t) {
      if (t.raised) throw TemplateRefusal{t.what, line};
      fail_template(where_, line, t.what);
    }
  }

  // --- blocks -----------------------------------------------------------------------------------------------------

  Flow execute(const Body& body, std::string& out) {
    for (const Node& node : body) {
      const Flow flow = execute(node, out);
      if (flow != Flow::on) return flow;
    }
    return Flow::on;
  }

  void append(std::string& out, std::string_view text, std::uint32_t line) const {
    out += text;
    at_line(line, [&] { check_size(out.size()); });
  }

  Flow execute(const Node& node, std::string& out) {
    step(node.line);
    switch (node.kind) {
      case NodeKind::text:
        append(out, node.text, node.line);
        return Flow::on;
      case NodeKind::output: {
        const Value value = evaluate(*node.expr);
        append(out, at_line(node.line, [&] { return to_text(value); }), node.line);
        return Flow::on;
      }
      case NodeKind::condition:
        for (const Branch& branch : node.branches) {
          if (branch.condition == nullptr || is_true(evaluate(*branch.condition))) return execute(*branch.body, out);
        }
        return Flow::on;
      case NodeKind::loop:
        loop(node, out);
        return Flow::on;
      case NodeKind::assign:
        assign(node);
        return Flow::on;
      case NodeKind::assign_body: {
        std::string text;
        {
          const Inner inner(*this, false);
          execute(*node.body, text);
        }
        scopes_.back().names.insert_or_assign(node.names.front(), Value(std::move(text)));
        return Flow::on;
      }
      case NodeKind::macro:
        scopes_.back().names.insert_or_assign(node.macro->name, Value(static_cast<const MacroNode*>(node.macro.get())));
        return Flow::on;
      case NodeKind::leave:
        return Flow::leave;
      case NodeKind::next:
        return Flow::next;
      case NodeKind::group:
        break;
    }
    return execute(*node.body, out);
  }

  void bind(const std::vector<std::string>& names, const Value& value, std::uint32_t line) {
    if (names.size() == 1) {
      scopes_.back().names.insert_or_assign(names.front(), value);
      return;
    }
    const List parts = at_line(line, [&] { return items_of(value); });
    if (parts.size() != names.size()) {
      fail_template(where_, line, fmt::format("{} values for {} names", parts.size(), names.size()));
    }
    for (std::size_t i = 0; i < names.size(); ++i) scopes_.back().names.insert_or_assign(names[i], parts[i]);
  }

  void assign(const Node& node) {
    Value value = evaluate(*node.expr);
    if (node.attribute.empty()) {
      bind(node.names, value, node.line);
      return;
    }
    const Value target = look_up(node.names.front());
    if (!target.is_namespace()) {
      fail_template(where_, node.line,
                    fmt::format("sets '{}' of '{}', which is {}", node.attribute, node.names.front(), kind_of(target)),
                    "only attributes of a namespace() can be set");
    }
    at_line(node.line, [&] { return Value::list({value}); });  // no namespace in it
    Map& items = (*target.get<std::shared_ptr<MapBox>>())->items;
    const auto known =
        std::find_if(items.begin(), items.end(), [&](const auto& entry) { return entry.first == node.attribute; });
    if (known == items.end()) {
      items.emplace_back(node.attribute, std::move(value));
    } else {
      known->second = std::move(value);
    }
  }

  static Value loop_variable(const List& all, std::size_t i) {
    const auto number = [](std::size_t n) { return Value(static_cast<std::int64_t>(n)); };
    return Value::map({{"index", number(i + 1)},
                       {"index0", number(i)},
                       {"revindex", number(all.size() - i)},
                       {"revindex0", number(all.size() - i - 1)},
                       {"first", Value(i == 0)},
                       {"last", Value(i + 1 == all.size())},
                       {"length", number(all.size())},
                       {"previtem", i == 0 ? Value(Undefined{"loop.previtem"}) : all[i - 1]},
                       {"nextitem", i + 1 == all.size() ? Value(Undefined{"loop.nextitem"}) : all[i + 1]}});
  }

  void loop(const Node& node, std::string& out) {
    const Value over = evaluate(*node.expr);
    List all = at_line(node.line, [&] { return items_of(over); });
    if (node.filter != nullptr) {
      List kept;
      for (Value& item : all) {
        step(node.line);
        const Inner inner(*this, false);
        bind(node.names, item, node.line);
        if (is_true(evaluate(*node.filter))) kept.push_back(std::move(item));
      }
      all = std::move(kept);
    }
    for (std::size_t i = 0; i < all.size(); ++i) {
      step(node.line);
      const Inner inner(*this, false);
      bind(node.names, all[i], node.line);
      scopes_.back().names.insert_or_assign("loop", at_line(node.line, [&] { return loop_variable(all, i); }));
      if (execute(*node.body, out) == Flow::leave) break;
    }
    if (all.empty() && node.other != nullptr) execute(*node.other, out);
  }

  // --- expressions ------------------------------------------------------------------------------------------------

  Value look_up(const std::string& name) const {
    for (std::size_t i = scopes_.size(); i-- > 0;) {
      const auto found = scopes_[i].names.find(name);
      if (found != scopes_[i].names.end()) return found->second;
      if (scopes_[i].is_call) i = 1;  // on to the template's own names
    }
    if (name == "raise_exception" || is_known_function(name)) return Value(Function{name, nullptr});
    return Value(Undefined{name});
  }

  Value evaluate(const Expr& e) {
    step(e.line);
    switch (e.kind) {
      case ExprKind::literal:
        return e.value;
      case ExprKind::name:
        return look_up(e.text);
      case ExprKind::both: {
        Value left = evaluate(*e.items[0]);
        return is_true(left) ? evaluate(*e.items[1]) : left;
      }
      case ExprKind::either: {
        Value left = evaluate(*e.items[0]);
        return is_true(left) ? left : evaluate(*e.items[1]);
      }
      case ExprKind::choice:
        if (is_true(evaluate(*e.items[1]))) return evaluate(*e.items[0]);
        return e.items[2] == nullptr ? Value() : evaluate(*e.items[2]);
      case ExprKind::negation:
        return Value(!is_true(evaluate(*e.items[0])));
      default:
        break;
    }
    List values;
    values.reserve(e.items.size());
    for (const ExprPtr& item : e.items) values.push_back(item == nullptr ? Value() : evaluate(*item));
    Arguments arguments;
    if (e.kind == ExprKind::call || e.kind == ExprKind::filter || e.kind == ExprKind::test) {
      arguments.values.assign(values.begin() + 1, values.end());
      for (const auto& [name, item] : e.named) arguments.named.emplace_back(name, evaluate(*item));
    }
    if (const auto* macro = e.kind == ExprKind::call ? values[0].get<const MacroNode*>() : nullptr) {
      return call_macro(**macro, arguments, e.line);
    }
    return at_line(e.line, [&] { return compute(e, values, arguments); });
  }

  /// Of values that are known.
  static Value compute(const Expr& e, const List& values, const Arguments& arguments) {
    switch (e.kind) {
      case ExprKind::list:
        return Value::list(values);
      case ExprKind::map: {
        Map map;
        for (std::size_t i = 0; i + 1 < values.size(); i += 2) {
          const auto* key = values[i].get<std::string>();
          if (key == nullptr) trouble(fmt::format("a map's key is {}, wanted a text", kind_of(values[i])));
          map.emplace_back(*key, values[i + 1]);
        }
        return Value::map(std::move(map));
      }
      case ExprKind::attribute:
        return attribute_of(values[0], e.text);
      case ExprKind::item:
        return index_of(values[0], values[1]);
      case ExprKind::slice:
        return slice_of(values[0], values[1], values[2], values[3]);
      case ExprKind::filter:
        return apply_filter(e.text, values[0], arguments);
      case ExprKind::test:
        return Value(apply_test(e.text, values[0], arguments.values));
      case ExprKind::minus:
        return operate("-", Value(std::int64_t{0}), values[0]);
      case ExprKind::operation:
        return operate(e.text, values[0], values[1]);
      case ExprKind::comparison:
        return Value(holds(e.text, values[0], values[1]));
      default:
        return call(values[0], arguments);
    }
  }

  static bool holds(std::string_view sign, const Value& a, const Value& b) {
    if (sign == "==") return equal(a, b);
    if (sign == "!=") return !equal(a, b);
    if (sign == "in") return contains(b, a);
    if (sign == "not in") return !contains(b, a);
    const int order = compare(a, b);
    if (sign == "<") return order < 0;
    if (sign == "<=") return order <= 0;
    return sign == ">" ? order > 0 : order >= 0;
  }

  static Value call(const Value& callee, const Arguments& arguments) {
    const auto* function = callee.get<Function>();
    if (function == nullptr) {
      if (const auto* missing = callee.get<Undefined>())
        trouble(fmt::format("calls '{}', which is not defined or not supported", missing->name));
      trouble(fmt::format("calls {}", kind_of(callee)));
    }
    if (function->self == nullptr && function->name == "raise_exception")
      throw Trouble{to_text(arguments.get(0, "message", {})), true};
    return call_function(*function, arguments);
  }

  Value call_macro(const MacroNode& macro, const Arguments& arguments, std::uint32_t line) {
    if (calls_ >= kDeepestCalls) fail_template(where_, line, fmt::format("macros call each other {} deep", calls_ + 1));
    if (arguments.values.size() > macro.parameters.size()) {
      fail_template(where_, line,
                    fmt::format("macro '{}' takes {} arguments, got {}", macro.name, macro.parameters.size(),
                                arguments.values.size()));
    }
    ++calls_;
    std::string out;
    {
      const Inner inner(*this, true);
      for (std::size_t i = 0; i < macro.parameters.size(); ++i) {
        const auto& [name, fallback] = macro.parameters[i];
        Value value = arguments.get(i, name, Value(Undefined{name}));
        if (value.is_undefined() && fallback != nullptr) value = evaluate(*fallback);
        scopes_.back().names.insert_or_assign(name, std::move(value));
      }
      execute(*macro.body, out);
    }
    --calls_;
    return Value(std::move(out));
  }

  const std::string& where_;
  std::vector<Scope> scopes_;
  std::uint64_t steps_ = 0;
  std::uint32_t calls_ = 0;
};

}  // namespace

std::string run_template(const Body& body, const std::string& where, const Map& variables) {
  return Run(where, variables).run(body);
}

}  // namespace gloss::llm
