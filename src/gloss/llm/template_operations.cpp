#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <ctime>
#include <map>
#include <optional>

#include "gloss/llm/template_builtins.h"
#include "gloss/llm/template_text.h"

namespace gloss::llm {

char upper(char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c; }
char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

std::string mapped(std::string text, char (*change)(char)) {
  std::transform(text.begin(), text.end(), text.begin(), change);
  return text;
}

std::string capitalised(const std::string& text) {
  std::string out = mapped(text, lower);
  if (!out.empty()) out[0] = upper(out[0]);
  return out;
}

std::string titled(const std::string& text) {
  std::string out = mapped(text, lower);
  bool begins = true;
  for (char& c : out) {
    const bool letter = (c >= 'a' && c <= 'z') || static_cast<unsigned char>(c) >= 0x80;
    if (begins && letter) c = upper(c);
    begins = !letter;
  }
  return out;
}

const std::string& text_of(const Value& value, std::string_view what) {
  const auto* text = value.get<std::string>();
  if (text == nullptr) trouble(fmt::format("{} wants a text, found {}", what, kind_of(value)));
  return *text;
}

std::int64_t whole_of(const Value& value, std::string_view what) {
  if (const auto* whole = value.get<std::int64_t>()) return *whole;
  if (const auto* flag = value.get<bool>()) return *flag ? 1 : 0;
  trouble(fmt::format("{} wants a whole number, found {}", what, kind_of(value)));
}

double real_of(const Value& value, std::string_view what) {
  if (const auto* real = value.get<double>()) return *real;
  return static_cast<double>(whole_of(value, what));
}

Value size_value(std::size_t size) { return Value(static_cast<std::int64_t>(size)); }

std::string replaced(const std::string& text, const std::string& from, const std::string& to, std::int64_t most) {
  std::string out;
  std::size_t at = 0;
  for (std::int64_t done = 0; most < 0 || done < most; ++done) {
    const std::size_t found = text.find(from, at);
    if (found == std::string::npos || (from.empty() && found >= text.size())) break;
    out.append(text, at, found - at);
    out += to;
    check_size(out.size());
    if (from.empty()) out += text[found];
    at = found + std::max<std::size_t>(from.size(), 1);
  }
  out.append(text, std::min(at, text.size()));
  check_size(out.size());
  return out;
}

std::string joined(const List& list, const std::string& between) {
  std::string out;
  for (std::size_t i = 0; i < list.size(); ++i) {
    if (i > 0) out += between;
    out += to_text(list[i]);
    check_size(out.size());
  }
  return out;
}

List pairs_of(const Value& value) {
  const Map* map = value.map();
  if (map == nullptr) {
    if (value.is_undefined()) return {};
    trouble(fmt::format("'items' of {}", kind_of(value)));
  }
  List pairs;
  for (const auto& [key, item] : *map) pairs.push_back(Value::list({Value::text(key), item}));
  return pairs;
}

namespace {

List split(const std::string& text, const Value& separator, std::int64_t most) {
  List parts;
  if (separator.is_none() || separator.is_undefined()) {  // runs of white space
    std::string rest = stripped(text, "", true, true);
    while (!rest.empty()) {
      const std::size_t end = std::min(rest.find_first_of(" \t\r\n\f\v"), rest.size());
      const bool last = end == rest.size() || (most >= 0 && static_cast<std::int64_t>(parts.size()) == most);
      parts.push_back(Value::text(last ? std::string_view(rest) : std::string_view(rest).substr(0, end)));
      rest = last ? std::string() : stripped(std::string_view(rest).substr(end), "", true, false);
    }
    return parts;
  }
  const std::string& mark = text_of(separator, "split");
  if (mark.empty()) trouble("split by an empty text");
  std::size_t at = 0;
  while (most < 0 || static_cast<std::int64_t>(parts.size()) < most) {
    const std::size_t found = text.find(mark, at);
    if (found == std::string::npos) break;
    parts.push_back(Value(text.substr(at, found - at)));
    at = found + mark.size();
  }
  parts.push_back(Value(text.substr(at)));
  return parts;
}

List split_from_right(const std::string& text, const Value& separator, std::int64_t most) {
  const std::string& mark = text_of(separator, "rsplit");
  if (mark.empty()) trouble("rsplit by an empty text");
  List parts;
  std::size_t end = text.size();
  while (most < 0 || static_cast<std::int64_t>(parts.size()) < most) {
    const std::size_t found = end < mark.size() ? std::string::npos : text.rfind(mark, end - mark.size());
    if (found == std::string::npos) break;
    parts.insert(parts.begin(), Value(text.substr(found + mark.size(), end - found - mark.size())));
    end = found;
  }
  parts.insert(parts.begin(), Value(text.substr(0, end)));
  return parts;
}

List lines(const std::string& text) {
  List parts;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    parts.push_back(Value(text.substr(at, end - at)));
    at = end + 1;
  }
  return parts;
}

bool has_end(const std::string& text, const Value& ends, bool front) {
  const auto fits = [&](const Value& end) {
    const std::string& mark = text_of(end, front ? "startswith" : "endswith");
    return front ? text.starts_with(mark) : text.ends_with(mark);
  };
  const List* several = ends.list();
  return several == nullptr ? fits(ends) : std::any_of(several->begin(), several->end(), fits);
}

using Method = Value (*)(const std::string& text, const Arguments& a);
const std::map<std::string_view, Method>& text_methods() {
  static const std::map<std::string_view, Method> kMethods = {
      {"strip",
       [](const std::string& t, const Arguments& a) {
         return Value(stripped(t, to_text(a.get(0, "", Value::text(""))), true, true));
       }},
      {"lstrip",
       [](const std::string& t, const Arguments& a) {
         return Value(stripped(t, to_text(a.get(0, "", Value::text(""))), true, false));
       }},
      {"rstrip",
       [](const std::string& t, const Arguments& a) {
         return Value(stripped(t, to_text(a.get(0, "", Value::text(""))), false, true));
       }},
      {"upper", [](const std::string& t, const Arguments&) { return Value(mapped(t, upper)); }},
      {"lower", [](const std::string& t, const Arguments&) { return Value(mapped(t, lower)); }},
      {"title", [](const std::string& t, const Arguments&) { return Value(titled(t)); }},
      {"capitalize", [](const std::string& t, const Arguments&) { return Value(capitalised(t)); }},
      {"startswith",
       [](const std::string& t, const Arguments& a) { return Value(has_end(t, a.get(0, "prefix", {}), true)); }},
      {"endswith",
       [](const std::string& t, const Arguments& a) { return Value(has_end(t, a.get(0, "suffix", {}), false)); }},
      {"split",
       [](const std::string& t, const Arguments& a) {
         return Value::list(
             split(t, a.get(0, "sep", {}), whole_of(a.get(1, "maxsplit", Value(std::int64_t{-1})), "split")));
       }},
      {"rsplit",
       [](const std::string& t, const Arguments& a) {
         return Value::list(split_from_right(t, a.get(0, "sep", {}),
                                             whole_of(a.get(1, "maxsplit", Value(std::int64_t{-1})), "rsplit")));
       }},
      {"splitlines", [](const std::string& t, const Arguments&) { return Value::list(lines(t)); }},
      {"replace",
       [](const std::string& t, const Arguments& a) {
         return Value(replaced(t, text_of(a.get(0, "old", {}), "replace"), text_of(a.get(1, "new", {}), "replace"),
                               whole_of(a.get(2, "count", Value(std::int64_t{-1})), "replace")));
       }},
      {"join",
       [](const std::string& t, const Arguments& a) { return Value(joined(items_of(a.get(0, "iterable", {})), t)); }},
      {"find",
       [](const std::string& t, const Arguments& a) {
         const std::size_t found = t.find(text_of(a.get(0, "sub", {}), "find"));
         return found == std::string::npos ? Value(std::int64_t{-1})
                                           : size_value(characters(t.substr(0, found)).size());
       }},
      {"count",
       [](const std::string& t, const Arguments& a) {
         const std::string part = text_of(a.get(0, "sub", {}), "count");
         std::int64_t count = 0;
         for (std::size_t at = t.find(part); !part.empty() && at != std::string::npos;
              at = t.find(part, at + part.size()))
           ++count;
         return Value(count);
       }},
      {"isdigit",
       [](const std::string& t, const Arguments&) {
         return Value(!t.empty() && std::all_of(t.begin(), t.end(), [](char c) { return c >= '0' && c <= '9'; }));
       }},
  };
  return kMethods;
}

constexpr std::string_view kMapMethods[] = {"items", "keys", "values", "get"};

Value call_map_method(std::string_view name, const Value& self, const Arguments& a) {
  if (name == "items") return Value::list(pairs_of(self));
  if (name == "get") {
    const Value wanted = a.get(0, "key", {});
    const auto* key = wanted.get<std::string>();
    const Value found = key == nullptr ? Value() : item_of(*self.map(), *key);
    return found.is_undefined() ? a.get(1, "default", Value(nullptr)) : found;
  }
  List list;
  for (const auto& [key, item] : *self.map()) list.push_back(name == "keys" ? Value::text(key) : item);
  return Value::list(std::move(list));
}

Value call_range(const Arguments& a) {
  const std::size_t count = a.values.size();
  if (count < 1 || count > 3) trouble(fmt::format("range with {} arguments, wanted 1 to 3", count));
  const std::int64_t first = count > 1 ? whole_of(a.values[0], "range") : 0;
  const std::int64_t last = whole_of(a.values[count > 1 ? 1 : 0], "range");
  const std::int64_t step = count > 2 ? whole_of(a.values[2], "range") : 1;
  if (step == 0) trouble("range with a step of 0");
  List list;
  for (std::int64_t i = first; step > 0 ? i < last : i > last;) {
    list.push_back(Value(i));
    if (list.size() > kMostItems) trouble(fmt::format("range of more than {} numbers", kMostItems));
    if (__builtin_add_overflow(i, step, &i)) break;
  }
  return Value::list(std::move(list));
}

constexpr std::string_view kFunctions[] = {"range", "namespace", "dict", "strftime_now"};

/// The first minute of 2025, written as strftime does: any day gives the same prompt for the same messages.
Value date(const std::string& format) {
  if (format.size() > 100) trouble("strftime_now with a format of more than 100 letters");
  std::tm day = {};
  day.tm_year = 125;
  day.tm_mday = 1;
  day.tm_wday = 3;
  char out[1024];
  const std::size_t size = std::strftime(out, sizeof out, format.c_str(), &day);
  return Value(std::string(out, size));
}

/// Where an index counts from, and in which steps: as Python's slices.
template <class Item>
std::vector<Item> sliced(const std::vector<Item>& all, const Value& first, const Value& last, const Value& step_value) {
  const auto size = static_cast<std::int64_t>(all.size());
  const auto left_out = [](const Value& v) { return v.is_undefined() || v.is_none(); };
  const std::int64_t step = left_out(step_value) ? 1 : whole_of(step_value, "a slice");
  if (step == 0) trouble("a slice with a step of 0");
  const auto place = [&](const Value& v, std::int64_t fallback) {
    if (left_out(v)) return fallback;
    std::int64_t at = whole_of(v, "a slice");
    if (at < 0) at = at < -size ? -1 : at + size;
    if (at < 0) return step > 0 ? std::int64_t{0} : std::int64_t{-1};
    return std::min(at, step > 0 ? size : size - 1);
  };
  const std::int64_t begin = place(first, step > 0 ? 0 : size - 1);
  const std::int64_t end = place(last, step > 0 ? size : -1);
  std::vector<Item> out;
  for (std::int64_t i = begin; step > 0 ? i < end : i > end;) {
    out.push_back(all[static_cast<std::size_t>(i)]);
    if (__builtin_add_overflow(i, step, &i)) break;
  }
  return out;
}

Value power(std::int64_t base, std::int64_t exponent) {
  std::int64_t result = 1;
  for (std::int64_t i = 0; i < exponent; ++i) {
    if (i > 64 && (base == 0 || base == 1)) break;
    if (base == -1) return Value(exponent % 2 == 0 ? std::int64_t{1} : std::int64_t{-1});
    if (__builtin_mul_overflow(result, base, &result)) trouble("the number is too large");
  }
  return Value(result);
}

Value operate_whole(char sign, std::int64_t a, std::int64_t b) {
  std::int64_t result = 0;
  bool overflow = false;
  switch (sign) {
    case '+':
      overflow = __builtin_add_overflow(a, b, &result);
      break;
    case '-':
      overflow = __builtin_sub_overflow(a, b, &result);
      break;
    case '*':
      overflow = __builtin_mul_overflow(a, b, &result);
      break;
    default:  // towards minus infinity, as Python
      if (b == 0) trouble("division by 0");
      if (b == -1) {
        overflow = __builtin_sub_overflow(std::int64_t{0}, sign == '%' ? 0 : a, &result);
        break;
      }
      const bool lower = a % b != 0 && ((a % b < 0) != (b < 0));
      result = sign == '%' ? a % b + (lower ? b : 0) : a / b - (lower ? 1 : 0);
  }
  if (overflow) trouble("the number is too large");
  return Value(result);
}

std::optional<std::int64_t> as_whole(const Value& v) {
  if (const auto* whole = v.get<std::int64_t>()) return *whole;
  if (const auto* flag = v.get<bool>()) return *flag ? 1 : 0;
  return std::nullopt;
}

Value repeated(const Value& value, std::int64_t times) {
  const auto count = static_cast<std::size_t>(std::max<std::int64_t>(times, 0));
  if (const auto* text = value.get<std::string>()) {
    if (!text->empty() && count > kMostBytes / text->size()) check_size(kMostBytes + 1);
    std::string out;
    for (std::size_t i = 0; i < count && !text->empty(); ++i) out += *text;
    return Value(std::move(out));
  }
  const List& list = *value.list();
  if (!list.empty() && count > kMostItems / list.size())
    trouble(fmt::format("a list of more than {} items", kMostItems));
  List out;
  for (std::size_t i = 0; i < count && !list.empty(); ++i) out.insert(out.end(), list.begin(), list.end());
  return Value::list(std::move(out));
}

}  // namespace

