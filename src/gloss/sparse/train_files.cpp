#include "gloss/sparse/train_files.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <charconv>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "gloss/base/error.h"
#include "gloss/base/output_file.h"
#include "gloss/formats/json_file.h"
#include "gloss/formats/safetensors.h"

namespace gloss::sparse {
namespace {

using formats::Dtype;
using formats::SafeTensors;
using formats::SafeTensorsWriter;
using Json = nlohmann::json;

std::filesystem::path checkpoint_file(const std::filesystem::path& folder) {
  return folder / "checkpoint" / "state.safetensors";
}

/// The arrays of a state, by name, in the order they lie in the file.
struct Part {
  std::string name;
  Parameters TrainState::*role;
  AlignedFloats Parameters::*array;
};
std::vector<Part> parts(bool thresholds) {
  std::vector<Part> all;
  const std::vector<std::pair<std::string, Parameters TrainState::*>> roles = {
      {"weights", &TrainState::weights}, {"first", &TrainState::first}, {"second", &TrainState::second}};
  for (const auto& [name, role] : roles) {
    all.push_back({name + ".encoder", role, &Parameters::encoder});
    all.push_back({name + ".decoder", role, &Parameters::decoder});
    all.push_back({name + ".encoder_bias", role, &Parameters::encoder_bias});
    all.push_back({name + ".decoder_bias", role, &Parameters::decoder_bias});
    if (thresholds) all.push_back({name + ".log_threshold", role, &Parameters::log_threshold});
  }
  return all;
}

Settings settings_from(const Json& json, const std::string& where) {
  if (!json.is_object()) fail_input(where, "holds no settings of a training");
  Settings settings;
  for (const auto& [key, value] : json.items())
    settings[key] = value.is_string() ? value.get<std::string>() : value.dump();
  return settings;
}

void check_settings(const Settings& found, const Settings& wanted, const std::string& where) {
  if (found == wanted) return;
  std::set<std::string> keys;
  for (const auto& [key, value] : found) keys.insert(key);
  for (const auto& [key, value] : wanted) keys.insert(key);
  std::vector<std::string> changed;
  const auto value_of = [](const Settings& s, const std::string& key) {
    const auto it = s.find(key);
    return it == s.end() ? std::string("not set") : it->second;
  };
  for (const std::string& key : keys) {
    if (value_of(found, key) != value_of(wanted, key))
      changed.push_back(fmt::format("{} was {}, is now {}", key, value_of(found, key), value_of(wanted, key)));
  }
  fail_input(where, fmt::format("belongs to a training with other settings: {}", fmt::join(changed, "; ")),
             "choose another folder, or delete this one to start over");
}

/// A float tensor of exactly this many values, which must be finite: a state that is not would train to nonsense.
void read_part(const SafeTensors& file, const std::string& name, AlignedFloats& into) {
  const auto values = file.view<float>(name, Dtype::f32);
  if (values.size() != into.size())
    fail_input(file.file_name(), fmt::format("'{}' holds {} numbers, wanted {}", name, values.size(), into.size()));
  into.assign(values.begin(), values.end());
}

double read_scalar(const SafeTensors& file, const std::string& name) {
  const auto values = file.view<double>(name, Dtype::f64);
  if (values.size() != 1 || !(values[0] >= 0.0) || !std::isfinite(values[0]))
    fail_input(file.file_name(), fmt::format("'{}' is not one number from 0 up", name));
  return values[0];
}

}  // namespace

void write_checkpoint(const std::filesystem::path& folder, const TrainState& state, const Settings& settings) {
  std::filesystem::create_directories(folder / "checkpoint");
  std::vector<SafeTensorsWriter::Declared> tensors = {
      {"tokens_since_fired", Dtype::u64, {state.tokens_since_fired.size()}},
      {"recent_fvu", Dtype::f64, {state.recent_fvu.size()}},
      {"threshold", Dtype::f64, {1}},
      {"unit", Dtype::f64, {1}}};
  const std::vector<Part> all = parts(!state.weights.log_threshold.empty());
  for (const Part& part : all) tensors.push_back({part.name, Dtype::f32, {(state.*part.role.*part.array).size()}});
  SafeTensorsWriter writer(checkpoint_file(folder), tensors,
                           {{"step", std::to_string(state.step)}, {"settings", Json(settings).dump()}});
  writer.write_values<std::uint64_t>(state.tokens_since_fired);
  writer.write_values<double>(state.recent_fvu);
  writer.write_values<double>(std::span(&state.threshold, 1));
  writer.write_values<double>(std::span(&state.unit, 1));
  for (const Part& part : all) {
    const AlignedFloats& values = state.*part.role.*part.array;
    writer.write_values(std::span<const float>(values));
  }
  writer.commit();
}

std::optional<TrainState> read_checkpoint(const std::filesystem::path& folder, std::size_t latents, std::size_t width,
                                          Activation activation, const Settings& settings) {
  const std::filesystem::path path = checkpoint_file(folder);
  if (!std::filesystem::exists(path)) return {};
  const SafeTensors file = SafeTensors::open(path);
  const auto meta = [&](const char* key) {
    const auto it = file.metadata().find(key);
    return it == file.metadata().end() ? std::string() : it->second;
  };
  check_settings(settings_from(formats::parse_json(meta("settings"), path.string()), path.string()), settings,
                 path.string());
  TrainState state;
  const std::string step = meta("step");
  if (const auto read = std::from_chars(step.data(), step.data() + step.size(), state.step);
      read.ec != std::errc() || read.ptr != step.data() + step.size())
    fail_input(path.string(), fmt::format("its step '{}' is not a number", step));
  const auto fired = file.view<std::uint64_t>("tokens_since_fired", Dtype::u64);
  if (fired.size() != latents)
    fail_input(path.string(), fmt::format("'tokens_since_fired' holds {} numbers, wanted {}", fired.size(), latents));
  state.tokens_since_fired.assign(fired.begin(), fired.end());
  const auto fvu = file.view<double>("recent_fvu", Dtype::f64);
  if (fvu.size() > kRecentSteps) fail_input(path.string(), fmt::format("'recent_fvu' holds {} numbers", fvu.size()));
  state.recent_fvu.assign(fvu.begin(), fvu.end());
  if (activation != Activation::topk) {
    state.threshold = read_scalar(file, "threshold");
    state.unit = read_scalar(file, "unit");
  }
  state.weights = state.first = state.second = Parameters(latents, width, activation);
  for (const Part& part : parts(activation == Activation::jumprelu))
    read_part(file, part.name, state.*part.role.*part.array);
  return state;
}

void write_result(const std::filesystem::path& folder, const Settings& settings, const TrainResult& result) {
  const nlohmann::ordered_json json = {{"settings", settings},
                                       {"tokens", result.tokens},
                                       {"fvu", result.fvu},
                                       {"dead", result.dead},
                                       {"tokens_per_second", result.tokens_per_second}};
  write_file(folder / "train.json", json.dump(2) + "\n");
}

std::optional<TrainResult> read_result(const std::filesystem::path& folder, const Settings& settings) {
  const std::filesystem::path path = folder / "train.json";
  if (!std::filesystem::exists(path)) {
    for (const char* name : {"sae.safetensors", "sae_weights.safetensors", "cfg.json"}) {
      if (std::filesystem::exists(folder / name) && !std::filesystem::exists(checkpoint_file(folder)))
        fail_input((folder / name).string(), "belongs to a coder that was not trained here, and would be overwritten",
                   "choose another folder");
    }
    return {};
  }
  const Json json = formats::read_json(path);
  const formats::Fields fields(json, path.string());
  check_settings(settings_from(fields.at("settings"), path.string()), settings, path.string());
  TrainResult result;
  result.tokens = fields.integer("tokens", 0, std::numeric_limits<std::int64_t>::max());
  result.fvu = fields.number("fvu");
  result.dead = static_cast<std::uint32_t>(fields.integer("dead", 0, std::numeric_limits<std::uint32_t>::max()));
  result.tokens_per_second = fields.number("tokens_per_second");
  return result;
}

Curve::Curve(std::filesystem::path path, std::uint64_t steps_done)
    : path_(std::move(path)), text_("step,tokens,loss,fvu,auxk,dead,l0,tokens_per_second\n") {
  if (steps_done == 0 || !std::filesystem::exists(path_)) return;
  const std::string old = read_file(path_);
  std::size_t at = old.find('\n');
  while (at != std::string::npos) {
    const std::size_t begin = at + 1;
    at = old.find('\n', begin);
    if (at == std::string::npos) break;  // a cut line, or the end
    std::uint64_t step = 0;
    const auto read = std::from_chars(old.data() + begin, old.data() + at, step);
    if (read.ec != std::errc() || step > steps_done) break;
    text_.append(old, begin, at + 1 - begin);
  }
}

void Curve::add(std::uint64_t step, std::uint64_t tokens, const StepStats& stats, double tokens_per_second) {
  text_ += fmt::format("{},{},{:.6f},{:.6f},{:.6f},{},{:.3f},{:.0f}\n", step, tokens, stats.loss, stats.fvu, stats.auxk,
                       stats.dead, stats.l0, tokens_per_second);
}

void Curve::save() const { write_file(path_, text_); }

}  // namespace gloss::sparse
