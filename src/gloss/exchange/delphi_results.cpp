#include "gloss/exchange/delphi_results.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "gloss/base/error.h"
#include "gloss/exchange/simulations.h"
#include "gloss/formats/json_file.h"

namespace gloss::exchange {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

constexpr std::uint32_t kQuantiles = 10;  // delphi's, unless a judgement has a higher one
constexpr std::array<std::string_view, 3> kScorers = {"detection", "fuzz", "simulation"};

constexpr std::string_view kBetween = "_latent";  // HOOKPOINT_latentN.txt

/// A latent by the name of its files.
struct Named {
  std::string hookpoint;
  LatentId latent{};
};

/// HOOKPOINT_latentN.txt; nothing when it is not called so.
std::optional<Named> named_by(const fs::path& file) {
  const std::string stem = file.stem().string();
  const std::size_t at = stem.rfind(kBetween);
  if (file.extension() != ".txt" || at == std::string::npos || at == 0) return std::nullopt;
  return Named{stem.substr(0, at), latent_of(std::string_view(stem).substr(at + kBetween.size()), file.string())};
}

bool flag_of(const Json& value, const formats::Fields& fields, std::string_view key) {
  if (value.is_boolean()) return value.get<bool>();
  if (value == Json(0) || value == Json(1)) return value == Json(1);
  fail_input(fields.where(), fmt::format("'{}' is {}, wanted true or false", key, value.dump()));
}

/// Null, or -1 in files of the article's version: the call failed or its reply could not be read.
score::Verdict verdict_of(const formats::Fields& fields) {
  if (!fields.has("prediction")) return score::Verdict::failed;
  const Json& value = fields.at("prediction");
  if (value == Json(-1)) return score::Verdict::failed;
  return flag_of(value, fields, "prediction") ? score::Verdict::yes : score::Verdict::no;
}

score::LatentScore judged_score(const Json& list, LatentId latent, const std::string& where) {
  if (!list.is_array()) fail_input(where, fmt::format("is {}, wanted a list", list.type_name()));
  std::vector<score::Judgement> judgements;
  std::vector<std::uint64_t> quantiles;  // 0 = strongest
  for (std::size_t i = 0; i < list.size(); ++i) {
    const formats::Fields fields(list[i], fmt::format("{}: {}", where, i));
    score::Judgement& j = judgements.emplace_back();
    const bool old = !fields.has("activating");
    const char* truth = old ? "ground_truth" : "activating";
    j.truth = flag_of(fields.at(truth), fields, truth);
    j.verdict = verdict_of(fields);
    if (fields.has("probability")) j.probability = static_cast<float>(fields.number("probability"));
    if (!(j.probability >= 0.0F && j.probability <= 1.0F)) j.probability = -1.0F;
    const double distance = fields.number("distance", -1.0);
    constexpr double kMost = 200;
    quantiles.push_back(j.truth && distance >= 0 && distance < kMost ? static_cast<std::uint64_t>(distance) : kMost);
    if (old && fields.has("highlighted") && distance > 0) --quantiles.back();  // the article's version counts from 1
  }
  std::uint32_t count = kQuantiles;
  for (const std::uint64_t q : quantiles) {
    if (q < 200) count = std::max(count, static_cast<std::uint32_t>(q) + 1);
  }
  for (std::size_t i = 0; i < judgements.size(); ++i)
    judgements[i].quantile = quantiles[i] < count ? static_cast<std::uint8_t>(count - quantiles[i]) : 0;
  return score::summarize(latent, judgements, count);
}

/// Of the entries by distance the first, 0, holds all sequences.
std::optional<score::LatentScore> simulated_score(const Json& list, LatentId latent, const std::string& where) {
  if (!list.is_array()) fail_input(where, fmt::format("is {}, wanted a list", list.type_name()));
  for (std::size_t i = 0; i < list.size(); ++i) {
    const std::string place = fmt::format("{}: {}", where, i);
    if (formats::Fields(list[i], place).number("distance", 0.0) != 0.0) continue;
    auto score = simulation_score(list[i], latent, place);
    if (score) return std::move(score->score);
  }
  return std::nullopt;
}

void add_scores(const fs::path& root, const std::string& name, GivenExplanation& given) {
  const LatentId latent = given.row.explanation.latent;
  for (const std::string_view scorer : kScorers) {
    const fs::path file = root / "scores" / scorer / name;
    if (!fs::exists(file)) continue;
    const Json json = formats::read_json(file);
    std::optional<score::LatentScore> score = scorer == "simulation" ? simulated_score(json, latent, file.string())
                                                                     : judged_score(json, latent, file.string());
    if (score) add_score(given, {std::string(scorer), "delphi", *std::move(score)}, file.string());
  }
}

std::map<std::string, std::size_t> unread_scores(const fs::path& root) {
  std::map<std::string, std::size_t> unread;
  if (!fs::is_directory(root / "scores")) return unread;
  for (const auto& entry : fs::directory_iterator(root / "scores")) {
    const std::string name = entry.path().filename().string();
    if (!entry.is_directory() || std::find(kScorers.begin(), kScorers.end(), name) != kScorers.end()) continue;
    for (const auto& file : fs::directory_iterator(entry.path())) unread[name] += file.is_regular_file() ? 1 : 0;
  }
  return unread;
}

}  // namespace

