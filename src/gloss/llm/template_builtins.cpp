#include "gloss/llm/template_builtins.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <functional>
#include <map>
#include <optional>

#include "gloss/llm/template_text.h"

namespace gloss::llm {
namespace {

Value length_of(const Value& value) {
  if (const auto* text = value.get<std::string>()) return size_value(characters(*text).size());
  if (const List* list = value.list()) return size_value(list->size());
  if (const Map* map = value.map()) return size_value(map->size());
  if (value.is_undefined()) return size_value(0);
  trouble(fmt::format("'length' of {}", kind_of(value)));
}

List sorted(List list, bool reverse, const std::string& attribute) {
  const auto key = [&](const Value& v) { return attribute.empty() ? v : attribute_of(v, attribute); };
  std::stable_sort(list.begin(), list.end(), [&](const Value& a, const Value& b) {
    const int order = compare(key(a), key(b));
    return reverse ? order > 0 : order < 0;
  });
  return list;
}

/// "a.b": an attribute of an attribute.
Value path_of(Value value, std::string_view path) {
  while (!path.empty()) {
    const std::size_t dot = std::min(path.find('.'), path.size());
    value = attribute_of(value, path.substr(0, dot));
    path.remove_prefix(std::min(dot + 1, path.size()));
  }
  return value;
}

/// select, reject, selectattr, rejectattr.
Value selected(const Value& value, const Arguments& a, bool by_attribute, bool keep) {
  List found;
  const std::size_t first = by_attribute ? 1 : 0;
  const std::string path = by_attribute ? text_of(a.get(0, "attribute", {}), "selectattr") : "";
  const List rest(a.values.begin() + static_cast<std::ptrdiff_t>(std::min(first + 1, a.values.size())), a.values.end());
  for (const Value& item : value.is_none() ? List() : items_of(value)) {
    const Value looked_at = by_attribute ? path_of(item, path) : item;
    const bool fits = a.values.size() > first ? apply_test(text_of(a.values[first], "a test's name"), looked_at, rest)
                                              : is_true(looked_at);
    if (fits == keep) found.push_back(item);
  }
  return Value::list(std::move(found));
}

Value map_filter(const Value& value, const Arguments& a) {
  List results;
  const Value attribute = a.get(std::string::npos, "attribute", {});
  const Value fallback = a.get(std::string::npos, "default", {});
  Arguments rest;
  if (a.values.size() > 1) rest.values.assign(a.values.begin() + 1, a.values.end());
  for (const Value& item : items_of(value)) {
    if (attribute.is_undefined()) {
      results.push_back(apply_filter(text_of(a.get(0, "filter", {}), "'map'"), item, rest));
      continue;
    }
    const Value found = path_of(item, text_of(attribute, "'map'"));
    results.push_back(found.is_undefined() ? fallback : found);
  }
  return Value::list(std::move(results));
}

Value to_whole(const Value& value, const Value& fallback) {
  if (const auto* real = value.get<double>()) {
    if (!(std::abs(*real) < 9e18)) return fallback;
    return Value(static_cast<std::int64_t>(*real));
  }
  if (const auto* text = value.get<std::string>()) {
    const std::string bare = stripped(*text, "", true, true);
    std::int64_t whole = 0;
    const auto [end, error] = std::from_chars(bare.data(), bare.data() + bare.size(), whole);
    return error == std::errc() && end == bare.data() + bare.size() ? Value(whole) : fallback;
  }
  if (value.get<std::int64_t>() != nullptr || value.get<bool>() != nullptr) return Value(whole_of(value, "'int'"));
  return fallback;
}

Value to_real(const Value& value, const Value& fallback) {
  if (const auto* text = value.get<std::string>()) {
    double real = 0.0;
    const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), real);
    return error == std::errc() && end == text->data() + text->size() ? Value(real) : fallback;
  }
  if (value.get<double>() != nullptr) return value;
  if (value.get<std::int64_t>() != nullptr) return Value(real_of(value, "'float'"));
  return fallback;
}

std::string indented(const std::string& text, std::int64_t width, bool first, bool blank) {
  if (width < 0 || width > 1000) trouble(fmt::format("'indent' by {}, wanted 0 to 1000", width));
  const std::string space(static_cast<std::size_t>(width), ' ');
  std::string out;
  for (std::size_t at = 0; at <= text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    if (at > 0) out += '\n';
    if ((at > 0 || first) && (end > at || blank)) out += space;
    out.append(text, at, end - at);
    check_size(out.size());
    at = end + 1;
  }
  return out;
}

Value ends_of(const Value& value, bool front) {
  const List list = items_of(value);
  if (list.empty()) return Value(Undefined{front ? "first" : "last"});
  return front ? list.front() : list.back();
}

