// Everything about one latent but its windows.
#include <algorithm>

#include "gloss/base/utf8.h"
#include "gloss/dashboard/routes.h"
#include "gloss/index/histograms.h"
#include "gloss/score/baselines.h"

namespace gloss::dashboard {
namespace {

using Json = nlohmann::json;
using index::WeightList;

constexpr std::uint32_t kActivationBins = 30;
constexpr std::uint32_t kMostPositionBins = 32;

Json interval_json(const score::Interval& i) {
  return {{"value", number(i.value)}, {"low", number(i.low)}, {"high", number(i.high)}};
}

/// Answered judgements of each decile whose right answer is yes: what its accuracy is a share of.
std::vector<std::uint64_t> answered_in(const std::vector<score::Judgement>& judgements, std::size_t deciles) {
  std::vector<std::uint64_t> answered(deciles, 0);
  for (const score::Judgement& j : judgements) {
    if (j.truth && j.verdict != score::Verdict::failed && j.quantile >= 1 && j.quantile <= deciles)
      ++answered[j.quantile - 1U];
  }
  return answered;
}

Json score_json(const store::ScoreRow& row, const std::vector<store::ScoreRow>& all, const store::Store& store) {
  const score::LatentScore& s = row.score;
  const score::Headline headline = score::headline(row.scorer, s);
  Json json = interval_json(headline.value);
  json["scorer"] = row.scorer;
  json["judge"] = row.judge;
  json["measure"] = headline.name;
  json["n"] = s.tp + s.fp + s.tn + s.fn;
  json["failed"] = s.failed;
  json["chance"] = number(headline.chance);
  json["shuffled"] = nullptr;
  for (const store::ScoreRow& other : all) {
    if (other.explainer == score::shuffled_name(row.explainer) && other.scorer == row.scorer &&
        other.judge == row.judge)
      json["shuffled"] = interval_json(score::headline(other.scorer, other.score).value);
  }
  json["per_decile"] = Json::array();
  const std::vector<std::uint64_t> answered = answered_in(
      store.judgements(row.hookpoint, s.latent, row.explainer, row.scorer, row.judge), s.per_quantile.size());
  for (std::size_t i = 0; i < s.per_quantile.size(); ++i) {
    Json part = interval_json(s.per_quantile[i]);
    part["decile"] = i + 1;
    part["n"] = answered[i];
    json["per_decile"].push_back(std::move(part));
  }
  json["counts"] = {{"tp", s.tp}, {"fp", s.fp}, {"tn", s.tn}, {"fn", s.fn}};
  return json;
}

Json explanations_json(const std::vector<store::ExplanationRow>& explanations,
                       const std::vector<store::ScoreRow>& scores, const store::Store& store) {
  Json all = Json::array();
  for (const store::ExplanationRow& e : explanations) {
    if (score::is_shuffled_name(e.explainer)) continue;
    Json own = Json::array();
    for (const store::ScoreRow& row : scores) {
      if (row.explainer == e.explainer) own.push_back(score_json(row, scores, store));
    }
    Json json{{"explainer", e.explainer}, {"text", e.explanation.text}, {"scores", std::move(own)}};
    if (!e.explanation.ok()) json["failed"] = e.explanation.failure;
    if (!e.explanation.call_hash.empty()) json["call"] = e.explanation.call_hash;
    all.push_back(std::move(json));
  }
  return all;
}

Json token_weights_json(const Run& run, const index::LatentWeightsReader& weights, WeightList list, LatentId latent) {
  Json all = Json::array();
  for (const index::WeightEntry& entry : weights.entries(list, latent)) {
    Json json = token_json(run.input().tokenizer, TokenId{entry.id});
    all.push_back({{"token", json["t"]}, {"weight", number(entry.value)}});
  }
  return all;
}

Json neighbours_json(const Run& run, const index::LatentWeightsReader& weights, const Place& place,
                     const std::string& explainer) {
  struct Measure {
    WeightList list;
    const char* name;
  };
  Json all = Json::array();
  for (const Measure& m : {Measure{WeightList::decoder_neighbours, "decoder"},
                           {WeightList::encoder_neighbours, "encoder"},
                           {WeightList::cooccurring, "cooccurring"}}) {
    Json latents = Json::array();
    for (const index::WeightEntry& entry : weights.entries(m.list, place.latent)) {
      const auto row = run.table().find(place.name, entry.id);
      const std::string text = row ? run.table().explanation(explainer, *row) : std::string();
      latents.push_back({{"latent", entry.id},
                         {"value", number(entry.value)},
                         {"explanation", text.empty() ? Json(nullptr) : Json(text)}});
    }
    if (!latents.empty()) all.push_back({{"measure", m.name}, {"latents", std::move(latents)}});
  }
  return all;
}

void add_histograms(Json& json, const index::Reader& index, LatentId latent) {
  const index::Histogram<double> strength = index::strength_histogram(index, latent, kActivationBins);
  Json edges = Json::array();
  for (const double edge : strength.edges) edges.push_back(number(edge));
  json["activation_histogram"] = {{"edges", std::move(edges)}, {"counts", strength.counts}};
  const index::Histogram<std::uint32_t> offsets = index::offset_histogram(index, latent, kMostPositionBins);
  json["position_histogram"] = {{"edges", offsets.edges}, {"counts", offsets.counts}, {"tokens", nullptr}};
}

void add_logit_histogram(Json& json, const index::LatentWeightsReader& weights, LatentId latent) {
  const std::optional<index::LogitHistogram> found = weights.histogram(latent);
  if (!found) return;
  const double width = (found->high - found->low) / static_cast<double>(found->counts.size());
  Json edges = Json::array();
  for (std::size_t i = 0; i <= found->counts.size(); ++i)
    edges.push_back(number(found->low + static_cast<double>(i) * width));
  json["logit_histogram"] = {{"edges", std::move(edges)}, {"counts", found->counts}};
}

void add_statistics(Json& json, const Run& run, const index::StatisticsReader& statistics, LatentId latent) {
  Json& positions = json["position_histogram"];
  const std::span<const std::uint64_t> tokens = statistics.offset_tokens();
  const std::size_t bins = positions["counts"].size();
  std::vector<std::uint64_t> of(bins, 0);
  for (std::size_t o = 0; o < tokens.size(); ++o) of[o * bins / tokens.size()] += tokens[o];
  positions["tokens"] = of;
  const index::LatentStatistics s = statistics.latent(latent);
  const std::vector<std::uint32_t>& counts = run.token_counts();
  json["top_tokens"] = Json::array();
  for (const index::TokenList::Entry& entry : s.tokens.entries) {
    const Json token = token_json(run.input().tokenizer, TokenId{entry.token});
    json["top_tokens"].push_back({{"token", token["t"]},
                                  {"firings", entry.count},
                                  {"of", entry.token < counts.size() ? Json(counts[entry.token]) : Json(nullptr)}});
  }
  json["different_tokens"] = s.tokens.different;
  json["documents"] = s.documents;
}

Json kinds_json(const Run& run, const Place& place, const std::vector<std::pair<std::string, double>>& found) {
  Json all = Json::array();
  for (const std::string& name : run.table().kinds(place.row)) {
    const auto at = std::find_if(found.begin(), found.end(), [&](const auto& kind) { return kind.first == name; });
    const auto rule = run.table().rules().find(name);
    all.push_back({{"name", name},
                   {"value", at == found.end() ? Json(nullptr) : number(at->second)},
                   {"rule", rule == run.table().rules().end() ? "no firings" : rule->second}});
  }
  return all;
}

}  // namespace

Json token_json(const text::Tokenizer& tokenizer, TokenId token) {
  if (to_index(token) >= tokenizer.vocabulary_size()) return {{"t", "\xEF\xBF\xBD"}, {"partial", true}};
  const std::string_view bytes = tokenizer.token_bytes(token);
  if (is_valid_utf8(bytes)) return {{"t", bytes}};
  return {{"t", replace_invalid_utf8(bytes)}, {"partial", true}};
}

Json latent_json(const Run& run, const Place& place) {
  const TableHookpoint& hookpoint = run.table().hookpoints()[place.hookpoint];
  const std::vector<std::string> explainers = run.table().explainers();
  const std::string explainer = explainers.empty() ? std::string() : explainers.front();
  const std::uint32_t id = to_index(place.latent);
  const std::uint32_t count = hookpoint.index.latent_count();
  Json json{{"hookpoint", place.name},
            {"latent", id},
            {"of", count},
            {"firings", run.table().firings(place.row)},
            {"density", number(run.table().density(place.row))},
            {"max", number(run.table().max(place.row))},
            {"promoted", Json::array()},
            {"suppressed", Json::array()},
            {"neighbours", Json::array()},
            {"top_tokens", Json::array()},
            {"documents", nullptr},
            {"provenance", Json::array()},
            {"previous", id == 0 ? Json(nullptr) : Json(id - 1)},
            {"next", id + 1 == count ? Json(nullptr) : Json(id + 1)}};
  {
    const auto lock = run.lock();
    const std::vector<store::ScoreRow> scores = run.store().scores_of(place.name, place.latent);
    json["explanations"] =
        explanations_json(run.store().explanations_of(place.name, place.latent), scores, run.store());
    json["kinds"] = kinds_json(run, place, run.store().kinds_of(place.name, place.latent));
    const store::CostRow cost = run.store().cost_of(place.name, place.latent);
    json["cost"] = {{"replies", cost.replies},
                    {"prompt_tokens", cost.prompt_tokens},
                    {"completion_tokens", cost.completion_tokens},
                    {"dollars", number(cost.dollars)}};
  }
  if (const auto weights = run.input().weights.find(place.name); weights != run.input().weights.end()) {
    json["promoted"] = token_weights_json(run, weights->second, WeightList::promoted, place.latent);
    json["suppressed"] = token_weights_json(run, weights->second, WeightList::suppressed, place.latent);
    json["neighbours"] = neighbours_json(run, weights->second, place, explainer);
    add_logit_histogram(json, weights->second, place.latent);
  }
  add_histograms(json, hookpoint.index, place.latent);
  if (hookpoint.statistics) add_statistics(json, run, *hookpoint.statistics, place.latent);
  for (const auto& [key, value] : hookpoint.index.metadata()) json["provenance"].push_back({key, value});
  return json;
}

}  // namespace gloss::dashboard
