#include "gloss/examples/sae_dashboard.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <set>

#include "gloss/base/error.h"
#include "gloss/base/output_file.h"
#include "gloss/formats/json_file.h"

namespace gloss::examples {
namespace {

using formats::Fields;
using Json = nlohmann::json;
using Ordered = nlohmann::ordered_json;

constexpr double kPlaces = 1e5;
constexpr std::size_t kDeepest = 32;
constexpr std::uint64_t kMostNumber = std::numeric_limits<std::uint32_t>::max();

double rounded(double value) { return std::round(value * kPlaces) / kPlaces; }

Ordered sequence_json(const PageSequence& s) {
  Ordered values = Ordered::array();
  for (const double value : s.values) values.push_back(rounded(value));
  return {{"bin_min", rounded(s.bin_min)},
          {"bin_max", rounded(s.bin_max)},
          {"bin_contains", rounded(s.bin_contains)},
          {"tokens", s.tokens},
          {"values", std::move(values)},
          {"qualifying_token_index", s.at}};
}

void add_tokens(Ordered& json, const std::string& name, const std::vector<std::pair<std::string, double>>& tokens) {
  json[name + "_str"] = Ordered::array();
  json[name + "_values"] = Ordered::array();
  for (const auto& [token, value] : tokens) {
    json[name + "_str"].push_back(token);
    json[name + "_values"].push_back(rounded(value));
  }
}

void add_bars(Ordered& json, const std::string& name, const std::vector<double>& middles,
              const std::vector<std::uint64_t>& heights) {
  json[name + "_bar_values"] = Ordered::array();
  for (const double value : middles) json[name + "_bar_values"].push_back(rounded(value));
  json[name + "_bar_heights"] = heights;
}

Ordered page_json(const LatentPage& page, const DashboardOrigin& origin) {
  Ordered json = {{"feature_index", to_index(page.latent)}};
  // Their readers want these lists; a run keeps nothing to fill them with.
  for (const char* name :
       {"neuron_alignment_indices", "neuron_alignment_values", "neuron_alignment_l1", "correlated_neurons_indices",
        "correlated_neurons_l1", "correlated_neurons_pearson", "correlated_features_indices", "correlated_features_l1",
        "correlated_features_pearson", "decoder_weights_dist"})
    json[name] = Ordered::array();
  add_tokens(json, "neg", page.suppressed);
  add_tokens(json, "pos", page.promoted);
  json["frac_nonzero"] = page.density;
  add_bars(json, "freq_hist_data", page.histogram_values, page.histogram_heights);
  add_bars(json, "logits_hist_data", page.logit_values, page.logit_heights);
  json["n_prompts_total"] = origin.prompts;
  json["n_tokens_in_prompt"] = origin.tokens_in_prompt;
  json["dataset"] = origin.dataset;
  json["activations"] = Ordered::array();
  for (const PageSequence& s : page.sequences) json["activations"].push_back(sequence_json(s));
  return json;
}

/// What is kept is copied and written by functions that call themselves. Errors: bad_input.
void check_depth(std::string_view text, const std::string& where) {
  std::size_t depth = 0;
  bool inside = false;  // a string
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '"') inside = !inside;
    if (inside && c == '\\') ++i;
    if (inside) continue;
    if (c == '[' || c == '{') ++depth;
    if ((c == ']' || c == '}') && depth > 0) --depth;
    if (depth > kDeepest) fail_input(where, fmt::format("byte {}: lists nest deeper than {}", i, kDeepest));
  }
}

const Json& list_at(const Fields& fields, std::string_view key) {
  const Json& list = fields.at(key);
  if (!list.is_array()) fail_input(fields.where(), fmt::format("'{}' is {}, wanted a list", key, list.type_name()));
  return list;
}

std::vector<double> numbers_at(const Fields& fields, std::string_view key) {
  std::vector<double> numbers;
  for (const Json& value : list_at(fields, key)) {
    if (!value.is_number())
      fail_input(fields.where(), fmt::format("'{}' {} is {}, wanted a number", key, numbers.size(), value.type_name()));
    numbers.push_back(value.get<double>());
  }
  return numbers;
}

std::vector<std::string> strings_at(const Fields& fields, std::string_view key) {
  std::vector<std::string> strings;
  for (const Json& value : list_at(fields, key)) {
    if (!value.is_string())
      fail_input(fields.where(), fmt::format("'{}' {} is {}, wanted a text", key, strings.size(), value.type_name()));
    strings.push_back(value.get<std::string>());
  }
  return strings;
}

void check_lengths(const Fields& fields, std::string_view one, std::size_t ones, std::string_view other,
                   std::size_t others) {
  if (ones != others)
    fail_input(fields.where(), fmt::format("has {} '{}' and {} '{}', wanted as many", ones, one, others, other));
}

std::vector<std::pair<std::string, double>> tokens_at(const Fields& fields, const std::string& name) {
  if (!fields.has(name + "_str")) return {};
  std::vector<std::string> tokens = strings_at(fields, name + "_str");
  const std::vector<double> values = numbers_at(fields, name + "_values");
  check_lengths(fields, name + "_str", tokens.size(), name + "_values", values.size());
  std::vector<std::pair<std::string, double>> both;
  for (std::size_t i = 0; i < tokens.size(); ++i) both.emplace_back(std::move(tokens[i]), values[i]);
  return both;
}

