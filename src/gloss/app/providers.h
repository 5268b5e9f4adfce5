#pragma once
/// Servers of language models by name: where they are, how they are spoken to, what they take. File: docs/providers.md.
#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "gloss/llm/prices.h"

namespace gloss::app {

struct Provider {
  std::string name;
  std::string url;      // base
  std::string dialect;  // llm::find_dialect()
  std::string model;    // "" = the first that the server lists
  std::string key_env;  // the environment's variable that holds the key; "" = none wanted
  std::uint32_t in_flight = 16;
  double batch_discount = 0.5;
  std::map<std::string, llm::Prices> prices;  // by model; "" = of all others

  /// Prices of a model, with the batch discount; not known() where there are none.
  llm::Prices prices_of(std::string_view model_name) const;
};

/// The built-in rows, and in their place or beside them those of `file`, where there is one; ordered by name.
/// Errors: bad_input with file, line and column: an unknown key, a value of another kind, a row without URL, a key
/// itself where the name of its variable belongs.
std::vector<Provider> read_providers(const std::filesystem::path& file);

/// $XDG_CONFIG_HOME/gloss/providers.toml, or ~/.config/gloss/providers.toml.
std::filesystem::path default_providers_file();

}  // namespace gloss::app
