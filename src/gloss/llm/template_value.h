#pragma once
/// What expressions of a chat template are about: values as Python has them, as far as templates use them. Private to
/// the module.
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace gloss::llm {

struct MacroNode;  // template_syntax.h
struct Value;

using List = std::vector<Value>;
/// In the order of insertion, as Python's dict.
using Map = std::vector<std::pair<std::string, Value>>;

struct Undefined {
  std::string name;  // what was asked for
};
struct ListBox {
  List items;
  std::uint32_t depth = 1;  // of nesting
};
struct MapBox {
  Map items;
  std::uint32_t depth = 1;
  bool is_namespace = false;  // made by namespace(): its attributes can be set; never inside another value
};
/// A function of the language ("range") or a method of a value ("text.strip").
struct Function {
  std::string name;
  std::shared_ptr<const Value> self;  // of methods
};

/// Immutable but for namespaces; copies share.
struct Value {
  std::variant<Undefined, std::nullptr_t, bool, std::int64_t, double, std::string, std::shared_ptr<ListBox>,
               std::shared_ptr<MapBox>, const MacroNode*, Function>
      held;

  Value() : held(Undefined{}) {}
  template <class T>
  explicit Value(T value) : held(std::move(value)) {}
  static Value text(std::string_view value) { return Value(std::string(value)); }
  /// Errors of these two: as Trouble, when values would be nested deeper than kDeepest, or longer than kMostItems.
  static Value list(List items);
  static Value map(Map items);

  template <class T>
  const T* get() const {
    return std::get_if<T>(&held);
  }
  bool is_undefined() const { return get<Undefined>() != nullptr; }
  bool is_none() const { return get<std::nullptr_t>() != nullptr; }
  const List* list() const;
  const Map* map() const;
  bool is_namespace() const;
};

inline constexpr std::uint32_t kDeepest = 64;
inline constexpr std::size_t kMostItems = 1 << 20;
inline constexpr std::size_t kMostBytes = std::size_t{4} << 20;  // of one text, and of what a template gives

/// Why an expression has no value; who evaluates it adds where.
struct Trouble {
  std::string what;
  bool raised = false;  // by the template itself: raise_exception
};
[[noreturn]] void trouble(std::string what);
/// Errors: Trouble when `bytes` is above kMostBytes.
void check_size(std::size_t bytes);

bool is_true(const Value& value);
/// "a text", "a list" ...
std::string_view kind_of(const Value& value);
/// str() and repr() of Python.
std::string to_text(const Value& value);
std::string to_repr(const Value& value);
/// json.dumps with ensure_ascii=False; indent < 0: on one line.
std::string to_json(const Value& value, int indent);
bool equal(const Value& a, const Value& b);
/// < 0, 0, > 0. Errors: Trouble for what has no order.
int compare(const Value& a, const Value& b);
/// `item in container`. Errors: Trouble.
bool contains(const Value& container, const Value& item);
/// Undefined when there is none.
Value item_of(const Map& map, std::string_view key);
/// What a loop goes over: items of a list, keys of a map, characters of a text; nothing of an undefined value.
/// Errors: Trouble for what is none of these.
List items_of(const Value& value);

/// Code points.
std::vector<std::string> characters(std::string_view text);
/// Without the characters of `set` at its ends ("" = white space).
std::string stripped(std::string_view text, std::string_view set, bool left, bool right);

}  // namespace gloss::llm
