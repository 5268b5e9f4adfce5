#pragma once
/// What Jinja and Python's values bring along: filters, tests, methods, operations. Private to the module.
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "gloss/llm/template_value.h"

namespace gloss::llm {

/// Arguments of a call: by place, then by name.
struct Arguments {
  List values;
  std::vector<std::pair<std::string, Value>> named;

  /// The argument at `place` or of that name; `fallback` when it was not given.
  Value get(std::size_t place, std::string_view name, Value fallback) const;
};

// Errors of all: Trouble: unknown (lists the known), or of a kind that it does not take.

Value apply_filter(std::string_view name, const Value& value, const Arguments& arguments);
bool apply_test(std::string_view name, const Value& value, const List& arguments);
/// `value.name`, an item of a map or a method; undefined when it has no such.
Value attribute_of(const Value& value, std::string_view name);
/// `value[index]`; undefined when it has no such.
Value index_of(const Value& value, const Value& index);
/// `value[first:last:step]`, undefined where left out.
Value slice_of(const Value& value, const Value& first, const Value& last, const Value& step);
/// + - ~ * / // % **
Value operate(std::string_view sign, const Value& a, const Value& b);
/// A method of a value, or range, namespace, dict.
Value call_function(const Function& function, const Arguments& arguments);
bool is_known_function(std::string_view name);

}  // namespace gloss::llm
