#include "gloss/app/providers.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>

#include "gloss/app/toml_file.h"
#include "gloss/base/error.h"
#include "gloss/llm/protocol.h"

namespace gloss::app {
namespace {

llm::Prices prices(double input, double cached, double kept, double output) {
  llm::Prices p;
  p.input = input;
  p.cached_input = cached;
  p.kept_input = kept;
  p.output = output;
  return p;
}

/// List prices change: what a file says goes before these.
std::vector<Provider> built_in() {
  return {
      {"anthropic",
       "https://api.anthropic.com/v1",
       "anthropic",
       "",
       "ANTHROPIC_API_KEY",
       16,
       0.5,
       {{"claude-3-5-haiku-latest", prices(0.8, 0.08, 1.0, 4.0)},
        {"claude-sonnet-4-20250514", prices(3.0, 0.3, 3.75, 15.0)}}},
      {"llama-server", "http://127.0.0.1:8080/v1", "openai-chat", "", "", 8, 0.0, {}},
      {"openai",
       "https://api.openai.com/v1",
       "openai",
       "gpt-4o-mini",
       "OPENAI_API_KEY",
       64,
       0.5,
       {{"gpt-4o-mini", prices(0.15, 0.075, 0.0, 0.6)},
        {"gpt-4o", prices(2.5, 1.25, 0.0, 10.0)},
        {"gpt-4.1-mini", prices(0.4, 0.1, 0.0, 1.6)},
        {"gpt-4.1-nano", prices(0.1, 0.025, 0.0, 0.4)}}},
      {"openrouter", "https://openrouter.ai/api/v1", "openai-chat", "", "OPENROUTER_API_KEY", 32, 0.0, {}},
      {"together", "https://api.together.xyz/v1", "openai-chat", "", "TOGETHER_API_KEY", 32, 0.5, {}},
      {"vllm", "http://127.0.0.1:8000/v1", "openai-chat", "", "", 256, 0.0, {}},
  };
}

class Reader {
 public:
  explicit Reader(const std::filesystem::path& file) : file_(&file) {}

  void read_into(std::vector<Provider>& rows) const {
    for (const auto& [key, node] : parse_toml_file(*file_)) {
      const std::string name(key.str());
      auto row = std::find_if(rows.begin(), rows.end(), [&](const Provider& p) { return p.name == name; });
      if (row == rows.end()) row = rows.insert(rows.end(), Provider{name, "", "openai-chat", "", "", 16, 0.5, {}});
      read_row(table(node, name), *row);
      if (row->url.empty()) fail(node, fmt::format("provider '{}' has no url", name));
    }
  }

 private:
  [[noreturn]] void fail(const toml::node& node, const std::string& what, std::string_view hint = {}) const {
    fail_input(where_of(*file_, node), what, hint);
  }
  const toml::table& table(const toml::node& node, const std::string& name) const {
    if (!node.is_table()) fail(node, fmt::format("'{}' is no table", name));
    return *node.as_table();
  }
  std::string text(const toml::node& node, const std::string& key) const {
    const auto value = node.value_exact<std::string>();
    if (!value) fail(node, fmt::format("'{}' is no text", key));
    return *value;
  }
  double number(const toml::node& node, const std::string& key, double most) const {
    const auto value = node.is_number() ? node.value<double>() : std::nullopt;
    if (!value || !(*value >= 0.0 && *value <= most))
      fail(node, fmt::format("'{}' is no number from 0 to {}", key, most));
    return *value;
  }
  void unknown(const toml::node& node, const std::string& key, const std::vector<std::string>& known) const {
    const std::string nearest = nearest_name(key, known);
    fail(node, fmt::format("unknown key '{}'; known: {}", key, fmt::join(known, ", ")),
         nearest.empty() ? "" : fmt::format("did you mean '{}'?", nearest));
  }

