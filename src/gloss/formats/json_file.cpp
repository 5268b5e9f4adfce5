#include "gloss/formats/json_file.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <utility>

#include "gloss/base/error.h"
#include "gloss/base/output_file.h"

namespace gloss::formats {

using Json = nlohmann::json;
namespace {

/// A value as it may stand in a message: a structure by its kind, since its text may be long or nest deeper than the
/// stack.
std::string shown(const Json& value) { return value.is_structured() ? std::string(value.type_name()) : value.dump(); }

}  // namespace

Json parse_json(std::string_view text, std::string_view where) {
  try {
    return Json::parse(text);
  } catch (const Json::parse_error& e) {
    fail_input(where, fmt::format("is not JSON: byte {} of {}", e.byte, text.size()), "the file may be cut off");
  } catch (const Json::exception& e) {  // a number beyond f64 is no parse_error
    fail_input(where, fmt::format("is not JSON that can be read: {}", e.what()));
  }
}

Json read_json(const std::filesystem::path& path) { return parse_json(read_file(path), path.string()); }

Fields::Fields(const Json& object, std::string where) : object_(&object), where_(std::move(where)) {
  if (!object.is_object()) fail_input(where_, fmt::format("is {}, wanted an object", object.type_name()));
}

bool Fields::has(std::string_view key) const {
  const auto it = object_->find(key);
  return it != object_->end() && !it->is_null();
}

const Json& Fields::at(std::string_view key) const {
  if (!has(key)) fail_input(where_, fmt::format("has no '{}'", key));
  return *object_->find(key);
}

std::uint64_t Fields::integer(std::string_view key, std::uint64_t low, std::uint64_t high,
                              std::optional<std::uint64_t> fallback) const {
  if (!has(key) && fallback) return *fallback;
  const Json& value = at(key);
  if (!value.is_number_unsigned() || value.get<std::uint64_t>() < low || value.get<std::uint64_t>() > high)
    fail_input(where_, fmt::format("'{}' is {}, wanted a whole number from {} to {}", key, shown(value), low, high));
  return value.get<std::uint64_t>();
}

double Fields::number(std::string_view key, std::optional<double> fallback) const {
  if (!has(key) && fallback) return *fallback;
  const Json& value = at(key);
  if (!value.is_number()) fail_input(where_, fmt::format("'{}' is {}, wanted a number", key, shown(value)));
  return value.get<double>();
}

bool Fields::boolean(std::string_view key, std::optional<bool> fallback) const {
  if (!has(key) && fallback) return *fallback;
  const Json& value = at(key);
  if (!value.is_boolean()) fail_input(where_, fmt::format("'{}' is {}, wanted true or false", key, shown(value)));
  return value.get<bool>();
}

std::string Fields::string(std::string_view key, std::optional<std::string> fallback) const {
  if (!has(key) && fallback) return *fallback;
  const Json& value = at(key);
  if (!value.is_string()) fail_input(where_, fmt::format("'{}' is {}, wanted a string", key, shown(value)));
  return value.get<std::string>();
}

}  // namespace gloss::formats