using Filter = Value (*)(const Value& value, const Arguments& a);
const std::map<std::string_view, Filter>& filters() {
  static const std::map<std::string_view, Filter> kFilters = {
      {"trim",
       [](const Value& v, const Arguments& a) {
         return Value(stripped(to_text(v), to_text(a.get(0, "chars", {})), true, true));
       }},
      {"upper", [](const Value& v, const Arguments&) { return Value(mapped(to_text(v), upper)); }},
      {"lower", [](const Value& v, const Arguments&) { return Value(mapped(to_text(v), lower)); }},
      {"title", [](const Value& v, const Arguments&) { return Value(titled(to_text(v))); }},
      {"capitalize", [](const Value& v, const Arguments&) { return Value(capitalised(to_text(v))); }},
      {"string", [](const Value& v, const Arguments&) { return Value(to_text(v)); }},
      {"safe", [](const Value& v, const Arguments&) { return Value(to_text(v)); }},
      {"length", [](const Value& v, const Arguments&) { return length_of(v); }},
      {"count", [](const Value& v, const Arguments&) { return length_of(v); }},
      {"list", [](const Value& v, const Arguments&) { return Value::list(items_of(v)); }},
      {"first", [](const Value& v, const Arguments&) { return ends_of(v, true); }},
      {"last", [](const Value& v, const Arguments&) { return ends_of(v, false); }},
      {"reverse",
       [](const Value& v, const Arguments&) {
         List list = items_of(v);
         std::reverse(list.begin(), list.end());
         return v.get<std::string>() == nullptr ? Value::list(std::move(list)) : Value(joined(list, ""));
       }},
      {"join",
       [](const Value& v, const Arguments& a) {
         List list = items_of(v);
         const Value attribute = a.get(1, "attribute", {});
         if (!attribute.is_undefined()) {
           for (Value& item : list) item = path_of(item, text_of(attribute, "'join'"));
         }
         return Value(joined(list, to_text(a.get(0, "d", {}))));
       }},
      {"default",
       [](const Value& v, const Arguments& a) {
         const bool empty_too = is_true(a.get(1, "boolean", Value(false)));
         return v.is_undefined() || (empty_too && !is_true(v)) ? a.get(0, "default_value", Value::text("")) : v;
       }},
      {"tojson",
       [](const Value& v, const Arguments& a) {
         const Value indent = a.get(std::string::npos, "indent", {});
         const std::int64_t width = indent.is_undefined() || indent.is_none() ? -1 : whole_of(indent, "'tojson'");
         if (width > 100) trouble(fmt::format("'tojson' with an indent of {}", width));
         return Value(to_json(v, static_cast<int>(width)));
       }},
      {"replace",
       [](const Value& v, const Arguments& a) {
         return Value(replaced(to_text(v), to_text(a.get(0, "old", {})), to_text(a.get(1, "new", {})),
                               whole_of(a.get(2, "count", Value(std::int64_t{-1})), "'replace'")));
       }},
      {"int", [](const Value& v, const Arguments& a) { return to_whole(v, a.get(0, "default", size_value(0))); }},
      {"float", [](const Value& v, const Arguments& a) { return to_real(v, a.get(0, "default", Value(0.0))); }},
      {"abs",
       [](const Value& v, const Arguments&) {
         return v.get<double>() != nullptr ? Value(std::abs(*v.get<double>()))
                                           : (whole_of(v, "'abs'") < 0 ? operate("-", size_value(0), v) : v);
       }},
      {"items", [](const Value& v, const Arguments&) { return Value::list(pairs_of(v)); }},
      {"dictsort",
       [](const Value& v, const Arguments&) {
         List pairs = pairs_of(v);
         std::stable_sort(pairs.begin(), pairs.end(), [](const Value& x, const Value& y) {
           return mapped(to_text(x.list()->front()), lower) < mapped(to_text(y.list()->front()), lower);
         });
         return Value::list(std::move(pairs));
       }},
      {"sort",
       [](const Value& v, const Arguments& a) {
         return Value::list(
             sorted(items_of(v), is_true(a.get(0, "reverse", Value(false))), to_text(a.get(2, "attribute", {}))));
       }},
      {"unique",
       [](const Value& v, const Arguments&) {
         List found;
         for (const Value& item : items_of(v)) {
           if (!contains(Value::list(found), item)) found.push_back(item);
         }
         return Value::list(std::move(found));
       }},
      {"map", map_filter},
      {"select", [](const Value& v, const Arguments& a) { return selected(v, a, false, true); }},
      {"reject", [](const Value& v, const Arguments& a) { return selected(v, a, false, false); }},
      {"selectattr", [](const Value& v, const Arguments& a) { return selected(v, a, true, true); }},
      {"rejectattr", [](const Value& v, const Arguments& a) { return selected(v, a, true, false); }},
      {"indent",
       [](const Value& v, const Arguments& a) {
         return Value(indented(to_text(v), whole_of(a.get(0, "width", size_value(4)), "'indent'"),
                               is_true(a.get(1, "first", Value(false))), is_true(a.get(2, "blank", Value(false)))));
       }},
  };
  return kFilters;
}