Value attribute_of(const Value& value, std::string_view name) {
  if (value.is_undefined()) {
    trouble(fmt::format("'{}' is undefined, so it has no '{}'", value.get<Undefined>()->name, name));
  }
  if (const Map* map = value.map()) {
    const bool method = std::find(std::begin(kMapMethods), std::end(kMapMethods), name) != std::end(kMapMethods);
    if (method && !value.is_namespace())
      return Value(Function{std::string(name), std::make_shared<const Value>(value)});
    return item_of(*map, name);
  }
  if (value.get<std::string>() != nullptr && text_methods().contains(name)) {
    return Value(Function{std::string(name), std::make_shared<const Value>(value)});
  }
  return Value(Undefined{std::string(name)});
}

Value index_of(const Value& value, const Value& index) {
  if (value.is_undefined()) {
    trouble(fmt::format("'{}' is undefined, so it has no item {}", value.get<Undefined>()->name, to_repr(index)));
  }
  if (const auto* key = index.get<std::string>()) {
    if (const Map* map = value.map()) {
      const Value found = item_of(*map, *key);
      return found.is_undefined() ? attribute_of(value, *key) : found;
    }
    return attribute_of(value, *key);
  }
  const std::optional<std::int64_t> place = as_whole(index);
  if (!place) return Value(Undefined{to_repr(index)});
  const auto pick = [&](const auto& all) -> Value {
    const auto size = static_cast<std::int64_t>(all.size());
    const std::int64_t at = *place < 0 ? *place + size : *place;
    if (at < 0 || at >= size) return Value(Undefined{to_repr(index)});
    return Value(all[static_cast<std::size_t>(at)]);
  };
  if (const List* list = value.list()) return pick(*list);
  if (const auto* text = value.get<std::string>()) return pick(characters(*text));
  return Value(Undefined{to_repr(index)});
}

