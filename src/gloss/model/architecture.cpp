#include "gloss/model/architecture.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <array>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "gloss/base/error.h"
#include "gloss/model/family.h"

namespace gloss::model {
namespace {

constexpr std::array<Architecture, 11> kArchitectures{{
    {"gpt2", "GPT2LMHeadModel", "LayerNorm, learned positions, GELU", read_gpt2, plan_gpt2, "transformer.", {""}},
    {"gpt_neo",
     "GPTNeoForCausalLM",
     "GPT-2 with local attention in every other layer",
     read_gpt_neo,
     plan_gpt_neo,
     "transformer.",
     {""}},
    {"gpt_neox",
     "GPTNeoXForCausalLM",
     "parallel residual, partial rotary positions (Pythia)",
     read_gpt_neox,
     plan_gpt_neox,
     "gpt_neox.",
     {""}},
    {"llama",
     "LlamaForCausalLM",
     "RMSNorm, rotary positions, grouped-query attention, SwiGLU",
     read_llama,
     plan_llama_like,
     "model.",
     {""}},
    {"mistral", "MistralForCausalLM", "Llama with a sliding window", read_mistral, plan_llama_like, "model.", {""}},
    {"qwen2",
     "Qwen2ForCausalLM",
     "Llama with query, key and value biases (Qwen 2, 2.5)",
     read_qwen2,
     plan_llama_like,
     "model.",
     {""}},
    {"qwen3", "Qwen3ForCausalLM", "Llama with query and key norms", read_qwen3, plan_llama_like, "model.", {""}},
    {"gemma",
     "GemmaForCausalLM",
     "scaled embeddings, gated GELU, wide heads",
     read_gemma,
     plan_llama_like,
     "model.",
     {""}},
    {"gemma2",
     "Gemma2ForCausalLM",
     "Gemma with capped scores, norms after sublayers, windows",
     read_gemma2,
     plan_llama_like,
     "model.",
     {""}},
    {"gemma3_text",
     "Gemma3ForCausalLM",
     "Gemma with query and key norms, windows in 5 of 6 layers",
     read_gemma3,
     plan_llama_like,
     "model.",
     {"", "language_model.model.", "model.language_model."}},
    {"gemma3",
     "Gemma3ForConditionalGeneration",
     "the language model of Gemma 3 with pictures",
     read_gemma3,
     plan_llama_like,
     "model.",
     {"language_model.model.", "model.language_model.", ""}},
}};

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