using Test = bool (*)(const Value& value, const List& a);
const Value& argument(const List& a) {
  if (a.empty()) trouble("the test wants something to compare with");
  return a.front();
}
const std::map<std::string_view, Test>& tests() {
  static const std::map<std::string_view, Test> kTests = {
      {"defined", [](const Value& v, const List&) { return !v.is_undefined(); }},
      {"undefined", [](const Value& v, const List&) { return v.is_undefined(); }},
      {"none", [](const Value& v, const List&) { return v.is_none(); }},
      {"string", [](const Value& v, const List&) { return v.get<std::string>() != nullptr; }},
      {"boolean", [](const Value& v, const List&) { return v.get<bool>() != nullptr; }},
      {"integer", [](const Value& v, const List&) { return v.get<std::int64_t>() != nullptr; }},
      {"float", [](const Value& v, const List&) { return v.get<double>() != nullptr; }},
      {"number",
       [](const Value& v, const List&) {
         return v.get<std::int64_t>() != nullptr || v.get<double>() != nullptr || v.get<bool>() != nullptr;
       }},
      {"mapping", [](const Value& v, const List&) { return v.map() != nullptr; }},
      {"sequence",
       [](const Value& v, const List&) {
         return v.list() != nullptr || v.map() != nullptr || v.get<std::string>() != nullptr;
       }},
      {"iterable",
       [](const Value& v, const List&) {
         return v.list() != nullptr || v.map() != nullptr || v.get<std::string>() != nullptr || v.is_undefined();
       }},
      {"callable", [](const Value& v,
                      const List&) { return v.get<Function>() != nullptr || v.get<const MacroNode*>() != nullptr; }},
      {"true", [](const Value& v, const List&) { return v.get<bool>() != nullptr && *v.get<bool>(); }},
      {"false", [](const Value& v, const List&) { return v.get<bool>() != nullptr && !*v.get<bool>(); }},
      {"even", [](const Value& v, const List&) { return whole_of(v, "'even'") % 2 == 0; }},
      {"odd", [](const Value& v, const List&) { return whole_of(v, "'odd'") % 2 != 0; }},
      {"divisibleby",
       [](const Value& v, const List& a) {
         const std::int64_t by = whole_of(argument(a), "'divisibleby'");
         return by != 0 && by != -1 ? whole_of(v, "'divisibleby'") % by == 0 : by == -1;
       }},
      {"equalto", [](const Value& v, const List& a) { return equal(v, argument(a)); }},
      {"eq", [](const Value& v, const List& a) { return equal(v, argument(a)); }},
      {"ne", [](const Value& v, const List& a) { return !equal(v, argument(a)); }},
      {"lt", [](const Value& v, const List& a) { return compare(v, argument(a)) < 0; }},
      {"le", [](const Value& v, const List& a) { return compare(v, argument(a)) <= 0; }},
      {"gt", [](const Value& v, const List& a) { return compare(v, argument(a)) > 0; }},
      {"ge", [](const Value& v, const List& a) { return compare(v, argument(a)) >= 0; }},
      {"in", [](const Value& v, const List& a) { return contains(argument(a), v); }},
  };
  return kTests;
}

template <class Table>
std::string known_names(const Table& table) {
  std::vector<std::string_view> names;
  names.reserve(table.size());
  for (const auto& [name, unused] : table) names.push_back(name);
  return fmt::format("{}", fmt::join(names, ", "));
}

}  // namespace

Value Arguments::get(std::size_t place, std::string_view name, Value fallback) const {
  if (place < values.size()) return values[place];
  for (const auto& [given, value] : named) {
    if (given == name) return value;
  }
  return fallback;
}

Value apply_filter(std::string_view name, const Value& value, const Arguments& arguments) {
  if (name == "d") name = "default";
  const auto found = filters().find(name);
  if (found == filters().end()) {
    trouble(fmt::format("the filter '{}' is not supported; known: {}", name, known_names(filters())));
  }
  return found->second(value, arguments);
}

bool apply_test(std::string_view name, const Value& value, const List& arguments) {
  if (name == "==") name = "eq";
  if (name == "sameas") name = "eq";
  const auto found = tests().find(name);
  if (found == tests().end()) {
    trouble(fmt::format("the test '{}' is not supported; known: {}", name, known_names(tests())));
  }
  return found->second(value, arguments);
}

}  // namespace gloss::llm