PageSequence read_sequence(const Json& json, const std::string& where) {
  const Fields fields(json, where);
  PageSequence s;
  s.bin_min = fields.number("bin_min", -1.0);
  s.bin_max = fields.number("bin_max", 0.0);
  s.bin_contains = fields.number("bin_contains", -1.0);
  s.tokens = strings_at(fields, "tokens");
  s.values = numbers_at(fields, "values");
  check_lengths(fields, "tokens", s.tokens.size(), "values", s.values.size());
  // -1: there is none. Some files have null.
  if (fields.has("qualifying_token_index") && fields.at("qualifying_token_index") != -1) {
    if (s.tokens.empty()) fail_input(where, "has a 'qualifying_token_index' and no tokens");
    s.at = static_cast<std::int64_t>(fields.integer("qualifying_token_index", 0, s.tokens.size() - 1));
  }
  return s;
}

void read_bars(const Fields& fields, const std::string& name, std::vector<double>& middles,
               std::vector<std::uint64_t>& heights) {
  const std::string values_key = name + "_bar_values", heights_key = name + "_bar_heights";
  if (!fields.has(values_key)) return;
  middles = numbers_at(fields, values_key);
  for (const double height : numbers_at(fields, heights_key)) {
    if (!(height >= 0) || height > static_cast<double>(kMostNumber))
      fail_input(fields.where(), fmt::format("'{}' holds {}, wanted a count", heights_key, height));
    heights.push_back(static_cast<std::uint64_t>(height));
  }
  check_lengths(fields, values_key, middles.size(), heights_key, heights.size());
}

LatentPage read_page(const Json& json, const std::string& where) {
  const Fields fields(json, where);
  LatentPage page;
  page.latent = LatentId{static_cast<std::uint32_t>(fields.integer("feature_index", 0, kMostNumber))};
  page.density = fields.number("frac_nonzero", 0.0);
  page.promoted = tokens_at(fields, "pos");
  page.suppressed = tokens_at(fields, "neg");
  read_bars(fields, "freq_hist_data", page.histogram_values, page.histogram_heights);
  read_bars(fields, "logits_hist_data", page.logit_values, page.logit_heights);
  const Json& activations = list_at(fields, "activations");
  for (std::size_t i = 0; i < activations.size(); ++i) {
    page.sequences.push_back(
        read_sequence(activations[i], fmt::format("{} (latent {}): activations {}", where, to_index(page.latent), i)));
    for (const double value : page.sequences.back().values) page.max = std::max(page.max, value);
  }
  return page;
}

}  // namespace

std::string dashboard_text(const DashboardOrigin& origin, std::span<const LatentPage> pages) {
  Ordered json = {{"model_id", origin.model_id},
                  {"layer", origin.layer},
                  {"sae_set", origin.sae_set},
                  {"sae_id_suffix", nullptr},
                  {"features", Ordered::array()}};
  for (const LatentPage& page : pages) json["features"].push_back(page_json(page, origin));
  return json.dump() + "\n";
}

DashboardBatch DashboardBatch::open(const std::filesystem::path& file) { return parse(read_file(file), file.string()); }

DashboardBatch DashboardBatch::parse(std::string_view text, const std::string& where) {
  check_depth(text, where);
  DashboardBatch batch;
  auto json = std::make_shared<const Json>(formats::parse_json(text, where));
  const Fields fields(*json, where);
  batch.where_ = where;
  batch.name_ = fmt::format("{} {}-{}", fields.string("model_id"), fields.integer("layer", 0, kMostNumber),
                            fields.string("sae_set"));
  if (const std::string suffix = fields.string("sae_id_suffix", ""); !suffix.empty()) batch.name_ += "__" + suffix;
  const Json& features = list_at(fields, "features");
  std::set<LatentId> seen;
  for (std::size_t i = 0; i < features.size(); ++i) {
    batch.pages_.push_back(read_page(features[i], fmt::format("{}: features {}", where, i)));
    const LatentId latent = batch.pages_.back().latent;
    if (!seen.insert(latent).second) fail_input(where, fmt::format("latent {} comes twice", to_index(latent)));
    batch.latents_.push_back(latent);
  }
  batch.json_ = std::move(json);
  return batch;
}

std::size_t DashboardBatch::place_of(LatentId latent) const {
  const auto found = std::find(latents_.begin(), latents_.end(), latent);
  if (found == latents_.end()) {
    if (latents_.empty()) fail_input(where_, "holds no latents");
    const auto [low, high] = std::minmax_element(latents_.begin(), latents_.end());
    fail_input(where_, fmt::format("has no latent {}: it holds {} of {} to {}", to_index(latent), latents_.size(),
                                   to_index(*low), to_index(*high)));
  }
  return static_cast<std::size_t>(found - latents_.begin());
}

LatentPage DashboardBatch::page(LatentId latent) const { return pages_[place_of(latent)]; }

std::string DashboardBatch::text(std::span<const LatentId> latents) const {
  Json chosen = *json_;
  chosen["features"] = Json::array();
  for (const LatentId latent : latents) chosen["features"].push_back((*json_)["features"][place_of(latent)]);
  return chosen.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace gloss::examples
