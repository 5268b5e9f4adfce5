#include "gloss/exchange/saebench.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <numeric>
#include <set>

#include "gloss/base/error.h"
#include "gloss/base/hash.h"
#include "gloss/formats/json_file.h"
#include "gloss/report/summary.h"

namespace gloss::exchange {
namespace {

using Json = nlohmann::json;
using Ordered = nlohmann::ordered_json;

constexpr std::uint64_t kMostWindows = 1'000'000;

/// Sequence numbers, from 1.
std::set<std::uint64_t> numbers_of(const formats::Fields& fields, std::string_view key, std::uint64_t windows) {
  std::set<std::uint64_t> numbers;
  for (const Json& value : list_of(fields, key)) {
    if (!value.is_number_unsigned()) fail_input(fields.where(), fmt::format("'{}' holds {}", key, value.dump()));
    numbers.insert(value.get<std::uint64_t>());
  }
  if (!numbers.empty() && (*numbers.begin() < 1 || *numbers.rbegin() > windows))
    fail_input(fields.where(), fmt::format("'{}' holds {}, wanted 1 to {}", key,
                                           *numbers.begin() < 1 ? *numbers.begin() : *numbers.rbegin(), windows));
  return numbers;
}

/// What the judge says is a reply of a model: a number of no window counts for nothing there, and here.
std::set<std::uint64_t> predictions_of(const formats::Fields& fields, std::uint64_t windows) {
  std::set<std::uint64_t> numbers = numbers_of(fields, "predictions", kMostWindows * kMostWindows);
  std::erase_if(numbers, [&](std::uint64_t n) { return n > windows; });
  return numbers;
}

score::LatentScore detection_of(const formats::Fields& fields, std::uint64_t windows) {
  const std::set<std::uint64_t> said = predictions_of(fields, windows);
  const std::set<std::uint64_t> right = numbers_of(fields, "correct seqs", windows);
  score::LatentScore s;
  for (const std::uint64_t n : said) ++(right.contains(n) ? s.tp : s.fp);
  s.fn = static_cast<std::uint32_t>(right.size()) - s.tp;
  s.tn = static_cast<std::uint32_t>(windows) - s.tp - s.fp - s.fn;
  s.failed = static_cast<std::uint32_t>(fields.integer("failed", 0, kMostWindows, 0));
  score::add_rates(s);
  s.auc = std::nan("");
  return s;
}

/// A UUID of the fourth kind, the same for the same result.
std::string uuid_of(const std::string& text) {
  Hasher hash;
  hash.add(text);
  const std::string hex = hash.digest_hex();
  return fmt::format("{}-{}-4{}-8{}-{}", hex.substr(0, 8), hex.substr(8, 4), hex.substr(13, 3), hex.substr(17, 3),
                     hex.substr(20, 12));
}

Ordered config_of(const SaebenchOrigin& origin, const std::vector<std::uint32_t>& latents, std::size_t activating,
                  std::size_t silent) {
  return {{"model_name", origin.model},
          {"n_latents", nullptr},
          {"override_latents", latents},
          {"dead_latent_threshold", 0},
          {"random_seed", origin.seed},
          {"dataset_name", origin.dataset},
          {"llm_context_size", origin.ctx_len},
          {"llm_batch_size", 1},
          {"llm_dtype", ""},
          {"buffer", origin.window / 2},
          {"no_overlap", true},
          {"act_threshold_frac", 0.0},
          {"total_tokens", origin.tokens},
          {"scoring", true},
          {"max_tokens_in_explanation", 0},
          {"use_demos_in_explanation", true},
          {"n_top_ex_for_generation", 0},
          {"n_iw_sampled_ex_for_generation", origin.shown},
          {"n_top_ex_for_scoring", 0},
          {"n_random_ex_for_scoring", silent},
          {"n_iw_sampled_ex_for_scoring", activating}};
}

/// One latent as they write it, and beside it what makes the number readable.
Ordered result_of(const store::ExplanationRow& row, const store::ScoreRow& scored,
                  const std::vector<score::Judgement>& judgements) {
  Ordered said = Ordered::array(), right = Ordered::array();
  std::size_t number = 0;
  for (const score::Judgement& j : judgements) {
    if (j.verdict == score::Verdict::failed) continue;
    ++number;
    if (j.verdict == score::Verdict::yes) said.push_back(number);
    if (j.truth) right.push_back(number);
  }
  const score::LatentScore& s = scored.score;
  const auto windows = static_cast<double>(number);
  return {{"latent", to_index(row.explanation.latent)},
          {"explanation", row.explanation.text},
          {"predictions", said},
          {"correct seqs", right},
          {"score", static_cast<double>(s.tp + s.tn) / windows},
          {"logs", ""},
          {"windows", number},
          {"failed", s.failed},
          {"score_of_always_none", static_cast<double>(s.tn + s.fp) / windows},
          {"balanced_accuracy", report::interval_json(s.balanced_accuracy, "value")},
          {"explainer", row.explainer},
          {"judge", scored.judge}};
}

}  // namespace

LeftOut each_saebench_explanation(const std::filesystem::path& file, const std::string& hookpoint,
                                  const TakeExplanation& take) {
  const Json json = formats::read_json(file);
  const formats::Fields fields(json, file.string());
  if (fields.string("eval_type_id") != "autointerp")
    fail_input(file.string(), fmt::format("is the evaluation '{}', wanted autointerp", fields.string("eval_type_id")));
  const formats::Fields config(fields.at("eval_config"), file.string() + ": eval_config");
  const auto windows_in = [&](std::string_view key, std::uint64_t otherwise) {
    return config.integer(key, 0, kMostWindows, otherwise);
  };
  const std::uint64_t windows = windows_in("n_top_ex_for_scoring", 2) + windows_in("n_random_ex_for_scoring", 10) +
                                windows_in("n_iw_sampled_ex_for_scoring", 2);
  const formats::Fields results(fields.at("eval_result_unstructured"), file.string() + ": eval_result_unstructured");
  std::map<LatentId, const Json*> latents;
  for (const auto& [name, value] : fields.at("eval_result_unstructured").items())
    latents.emplace(latent_of(std::string_view(name), results.where()), &value);
  LeftOut left_out;
  for (const auto& [latent, value] : latents) {
    const formats::Fields one(*value, fmt::format("{}: {}", results.where(), to_index(latent)));
    GivenExplanation given{{hookpoint, "saebench", {}}, one.where()};
    given.row.explanation.latent = latent;
    given.row.explanation.text = one.string("explanation", "");
    if (is_blank(given.row.explanation.text)) {
      ++left_out.explanations;
      continue;
    }
    if (one.has("predictions") && one.has("correct seqs"))
      add_score(given,
                {"detection", one.string("judge", "saebench"),
                 detection_of(one, one.integer("windows", 0, kMostWindows, windows))},
                one.where());
    take(given);
  }
  return left_out;
}

SaebenchWritten saebench_result(const store::Store& store, const SaebenchOrigin& origin, const std::string& explainer,
                                const std::string& judge) {
  std::map<LatentId, store::ScoreRow> scores;
  store.each_score(origin.hookpoint, explainer, "detection", [&](const store::ScoreRow& row) {
    if (row.judge == judge) scores.emplace(row.score.latent, row);
  });
  SaebenchWritten written;
  Ordered results = Ordered::object();
  std::vector<std::uint32_t> latents;
  std::size_t activating = 0, silent = 0;
  std::vector<double> accuracies;
  for (const store::ExplanationRow& row : store.explanations(origin.hookpoint, explainer)) {
    if (!row.explanation.ok()) continue;
    const auto scored = scores.find(row.explanation.latent);
    const auto judgements = scored == scores.end() ? std::vector<score::Judgement>()
                                                   : store.judgements(origin.hookpoint, row.explanation.latent,
                                                                      explainer, "detection", judge);
    const auto answered = std::count_if(judgements.begin(), judgements.end(),
                                        [](const auto& j) { return j.verdict != score::Verdict::failed; });
    if (answered == 0) {
      ++written.unscored;
      continue;
    }
    const score::LatentScore& s = scored->second.score;
    Ordered one = result_of(row, scored->second, judgements);
    accuracies.push_back(one["score"].get<double>());
    activating = std::max<std::size_t>(activating, s.tp + s.fn);
    silent = std::max<std::size_t>(silent, s.tn + s.fp);
    latents.push_back(to_index(row.explanation.latent));
    results[std::to_string(latents.back())] = std::move(one);
  }
  written.latents = latents.size();
  if (latents.size() < 2)
    fail_input(origin.hookpoint,
               fmt::format("{} latents explained by '{}' were judged by '{}' in detection, wanted two", latents.size(),
                           explainer, judge),
               "gloss score makes such scores; --explainer and --judge choose others");
  const auto n = static_cast<double>(accuracies.size());
  const double mean = std::accumulate(accuracies.begin(), accuracies.end(), 0.0) / n;
  double squares = 0.0;
  for (const double accuracy : accuracies) squares += (accuracy - mean) * (accuracy - mean);
  const double deviation = std::sqrt(squares / (n - 1));
  Ordered json = {
      {"eval_type_id", "autointerp"},
      {"eval_config", config_of(origin, latents, activating, silent)},
      {"eval_id", uuid_of(results.dump(-1, ' ', false, Ordered::error_handler_t::replace) + origin.hookpoint)},
      {"datetime_epoch_millis", origin.created_ms},
      {"eval_result_metrics", {{"autointerp", {{"autointerp_score", mean}, {"autointerp_std_dev", deviation}}}}},
      {"eval_result_details", Ordered::array()},
      {"sae_bench_commit_hash", origin.created_by},
      {"sae_lens_id", "custom_sae"},
      {"sae_lens_release_id", origin.release},
      {"sae_lens_version", nullptr},
      {"sae_cfg_dict", nullptr},
      {"eval_result_unstructured", std::move(results)}};
  written.text = json.dump(2, ' ', false, Ordered::error_handler_t::replace) + "\n";
  return written;
}

}  // namespace gloss::exchange
