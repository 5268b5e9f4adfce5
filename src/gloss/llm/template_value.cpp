#include "gloss/llm/template_value.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "gloss/base/utf8.h"

namespace gloss::llm {
namespace {

std::uint32_t depth_of(const Value& value) {
  if (const auto* list = value.get<std::shared_ptr<ListBox>>()) return (*list)->depth;
  if (const auto* map = value.get<std::shared_ptr<MapBox>>()) {
    if ((*map)->is_namespace) trouble("a namespace inside another value is not supported");
    return (*map)->depth;
  }
  return 0;
}

std::uint32_t deeper(std::uint32_t depth) {
  if (depth >= kDeepest) trouble(fmt::format("values are nested deeper than {}", kDeepest));
  return depth + 1;
}

bool is_number(const Value& v) {
  return v.get<std::int64_t>() != nullptr || v.get<double>() != nullptr || v.get<bool>() != nullptr;
}

double number(const Value& v) {
  if (const auto* i = v.get<std::int64_t>()) return static_cast<double>(*i);
  if (const auto* b = v.get<bool>()) return *b ? 1.0 : 0.0;
  return *v.get<double>();
}

/// As Python prints a float: the shortest that reads back the same, with ".0" where it is whole.
std::string float_text(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
  std::string text = fmt::format("{}", value);
  if (text.find_first_of(".e") == std::string::npos) text += ".0";
  return text;
}

std::string in_quotes(std::string_view text) {
  const char quote = text.find('\'') != std::string_view::npos && text.find('"') == std::string_view::npos ? '"' : '\'';
  std::string out(1, quote);
  for (const char c : text) {
    if (c == '\n') {
      out += "\\n";
    } else if (c == '\t') {
      out += "\\t";
    } else if (c == '\r') {
      out += "\\r";
    } else {
      if (c == quote || c == '\\') out += '\\';
      out += c;
    }
  }
  return out + quote;
}

std::string json_string(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    switch (c) {
      case '"':
        out += "\\\"";
        break;
      case '\\':
        out += "\\\\";
        break;
      case '\n':
        out += "\\n";
        break;
      case '\r':
        out += "\\r";
        break;
      case '\t':
        out += "\\t";
        break;
      case '\b':
        out += "\\b";
        break;
      case '\f':
        out += "\\f";
        break;
      default:
        if (static_cast<unsigned char>(c) < 0x20) {
          out += fmt::format("\\u{:04x}", static_cast<unsigned>(c));
        } else {
          out += c;
        }
    }
  }
  return out + '"';
}

void append_json(std::string& out, const Value& value, int indent, int level) {
  check_size(out.size());
  const auto new_line = [&](int depth) {
    if (indent < 0) return;
    out += '\n';
    out.append(static_cast<std::size_t>(indent) * static_cast<std::size_t>(depth), ' ');
  };
  const std::string_view comma = indent < 0 ? ", " : ",";
  if (const List* list = value.list()) {
    out += '[';
    for (std::size_t i = 0; i < list->size(); ++i) {
      if (i > 0) out += comma;
      new_line(level + 1);
      append_json(out, (*list)[i], indent, level + 1);
    }
    if (!list->empty()) new_line(level);
    out += ']';
  } else if (const Map* map = value.map()) {
    out += '{';
    for (std::size_t i = 0; i < map->size(); ++i) {
      if (i > 0) out += comma;
      new_line(level + 1);
      out += json_string((*map)[i].first) + ": ";
      append_json(out, (*map)[i].second, indent, level + 1);
    }
    if (!map->empty()) new_line(level);
    out += '}';
  } else if (const auto* text = value.get<std::string>()) {
    out += json_string(*text);
  } else if (const auto* flag = value.get<bool>()) {
    out += *flag ? "true" : "false";
  } else if (value.is_none()) {
    out += "null";
  } else if (is_number(value)) {
    out += to_text(value);
  } else {
    trouble(fmt::format("{} cannot be written as JSON", kind_of(value)));
  }
}

bool is_space(char32_t c) {
  return (c >= 9 && c <= 13) || (c >= 28 && c <= 32) || c == 0x85 || c == 0xA0 || c == 0x1680 ||
         (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F || c == 0x3000;
}

}  // namespace

void trouble(std::string what) { throw Trouble{std::move(what)}; }

void check_size(std::size_t bytes) {
  if (bytes > kMostBytes) trouble(fmt::format("a text of more than {} MiB", kMostBytes >> 20));
}

Value Value::list(List items) {
  if (items.size() > kMostItems) trouble(fmt::format("a list of more than {} items", kMostItems));
  std::uint32_t depth = 0;
  for (const Value& item : items) depth = std::max(depth, depth_of(item));
  return Value(std::make_shared<ListBox>(ListBox{std::move(items), deeper(depth)}));
}

Value Value::map(Map items) {
  if (items.size() > kMostItems) trouble(fmt::format("a map of more than {} items", kMostItems));
  std::uint32_t depth = 0;
  for (const auto& [key, item] : items) depth = std::max(depth, depth_of(item));
  return Value(std::make_shared<MapBox>(MapBox{std::move(items), deeper(depth)}));
}

const List* Value::list() const {
  const auto* box = get<std::shared_ptr<ListBox>>();
  return box == nullptr ? nullptr : &(*box)->items;
}

const Map* Value::map() const {
  const auto* box = get<std::shared_ptr<MapBox>>();
  return box == nullptr ? nullptr : &(*box)->items;
}

bool Value::is_namespace() const {
  const auto* box = get<std::shared_ptr<MapBox>>();
  return box != nullptr && (*box)->is_namespace;
}

bool is_true(const Value& value) {
  if (value.is_undefined() || value.is_none()) return false;
  if (is_number(value)) return number(value) != 0.0;
  if (const auto* text = value.get<std::string>()) return !text->empty();
  if (const List* list = value.list()) return !list->empty();
  if (const Map* map = value.map()) return !map->empty() || value.is_namespace();
  return true;
}

std::string_view kind_of(const Value& value) {
  constexpr std::string_view kKinds[] = {"an undefined value",
                                         "none",
                                         "a truth value",
                                         "a whole number",
                                         "a number",
                                         "a text",
                                         "a list",
                                         "a map",
                                         "a macro",
                                         "a function"};
  return kKinds[value.held.index()];
}

std::string to_text(const Value& value) {
  if (value.is_undefined()) return {};
  if (const auto* text = value.get<std::string>()) return *text;
  return to_repr(value);
}

std::string to_repr(const Value& value) {
  if (const auto* text = value.get<std::string>()) return in_quotes(*text);
  if (value.is_undefined()) return "Undefined";
  if (value.is_none()) return "None";
  if (const auto* flag = value.get<bool>()) return *flag ? "True" : "False";
  if (const auto* whole = value.get<std::int64_t>()) return std::to_string(*whole);
  if (const auto* real = value.get<double>()) return float_text(*real);
  std::string out;
  if (const List* list = value.list()) {
    for (const Value& item : *list) {
      out += (out.empty() ? "[" : ", ") + to_repr(item);
      check_size(out.size());
    }
    return out.empty() ? "[]" : out + "]";
  }
  if (const Map* map = value.map()) {
    for (const auto& [key, item] : *map) {
      out += (out.empty() ? "{" : ", ") + in_quotes(key) + ": " + to_repr(item);
      check_size(out.size());
    }
    return out.empty() ? "{}" : out + "}";
  }
  trouble(fmt::format("{} has no text", kind_of(value)));
}

std::string to_json(const Value& value, int indent) {
  std::string out;
  append_json(out, value, indent, 0);
  check_size(out.size());
  return out;
}

bool equal(const Value& a, const Value& b) {
  if (is_number(a) && is_number(b)) {
    const auto* whole_a = a.get<std::int64_t>();
    const auto* whole_b = b.get<std::int64_t>();
    return whole_a != nullptr && whole_b != nullptr ? *whole_a == *whole_b : number(a) == number(b);
  }
  if (a.held.index() != b.held.index()) return false;
  if (const auto* text = a.get<std::string>()) return *text == *b.get<std::string>();
  if (const List* list = a.list()) {
    const List& other = *b.list();
    return std::equal(list->begin(), list->end(), other.begin(), other.end(), equal);
  }
  if (const Map* map = a.map()) {
    const Map& other = *b.map();
    return map->size() == other.size() && std::all_of(map->begin(), map->end(), [&](const auto& entry) {
             const Value found = item_of(other, entry.first);
             return !found.is_undefined() && equal(found, entry.second);
           });
  }
  if (const auto* macro = a.get<const MacroNode*>()) return *macro == *b.get<const MacroNode*>();
  return a.is_none() || a.is_undefined();
}

int compare(const Value& a, const Value& b) {
  if (is_number(a) && is_number(b)) {
    const double x = number(a), y = number(b);
    return x < y ? -1 : (x > y ? 1 : 0);
  }
  const auto* x = a.get<std::string>();
  const auto* y = b.get<std::string>();
  if (x == nullptr || y == nullptr) trouble(fmt::format("{} and {} have no order", kind_of(a), kind_of(b)));
  return x->compare(*y);
}

bool contains(const Value& container, const Value& item) {
  if (const auto* text = container.get<std::string>()) {
    const auto* part = item.get<std::string>();
    if (part == nullptr) trouble(fmt::format("'in' looks for {} in a text", kind_of(item)));
    return text->find(*part) != std::string::npos;
  }
  if (const List* list = container.list())
    return std::any_of(list->begin(), list->end(), [&](const Value& v) { return equal(v, item); });
  if (const Map* map = container.map()) {
    const auto* key = item.get<std::string>();
    return key != nullptr && !item_of(*map, *key).is_undefined();
  }
  if (container.is_undefined()) return false;
  trouble(fmt::format("'in' looks into {}", kind_of(container)));
}

Value item_of(const Map& map, std::string_view key) {
  const auto found = std::find_if(map.begin(), map.end(), [&](const auto& entry) { return entry.first == key; });
  return found == map.end() ? Value(Undefined{std::string(key)}) : found->second;
}

List items_of(const Value& value) {
  if (const List* list = value.list()) return *list;
  List items;
  if (const Map* map = value.map()) {
    for (const auto& [key, item] : *map) items.push_back(Value::text(key));
  } else if (const auto* text = value.get<std::string>()) {
    for (const std::string& character : characters(*text)) items.push_back(Value::text(character));
  } else if (!value.is_undefined()) {
    trouble(fmt::format("{} is nothing to go over", kind_of(value)));
  }
  return items;
}

std::vector<std::string> characters(std::string_view text) {
  std::vector<std::string> all;
  while (!text.empty()) {
    const std::size_t size = decode_utf8(text).size_bytes;
    all.emplace_back(text.substr(0, size));
    text.remove_prefix(size);
  }
  return all;
}

std::string stripped(std::string_view text, std::string_view set, bool left, bool right) {
  const std::vector<std::string> all = characters(text);
  const std::vector<std::string> cut = characters(set);
  const auto goes = [&](const std::string& character) {
    if (cut.empty()) return is_space(decode_utf8(character).code_point);
    return std::find(cut.begin(), cut.end(), character) != cut.end();
  };
  std::size_t begin = 0, end = all.size();
  while (left && begin < end && goes(all[begin])) ++begin;
  while (right && begin < end && goes(all[end - 1])) --end;
  std::string out;
  for (std::size_t i = begin; i < end; ++i) out += all[i];
  return out;
}

}  // namespace gloss::llm