DelphiReading each_delphi_explanation(const fs::path& root, const std::vector<std::string>& hookpoints,
                                      const TakeExplanation& take) {
  const fs::path folder = root / "explanations";
  if (!fs::is_directory(folder))
    fail_input(root.string(), "has no folder 'explanations'", "give the results folder of a delphi run");
  std::map<std::pair<std::string, LatentId>, fs::path> files;
  for (const auto& entry : fs::directory_iterator(folder)) {
    const auto named = named_by(entry.path());
    if (!named) continue;
    if (hookpoints.empty() || std::find(hookpoints.begin(), hookpoints.end(), named->hookpoint) != hookpoints.end())
      files.emplace(std::pair(named->hookpoint, named->latent), entry.path());
  }
  if (files.empty())
    fail_input(folder.string(), "holds no explanation", "wanted files HOOKPOINT_latentN.txt; --hookpoint chooses");
  DelphiReading reading;
  for (const auto& [key, file] : files) {
    const Json json = formats::read_json(file);
    if (!json.is_string()) fail_input(file.string(), fmt::format("is {}, wanted a JSON string", json.type_name()));
    GivenExplanation given{{key.first, "delphi", {}}, file.string()};
    given.row.explanation.latent = key.second;
    given.row.explanation.text = json.get<std::string>();
    if (is_blank(given.row.explanation.text)) {
      ++reading.left_out.explanations;
      continue;
    }
    add_scores(root, file.filename().string(), given);
    take(given);
  }
  reading.unread = unread_scores(root);
  return reading;
}

std::string delphi_name(const std::string& hookpoint, LatentId latent) {
  return fmt::format("{}{}{}.txt", hookpoint, kBetween, to_index(latent));
}

std::string delphi_explanation(const std::string& text) {
  return Json(text).dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string delphi_judgements(std::span<const score::Judgement> judgements, std::uint32_t quantiles,
                              const std::function<DelphiWindow(const score::Judgement&)>& window_of) {
  Json list = Json::array();
  for (const score::Judgement& j : judgements) {
    const DelphiWindow window = window_of(j);
    const bool failed = j.verdict == score::Verdict::failed, yes = j.verdict == score::Verdict::yes;
    const bool known = j.truth && j.quantile >= 1 && j.quantile <= quantiles;
    list.push_back({{"str_tokens", window.tokens},
                    {"activations", window.activations},
                    {"distance", known ? static_cast<int>(quantiles) - static_cast<int>(j.quantile) : -1},
                    {"activating", j.truth},
                    {"prediction", failed ? Json(nullptr) : Json(yes)},
                    {"probability", failed || j.probability < 0.0F ? Json(nullptr) : Json(j.probability)},
                    {"correct", failed ? Json(nullptr) : Json(yes == j.truth)}});
  }
  return list.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace gloss::exchange
