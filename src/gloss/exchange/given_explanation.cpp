#include "gloss/exchange/given_explanation.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <iterator>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "gloss/base/error.h"
#include "gloss/base/mapped_file.h"
#include "gloss/score/baselines.h"
#include "gloss/score/judge.h"
#include "gloss/text/byte_source.h"

namespace gloss::exchange {
namespace {

using Json = nlohmann::json;

constexpr std::string_view kImported = "imported:";

std::optional<score::Scorer> scorer_of(const std::string& name) {
  try {
    return score::parse_scorer(name);
  } catch (const Error&) {
    return std::nullopt;
  }
}

/// Bounds that are not known are NaN, and stand in no order.
bool is_interval(const score::Interval& i, double low, double high) {
  return !(i.value < low) && !(i.value > high) && !(i.low > i.value) && !(i.high < i.value);
}

}  // namespace

std::string imported_judge(std::string_view judge) {
  if (judge.rfind(kImported, 0) == 0) return std::string(judge);
  return std::string(kImported) + std::string(judge);
}

bool add_score(GivenExplanation& explanation, GivenScore given, const std::string& where) {
  const std::optional<score::Scorer> scorer = scorer_of(given.scorer);
  if (!scorer) return false;
  if (given.judge.empty()) fail_input(where, fmt::format("a score by {} names no judge", given.scorer));
  for (const GivenScore& other : explanation.scores) {
    if (other.scorer == given.scorer && other.judge == given.judge)
      fail_input(where, fmt::format("two scores by {} and {}", given.scorer, given.judge));
  }
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  const bool any = *scorer == score::Scorer::intervention;
  const double low = any ? -kInfinity : *scorer == score::Scorer::simulation ? -1.0 : 0.0;
  const double high = any ? kInfinity : 1.0;
  const score::Headline number = score::headline(given.scorer, given.score);
  if (!is_interval(number.value, low, high))
    fail_input(where, fmt::format("{} {} [{}, {}] by {}, wanted {} to {}", number.name, number.value.value,
                                  number.value.low, number.value.high, given.scorer, low, high));
  if (given.score.auc < 0.0 || given.score.auc > 1.0)
    fail_input(where, fmt::format("AUC {}, wanted 0 to 1", given.score.auc));
  given.score.latent = explanation.row.explanation.latent;
  explanation.scores.push_back(std::move(given));
  return true;
}

std::size_t each_explained(
    const store::Store& store, const std::vector<std::string>& hookpoints,
    const std::function<void(const store::ExplanationRow&, const std::vector<store::ScoreRow>&)>& visit) {
  std::size_t count = 0;
  for (const std::string& hookpoint : hookpoints) {
    for (const LatentId latent : store.explained_latents(hookpoint)) {
      const std::vector<store::ScoreRow> scores = store.scores_of(hookpoint, latent);
      for (const store::ExplanationRow& row : store.explanations_of(hookpoint, latent)) {
        if (score::is_shuffled_name(row.explainer)) continue;
        std::vector<store::ScoreRow> own;
        std::copy_if(scores.begin(), scores.end(), std::back_inserter(own),
                     [&](const store::ScoreRow& score) { return score.explainer == row.explainer; });
        visit(row, own);
        ++count;
      }
    }
  }
  return count;
}

const Json& list_of(const formats::Fields& fields, std::string_view key) {
  const Json& list = fields.at(key);
  if (!list.is_array()) fail_input(fields.where(), fmt::format("'{}' is {}, wanted a list", key, list.type_name()));
  return list;
}

LatentId latent_of(std::string_view digits, const std::string& where) {
  std::uint32_t number = 0;
  const char* end = digits.data() + digits.size();
  const auto [at, error] = std::from_chars(digits.data(), end, number);
  if (error != std::errc() || at != end) fail_input(where, fmt::format("'{}' is not a latent's number", digits));
  return LatentId{number};
}

LatentId latent_of(const Json& value, const std::string& where) {
  if (value.is_string()) return latent_of(std::string_view(value.get_ref<const std::string&>()), where);
  constexpr std::uint64_t kMost = std::numeric_limits<std::uint32_t>::max();
  if (!value.is_number_unsigned() || value.get<std::uint64_t>() > kMost)
    fail_input(where, fmt::format("{} is not a latent's number", value.dump()));
  return LatentId{value.get<std::uint32_t>()};
}

std::uint32_t layer_of(const std::string& hookpoint) {
  const std::size_t digit = hookpoint.find_first_of("0123456789");
  std::uint32_t layer = 0;
  if (digit == std::string::npos ||
      std::from_chars(hookpoint.data() + digit, hookpoint.data() + hookpoint.size(), layer).ec != std::errc{})
    fail_input(hookpoint, "has no number of a layer, and the format wants one", "leave it out with --hookpoint");
  return layer;
}

bool is_blank(std::string_view text) { return text.find_first_not_of(" \t\r\n") == std::string_view::npos; }

void each_json_line(const std::filesystem::path& file,
                    const std::function<void(const Json&, const std::string& where)>& take) {
  const auto packing = file.extension() == ".gz" ? text::Packing::gzip : text::Packing::none;
  text::LineReader lines(text::open_source(MappedFile::open(file), packing), file.string());
  while (const auto line = lines.next()) {
    if (line->find_first_not_of(" \t") == std::string_view::npos) continue;
    const std::string where = fmt::format("{}: line {}", file.string(), lines.line());
    take(formats::parse_json(*line, where), where);
  }
}

}  // namespace gloss::exchange
