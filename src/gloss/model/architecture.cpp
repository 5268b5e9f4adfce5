#include "gloss/model/architecture.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <array>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "gloss/base/error.h"

namespace gloss::model {
namespace {

constexpr std::array<Architecture, 1> kArchitectures{
    {{"llama", "LlamaForCausalLM", "RMSNorm, rotary positions, grouped-query attention, SwiGLU", read_llama,
      plan_llama}}};

/// What config.json calls its model: model_type, or the class that made it when there is no model_type.
std::string declared_name(const formats::Fields& fields) {
  if (fields.has("model_type")) return fields.string("model_type");
  if (!fields.has("architectures")) fail_input(fields.where(), "has neither 'model_type' nor 'architectures'");
  const nlohmann::json& classes = fields.at("architectures");
  if (!classes.is_array() || classes.empty() || !classes[0].is_string())
    fail_input(fields.where(), "'architectures' is not a list that begins with a string");
  return classes[0].get<std::string>();
}

}  // namespace

std::span<const Architecture> architectures() { return kArchitectures; }

const Architecture& architecture_of(const Config& config) {
  for (const Architecture& row : kArchitectures) {
    if (row.name == config.architecture) return row;
  }
  throw std::logic_error("no row for architecture " + config.architecture);
}

Config parse_config(std::string_view json, const std::string& where) {
  const nlohmann::json object = formats::parse_json(json, where);
  const formats::Fields fields(object, where);
  const std::string declared = declared_name(fields);
  std::vector<std::string> names;
  std::vector<std::string> both;
  for (const Architecture& row : kArchitectures) {
    if (declared == row.name || declared == row.class_name) {
      Config config = row.read(fields);
      config.architecture = row.name;
      return config;
    }
    names.insert(names.end(), {std::string(row.name), std::string(row.class_name)});
    both.push_back(fmt::format("{} ({})", row.name, row.class_name));
  }
  const std::string nearest = nearest_name(declared, names);
  fail_input(where, fmt::format("architecture '{}' is not known; known: {}", declared, fmt::join(both, ", ")),
             nearest.empty() ? std::string() : fmt::format("did you mean '{}'?", nearest));
}

}  // namespace gloss::model