Value slice_of(const Value& value, const Value& first, const Value& last, const Value& step) {
  if (const List* list = value.list()) return Value::list(sliced(*list, first, last, step));
  const auto* text = value.get<std::string>();
  if (text == nullptr) trouble(fmt::format("a slice of {}", kind_of(value)));
  std::string out;
  for (const std::string& character : sliced(characters(*text), first, last, step)) out += character;
  return Value(std::move(out));
}

Value operate(std::string_view sign, const Value& a, const Value& b) {
  const auto* text_a = a.get<std::string>();
  const auto* text_b = b.get<std::string>();
  if (sign == "~" || (sign == "+" && text_a != nullptr && text_b != nullptr)) {
    std::string out = to_text(a) + to_text(b);
    check_size(out.size());
    return Value(std::move(out));
  }
  if (sign == "+" && a.list() != nullptr && b.list() != nullptr) {
    List all = *a.list();
    if (b.list()->size() > kMostItems) trouble("a list is too long");
    all.insert(all.end(), b.list()->begin(), b.list()->end());
    return Value::list(std::move(all));
  }
  const std::optional<std::int64_t> whole_a = as_whole(a), whole_b = as_whole(b);
  if (sign == "*" && whole_b && (text_a != nullptr || a.list() != nullptr)) return repeated(a, *whole_b);
  if (sign == "*" && whole_a && (text_b != nullptr || b.list() != nullptr)) return repeated(b, *whole_a);
  const bool numbers = (whole_a || a.get<double>() != nullptr) && (whole_b || b.get<double>() != nullptr);
  if (!numbers) {
    const auto* missing = a.is_undefined() ? a.get<Undefined>() : b.get<Undefined>();
    trouble(fmt::format("{} {} {}{}", kind_of(a), sign, kind_of(b),
                        missing == nullptr ? "" : fmt::format(" ('{}' is undefined)", missing->name)));
  }
  if (whole_a && whole_b && sign == "**" && *whole_b >= 0) return power(*whole_a, *whole_b);
  if (whole_a && whole_b && sign != "/" && sign != "**") return operate_whole(sign[0], *whole_a, *whole_b);
  const double x = real_of(a, sign), y = real_of(b, sign);
  if (sign == "+") return Value(x + y);
  if (sign == "-") return Value(x - y);
  if (sign == "**") return Value(std::pow(x, y));
  if (sign == "*") return Value(x * y);
  if (y == 0.0) trouble("division by 0");
  if (sign == "/") return Value(x / y);
  return Value(sign == "%" ? x - y * std::floor(x / y) : std::floor(x / y));
}

Value call_function(const Function& function, const Arguments& arguments) {
  if (function.self != nullptr) {
    if (const auto* text = function.self->get<std::string>()) return text_methods().at(function.name)(*text, arguments);
    return call_map_method(function.name, *function.self, arguments);
  }
  if (function.name == "range") return call_range(arguments);
  if (function.name == "strftime_now") return date(text_of(arguments.get(0, "format", {}), "strftime_now"));
  Map items;
  if (!arguments.values.empty()) {
    const Map* start = arguments.values.front().map();
    if (start == nullptr) trouble(fmt::format("{} of {}", function.name, kind_of(arguments.values.front())));
    items = *start;
  }
  for (const auto& [name, value] : arguments.named) items.emplace_back(name, value);
  Value map = Value::map(std::move(items));
  if (function.name == "namespace") (*map.get<std::shared_ptr<MapBox>>())->is_namespace = true;
  return map;
}

bool is_known_function(std::string_view name) {
  return std::find(std::begin(kFunctions), std::end(kFunctions), name) != std::end(kFunctions);
}

}  // namespace gloss::llm
