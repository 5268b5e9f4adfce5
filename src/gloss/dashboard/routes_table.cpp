// What is told of a run and of many of its latents.
#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <charconv>
#include <chrono>
#include <cmath>
#include <optional>

#include "gloss/base/random.h"
#include "gloss/dashboard/routes.h"

namespace gloss::dashboard {
namespace {

using Json = nlohmann::json;

std::string explainer_of(const Run& run, const TableQuery& query) {
  if (!query.explainer.empty()) return query.explainer;
  const std::vector<std::string> names = run.table().explainers();
  return names.empty() ? std::string() : names.front();
}

Json score_json(const LatentTable::Score& s, const std::string& measure) {
  return {{"value", number(s.value)},
          {"low", number(s.low)},
          {"high", number(s.high)},
          {"n", s.answered},
          {"failed", s.failed},
          {"shuffled", number(s.shuffled)},
          {"excess", number(s.value - s.shuffled)},
          {"chance", number(s.chance)},
          {"measure", measure}};
}

Json row_json(const Run& run, LatentTable::Row row, const std::string& explainer) {
  const LatentTable& table = run.table();
  const auto [h, latent] = table.latent_of(row);
  Json scores = Json::object();
  for (std::size_t k = 0; k < table.score_keys().size(); ++k) {
    const ScoreKey& key = table.score_keys()[k];
    if (const auto score = table.score(explainer, k, row)) scores[key.key] = score_json(*score, key.measure);
  }
  const std::string text = table.explanation(explainer, row);
  return {{"hookpoint", table.hookpoints()[h].name},
          {"latent", to_index(latent)},
          {"firings", table.firings(row)},
          {"density", number(table.density(row))},
          {"max", number(table.max(row))},
          {"explainer", explainer.empty() ? Json(nullptr) : Json(explainer)},
          {"explanation", text.empty() ? Json(nullptr) : Json(text)},
          {"kinds", table.kinds(row)},
          {"scores", std::move(scores)}};
}

}  // namespace

TableQuery query_of(const Target& target) {
  TableQuery query;
  query.where = target.text("where");
  query.text = target.text("text");
  query.like = target.text("like");
  query.token = target.text("token");
  query.hookpoint = target.text("hookpoint");
  query.explainer = target.text("explainer");
  // Of what is asked by meaning the nearest come first, unless another order is asked for.
  const std::string sort = target.text("sort");
  const bool nearest = sort.empty() && query.asks_meaning();
  query.sort = nearest ? "similarity" : sort.empty() ? "latent" : sort;
  query.descending = target.number("desc", nearest ? 1 : 0, 0, 1) == 1;
  return query;
}

Json number(double value) { return std::isfinite(value) ? Json(value) : Json(nullptr); }

Place place_of(const Run& run, std::string_view hookpoint, std::string_view latent) {
  std::uint32_t index = 0;
  const char* end = latent.data() + latent.size();
  if (std::from_chars(latent.data(), end, index) != std::from_chars_result{end, std::errc()})
    throw Fault(404, fmt::format("latent '{}'", latent), "a number");
  const std::optional<LatentTable::Row> row = run.table().find(hookpoint, index);
  if (!row) throw Fault(404, fmt::format("{}/{}", hookpoint, index), "a hookpoint and a latent of this run");
  const auto [h, id] = run.table().latent_of(*row);
  return {h, id, *row, std::string(hookpoint)};
}

/// Who answers questions by meaning, and of how many latents: null where nobody does.
Json meaning_json(const Run& run) {
  if (!run.input().meaning) return nullptr;
  Json explanations = Json::object();
  for (const std::string& explainer : run.table().explainers())
    explanations[explainer] = run.table().embedded_count(explainer).value_or(0);
  return {{"embedder", run.input().meaning->name}, {"explanations", std::move(explanations)}};
}

Json run_json(const Run& run, std::size_t number) {
  const LatentTable& table = run.table();
  const RunInput& input = run.input();
  Json facts = Json::array();
  for (const auto& [key, value] : input.facts) facts.push_back({key, value});
  Json hookpoints = Json::array();
  for (const TableHookpoint& h : table.hookpoints()) {
    std::uint32_t alive = 0;
    for (std::uint32_t f = 0; f < h.index.latent_count(); ++f) alive += h.index.count(LatentId{f}) > 0 ? 1U : 0U;
    hookpoints.push_back(
        {{"name", h.name}, {"latents", h.index.latent_count()}, {"alive", alive}, {"tokens", h.index.token_count()}});
  }
  Json scorers = Json::array();
  Json judges = Json::array();
  Json columns = Json::array();
  for (const ScoreKey& key : table.score_keys()) {
    scorers.push_back(key.key);
    if (std::find(judges.begin(), judges.end(), key.judge) == judges.end()) judges.push_back(key.judge);
    columns.push_back({{"key", key.key}, {"scorer", key.scorer}, {"judge", key.judge}, {"measure", key.measure}});
  }
  Json kinds = Json::array();
  for (const auto& [name, rule] : table.rules()) kinds.push_back({{"name", name}, {"rule", rule}});
  return {{"id", std::to_string(number)},
          {"name", input.name},
          {"facts", std::move(facts)},
          {"tokens_hash", run.input().tokens.fingerprint()},
          {"hookpoints", std::move(hookpoints)},
          {"explainers", table.explainers()},
          {"scorers", std::move(scorers)},
          {"judges", std::move(judges)},
          {"columns", std::move(columns)},
          {"kinds", std::move(kinds)},
          {"meaning", meaning_json(run)},
          {"latents", table.row_count()},
          {"tau", dashboard::number(std::round(double{input.questions.tau} * 1e6) / 1e6)},
          {"window", input.window},
          {"context", input.tokens.ctx_len()}};
}

Json events_json(const Run& run, std::size_t number) {
  Json jobs = Json::array();
  for (const Job& job : run.input().jobs ? run.input().jobs() : std::vector<Job>()) {
    const bool known = job.rate > 0.0 && job.total > job.done;
    jobs.push_back({{"command", job.command},
                    {"stage", job.stage},
                    {"done", job.done},
                    {"total", job.total == 0 ? Json(nullptr) : Json(job.total)},
                    {"unit", job.unit},
                    {"detail", job.detail},
                    {"rate", job.rate > 0.0 ? Json(job.rate) : Json(nullptr)},
                    {"left_s", known ? Json(static_cast<double>(job.total - job.done) / job.rate) : Json(nullptr)}});
  }
  const Changes changes = run.changes(false);
  return {{"run", std::to_string(number)},
          {"jobs", std::move(jobs)},
          {"changed", changes.any},
          {"explanations", changes.explanations},
          {"scores", changes.scores}};
}

Json latents_json(const Run& run, const Target& target) {
  const TableQuery query = query_of(target);
  const std::uint64_t offset = target.number("offset", 0, 0, std::uint64_t{1} << 32);
  const std::uint64_t limit = target.number("limit", 50, 1, 500);
  const LatentTable::Page page = run.table().page(query, offset, limit);
  const std::string explainer = explainer_of(run, query);
  Json rows = Json::array();
  for (std::size_t i = 0; i < page.rows.size(); ++i) {
    rows.push_back(row_json(run, page.rows[i], explainer));
    if (!page.similarity.empty()) rows.back()["similarity"] = number(page.similarity[i]);
  }
  return {{"total", page.total}, {"offset", offset}, {"rows", std::move(rows)}};
}

Json histograms_json(const Run& run, const Target& target) {
  const TableQuery query = query_of(target);
  Json all = Json::array();
  for (const LatentTable::Histogram& h : run.table().histograms(query))
    all.push_back({{"name", h.name}, {"log", h.log}, {"edges", h.edges}, {"all", h.all}, {"chosen", h.chosen}});
  return {{"total", run.table().page(query, 0, 1).total}, {"histograms", std::move(all)}};
}

Json random_json(const Run& run, const Target& target) {
  const TableQuery query = query_of(target);
  const std::uint64_t total = run.table().page(query, 0, 1).total;
  if (total == 0) throw Fault(404, "no latent", "a condition that some latent meets");
  // Without a seed each request gives another one.
  std::uint64_t seed = target.number("seed", 0, 0, ~std::uint64_t{0});
  static std::atomic<std::uint64_t> asked{0};
  if (seed == 0)
    seed = ++asked + static_cast<std::uint64_t>(std::chrono::system_clock::now().time_since_epoch().count());
  const std::uint64_t place = Random::for_purpose(seed, "random-latent").below(total);
  const LatentTable::Page page = run.table().page(query, place, 1);
  if (page.rows.empty()) throw Fault(503, "the table changed meanwhile", "", "", "ask again");
  const auto [h, latent] = run.table().latent_of(page.rows.front());
  return {{"hookpoint", run.table().hookpoints()[h].name}, {"latent", to_index(latent)}};
}

}  // namespace gloss::dashboard