  void read_row(const toml::table& row, Provider& provider) const {
    for (const auto& [key_node, node] : row) {
      const std::string key(key_node.str());
      if (key == "url")
        provider.url = text(node, key);
      else if (key == "dialect")
        read_dialect(node, provider);
      else if (key == "model")
        provider.model = text(node, key);
      else if (key == "key_env")
        read_key_env(node, provider);
      else if (key == "in_flight")
        read_in_flight(node, provider);
      else if (key == "batch_discount")
        provider.batch_discount = number(node, key, 1.0);
      else if (key == "prices")
        read_prices(table(node, key), provider);
      else
        unknown(node, key, {"url", "dialect", "model", "key_env", "in_flight", "batch_discount", "prices"});
    }
  }
  void read_dialect(const toml::node& node, Provider& provider) const {
    provider.dialect = text(node, "dialect");
    try {
      llm::find_dialect(provider.dialect);
    } catch (const Error& e) {
      fail(node, e.what());
    }
  }
  /// The value is not shown: it may be a key that somebody put here.
  void read_key_env(const toml::node& node, Provider& provider) const {
    provider.key_env = text(node, "key_env");
    const bool name = std::all_of(provider.key_env.begin(), provider.key_env.end(),
                                  [](char c) { return (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_'; });
    if (!name)
      fail(node, "'key_env' is no name of an environment variable in capital letters",
           "the key itself belongs in the environment, not in a file");
  }
  void read_in_flight(const toml::node& node, Provider& provider) const {
    const auto value = node.value_exact<std::int64_t>();
    if (!value || *value < 1 || *value > 4096) fail(node, "'in_flight' is no whole number from 1 to 4096");
    provider.in_flight = static_cast<std::uint32_t>(*value);
  }
  /// Of all models, or in tables of single ones.
  void read_prices(const toml::table& table_of_prices, Provider& provider) const {
    llm::Prices all;
    bool any = false;
    for (const auto& [key_node, node] : table_of_prices) {
      const std::string key(key_node.str());
      if (node.is_table()) {
        llm::Prices one;
        for (const auto& [name, value] : *node.as_table()) read_price(std::string(name.str()), value, one);
        provider.prices[key] = filled(one, *node.as_table());
      } else {
        read_price(key, node, all);
        any = true;
      }
    }
    if (any) provider.prices[""] = filled(all, table_of_prices);
  }
  void read_price(const std::string& key, const toml::node& node, llm::Prices& p) const {
    constexpr double kMost = 1e6;
    if (key == "input")
      p.input = number(node, key, kMost);
    else if (key == "cached_input")
      p.cached_input = number(node, key, kMost);
    else if (key == "kept_input")
      p.kept_input = number(node, key, kMost);
    else if (key == "output")
      p.output = number(node, key, kMost);
    else
      unknown(node, key, {"input", "cached_input", "kept_input", "output"});
  }
  static llm::Prices filled(llm::Prices p, const toml::table& said) {
    if (!said.contains("cached_input")) p.cached_input = p.input;
    return p;
  }

  const std::filesystem::path* file_;
};

}  // namespace

llm::Prices Provider::prices_of(std::string_view model_name) const {
  auto found = prices.find(std::string(model_name));
  if (found == prices.end()) found = prices.find("");
  llm::Prices result = found == prices.end() ? llm::Prices{} : found->second;
  result.batch_discount = batch_discount;
  return result;
}

std::vector<Provider> read_providers(const std::filesystem::path& file) {
  std::vector<Provider> rows = built_in();
  if (!file.empty() && std::filesystem::exists(file)) Reader(file).read_into(rows);
  std::sort(rows.begin(), rows.end(), [](const Provider& a, const Provider& b) { return a.name < b.name; });
  return rows;
}

std::filesystem::path default_providers_file() {
  const char* config = std::getenv("XDG_CONFIG_HOME");
  if (config != nullptr && *config != '\0') return std::filesystem::path(config) / "gloss/providers.toml";
  const char* home = std::getenv("HOME");
  return home == nullptr ? std::filesystem::path() : std::filesystem::path(home) / ".config/gloss/providers.toml";
}

}  // namespace gloss::app
