#include "gloss/app/run_folder.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "gloss/base/error.h"
#include "gloss/base/natural_order.h"
#include "gloss/base/output_file.h"
#include "gloss/formats/checked_json.h"
#include "gloss/formats/json_file.h"

namespace gloss::app {
namespace {

using Json = nlohmann::json;

struct Manifest {
  Inputs inputs;
  bool done = false;
};

Manifest read_manifest(const std::filesystem::path& path) {
  const Json json = formats::read_json(path);
  const formats::Fields fields(json, path.string());
  Manifest manifest;
  manifest.done = fields.boolean("done");
  for (const auto& [key, value] : fields.at("inputs").items()) {
    if (!value.is_string()) fail_input(path.string(), fmt::format("inputs '{}' is not a string", key));
    manifest.inputs[key] = value.get<std::string>();
  }
  return manifest;
}

}  // namespace

std::vector<std::string> RunFolder::hookpoints() const {
  std::vector<std::string> names;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(root_ / "latents", error)) {
    if (std::filesystem::exists(entry.path() / "index.safetensors")) names.push_back(entry.path().filename().string());
  }
  if (names.empty())
    fail_input(root_.string(), "is no run with a finished cache",
               fmt::format("gloss cache {} --model DIR --sae DIR --text PATH makes one", root_.string()));
  natural_sort(names);
  return names;
}

std::vector<std::string> RunFolder::select_hookpoints(const std::vector<std::string>& wanted) const {
  std::vector<std::string> known = hookpoints();
  if (wanted.empty()) return known;
  for (const std::string& name : wanted) {
    if (std::find(known.begin(), known.end(), name) == known.end()) fail_unknown_name("hookpoint", name, known);
  }
  std::erase_if(known,
                [&](const std::string& name) { return std::find(wanted.begin(), wanted.end(), name) == wanted.end(); });
  return known;
}

std::string describe_changes(const Inputs& before, const Inputs& now) {
  std::set<std::string> keys;
  for (const auto& [key, value] : before) keys.insert(key);
  for (const auto& [key, value] : now) keys.insert(key);
  const auto value_in = [](const Inputs& inputs, const std::string& key) {
    const auto it = inputs.find(key);
    return it == inputs.end() ? std::string("(not set)") : it->second;
  };
  std::string text;
  for (const std::string& key : keys) {
    const std::string was = value_in(before, key);
    const std::string is = value_in(now, key);
    if (was != is) text += fmt::format("{}{}: was {}, is {}", text.empty() ? "" : "; ", key, was, is);
  }
  return text;
}

StageState stage_state(const RunFolder& run, const std::string& stage, const Inputs& inputs) {
  const std::filesystem::path path = run.manifest(stage);
  if (!std::filesystem::exists(path)) return StageState::fresh;
  const Manifest manifest = read_manifest(path);
  const std::string changes = describe_changes(manifest.inputs, inputs);
  if (!changes.empty())
    fail_input(run.root().string(), fmt::format("its {} was made from something else: {}", stage, changes),
               "choose another run folder, or delete this one to start over");
  return manifest.done ? StageState::done : StageState::started;
}

Inputs read_inputs(const RunFolder& run, const std::string& stage) { return read_manifest(run.manifest(stage)).inputs; }

void write_manifest(const RunFolder& run, const std::string& stage, const Inputs& inputs, bool done) {
  const std::filesystem::path path = run.manifest(stage);
  std::filesystem::create_directories(path.parent_path());
  write_file(path, formats::checked_json_text({{"stage", stage}, {"done", done}, {"inputs", inputs}}));
}

}  // namespace gloss::app
