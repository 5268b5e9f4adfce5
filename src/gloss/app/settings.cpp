#include "gloss/app/settings.h"

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <sstream>

#include "gloss/app/toml_file.h"
#include "gloss/base/error.h"
#include "gloss/base/output_file.h"

namespace gloss::app {
namespace {

bool is_integer(const std::string& text, std::int64_t& value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size();
}

/// A flag's value in its own type, so that the file reads naturally.
template <class Put>
void put_value(const std::string& text, const Put& put) {
  std::int64_t number = 0;
  if (text == "true" || text == "false")
    put(text == "true");
  else if (is_integer(text, number))
    put(number);
  else
    put(text);
}

std::string name_without_dashes(const CLI::Option& option) {
  std::string name = option.get_name();
  name.erase(0, name.find_first_not_of('-'));
  return name;
}

toml::table section_of(const CLI::App& cli) {
  toml::table section;
  for (const CLI::Option* option : cli.get_options()) {
    const std::string name = name_without_dashes(*option);
    if (name.empty() || name == "help" || option->get_lnames().empty()) continue;
    const std::vector<std::string> values = option->results();
    if (option->get_expected_max() > 1) {
      toml::array list;
      for (const std::string& value : values) put_value(value, [&](const auto& v) { list.push_back(v); });
      section.insert(name, list);
    } else if (!values.empty()) {
      put_value(values.back(), [&](const auto& v) { section.insert(name, v); });
    } else if (option->get_expected_max() == 0) {
      section.insert(name, false);
    } else if (!option->get_default_str().empty()) {
      put_value(option->get_default_str(), [&](const auto& v) { section.insert(name, v); });
    }
  }
  return section;
}

std::string scalar_text(const std::filesystem::path& file, const std::string& key, const toml::node& node) {
  if (const auto text = node.value_exact<std::string>()) return *text;
  if (const auto flag = node.value_exact<bool>()) return *flag ? "true" : "false";
  if (const auto number = node.value_exact<std::int64_t>()) return std::to_string(*number);
  if (const auto number = node.value_exact<double>()) return fmt::format("{}", *number);
  fail_input(where_of(file, node), fmt::format("'{}' is not a string, number, true or false", key));
}

void append_flag(std::vector<std::string>& arguments, const std::string& key, const std::string& value) {
  if (value == "false") return;
  arguments.push_back(value == "true" ? "--" + key : fmt::format("--{}={}", key, value));
}

Stage stage_of(const std::filesystem::path& file, const std::string& name, const std::string& run,
               const toml::table& table) {
  Stage stage{name, {}};
  std::string target = run;
  std::vector<std::string> flags;
  for (const auto& [key_node, value] : table) {
    const std::string key(key_node.str());
    if (name == "train-sae" && key == "out") {
      target = scalar_text(file, key, value);
    } else if (const toml::array* list = value.as_array()) {
      for (const toml::node& item : *list) append_flag(flags, key, scalar_text(file, key, item));
    } else {
      append_flag(flags, key, scalar_text(file, key, value));
    }
  }
  stage.arguments.push_back(target);
  stage.arguments.insert(stage.arguments.end(), flags.begin(), flags.end());
  return stage;
}

constexpr std::array<const char*, 7> kStages = {"train-sae", "cache", "filter", "explain", "score", "embed", "report"};

void check_keys(const std::filesystem::path& file, const toml::table& root) {
  std::vector<std::string> known(kStages.begin(), kStages.end());
  known.emplace_back("run");
  for (const auto& [key, value] : root) {
    if (std::find(known.begin(), known.end(), key.str()) != known.end()) continue;
    const std::string nearest = nearest_name(key.str(), known);
    fail_input(where_of(file, value), fmt::format("unknown key '{}'; known: {}", key.str(), fmt::join(known, ", ")),
               nearest.empty() ? "" : fmt::format("did you mean '{}'?", nearest));
  }
}

}  // namespace

void save_settings(const RunFolder& run, const std::string& stage, const CLI::App& cli) {
  const std::filesystem::path path = run.root() / "run.toml";
  toml::table root;
  if (std::filesystem::exists(path)) root = parse_toml_file(path);
  root.insert_or_assign("run", run.root().string());
  root.insert_or_assign(stage, section_of(cli));
  std::ostringstream text;
  text << "# Every setting of this run, defaults included. `gloss run` takes this file.\n" << root << "\n";
  std::filesystem::create_directories(run.root());
  write_file(path, text.str());
}

RunFile read_run_file(const std::filesystem::path& file) {
  const toml::table root = parse_toml_file(file);
  check_keys(file, root);
  RunFile result;
  const toml::node* run = root.get("run");
  if (run == nullptr)
    fail_input(file.string(), "has no 'run'", "name the run folder in its first line: run = \"runs/NAME\"");
  result.run = scalar_text(file, "run", *run);
  for (const char* name : kStages) {
    const toml::node* node = root.get(name);
    if (node == nullptr) continue;
    if (const toml::table* table = node->as_table()) {
      result.stages.push_back(stage_of(file, name, result.run, *table));
    } else if (const toml::array* list = node->as_array(); list != nullptr && list->is_array_of_tables()) {
      for (const toml::node& item : *list) result.stages.push_back(stage_of(file, name, result.run, *item.as_table()));
    } else {
      fail_input(where_of(file, *node), fmt::format("'{}' is not a table", name));
    }
  }
  if (result.stages.empty()) fail_input(file.string(), "asks for no stage", "add a table, for example [cache]");
  return result;
}

}  // namespace gloss::app
