// Calls to language models, figures and circuits.
#include <fmt/format.h>

#include <algorithm>

#include "gloss/dashboard/routes.h"
#include "gloss/formats/json_file.h"
#include "gloss/report/vega_figures.h"

namespace gloss::dashboard {
namespace {

using Json = nlohmann::json;

constexpr std::size_t kMostCalls = 500;
constexpr std::uint64_t kFigureSeed = 1;

/// "layers.2/17". Errors: Fault.
Place place_named(const Run& run, const std::string& text) {
  const std::size_t slash = text.rfind('/');
  if (slash == std::string::npos) throw Fault(400, fmt::format("'{}'", text), "HOOKPOINT/NUMBER", "latent");
  return place_of(run, std::string_view(text).substr(0, slash), std::string_view(text).substr(slash + 1));
}

constexpr std::size_t kMostKept = 4;

/// What tells two filters apart, whatever their order.
std::string filter_key(const TableQuery& q) {
  const bool all = q.where.find_first_not_of(" \t") == std::string::npos && q.text.empty() && !q.asks_meaning() &&
                   q.token.empty() && q.hookpoint.empty();
  return all ? std::string() : Json{q.where, q.text, q.like, q.token, q.hookpoint, q.explainer}.dump();
}

report::LatentSet latents_of(const Run& run, TableQuery query) {
  query.sort = "latent";
  report::LatentSet latents;
  for (const LatentTable::Row row : run.table().page(query, 0, run.table().row_count()).rows) {
    const auto [h, latent] = run.table().latent_of(row);
    latents.emplace(run.table().hookpoints()[h].name, latent);
  }
  return latents;
}

}  // namespace

Json calls_json(const Run& run, const Target& target) {
  const Place place = place_of(run, target.text("hookpoint"), target.text("latent"));
  const auto lock = run.lock();
  Json calls = Json::array(), messages = Json::array();
  std::map<std::int64_t, std::size_t> places;  // of messages, which calls have in common
  const auto place_of_message = [&](std::int64_t id) {
    const auto [at, fresh] = places.emplace(id, messages.size());
    if (fresh) {
      const llm::Message message = run.store().message(id);
      messages.push_back({{"role", message.role}, {"text", message.content}});
    }
    return at->second;
  };
  for (const store::CallRow& call : run.store().calls_of(place.name, place.latent, kMostCalls)) {
    Json asked = call.messages.empty() ? Json(nullptr) : Json::array();
    for (const std::int64_t id : call.messages) asked.push_back(place_of_message(id));
    calls.push_back({{"hash", call.hash},
                     {"stage", call.stage},
                     {"provider", call.provider},
                     {"model", nullptr},
                     {"prompt_tokens", call.prompt_tokens},
                     {"completion_tokens", call.completion_tokens},
                     {"dollars", number(call.dollars)},
                     {"failed", call.failure.empty() ? Json(nullptr) : Json(call.failure)},
                     {"messages", std::move(asked)},
                     {"reply", call.text}});
  }
  return {{"calls", std::move(calls)}, {"messages", std::move(messages)}};
}

std::shared_ptr<const Figures::All> Figures::drawn(const Run& run, const Target& target) const {
  const TableQuery query = query_of(target);
  const std::string filter = filter_key(query);
  const std::string key = fmt::format("{} {}", run.serial(), filter);
  const std::lock_guard one_draws(mutex_);
  const auto at = std::find_if(kept_.begin(), kept_.end(), [&](const auto& kept) { return kept.first == key; });
  if (at != kept_.end()) {
    kept_.splice(kept_.begin(), kept_, at);
    return kept_.front().second;
  }
  auto figures = std::make_shared<All>();
  if (run.input().report) {
    const report::LatentSet only = filter.empty() ? report::LatentSet() : latents_of(run, query);
    const auto lock = run.lock();
    const report::RunData data = run.input().report(filter.empty() ? nullptr : &only);
    report::FigureOptions options;
    options.seed = kFigureSeed;
    const report::RunSummary summary =
        report::summarize_run(data.explanations, data.scores, kFigureSeed, data.latents, data.output);
    for (report::Figure& figure : report::make_figures(data, summary, options))
      (*figures)[figure.name] = {figure.title, fmt::format("{} rows", figure.table.rows.size()),
                                 std::move(figure.spec)};
  }
  kept_.emplace_front(key, figures);
  if (kept_.size() > kMostKept) kept_.pop_back();
  return figures;
}

Json Figures::list(const Run& run, const Target& target) const {
  Json all = Json::array();
  for (const auto& [name, figure] : *drawn(run, target))
    all.push_back({{"name", name}, {"title", figure.title}, {"text", figure.text}});
  return all;
}

Json Figures::specification(const Run& run, std::string_view name, const Target& target) const {
  if (name == "outcomes") {
    const Place place = place_named(run, target.text("latent"));
    const auto lock = run.lock();
    report::RunData data;  // of this latent alone: figures of all want everything
    data.title = run.input().name;
    data.questions = run.input().questions;
    data.tokenizer = run.input().tokenizer;
    data.tokens = run.input().tokens;
    data.examples = run.input().examples;
    data.explanations = run.store().explanations_of(place.name, place.latent);
    data.scores = run.store().scores_of(place.name, place.latent);
    data.judgements = [&run](const store::ScoreRow& row) {
      return run.store().judgements(row.hookpoint, row.score.latent, row.explainer, row.scorer, row.judge);
    };
    report::FigureOptions options;
    options.seed = kFigureSeed;
    options.names = {"outcomes"};
    options.latent = {place.name, place.latent};
    return report::make_figures(data, {}, options).front().spec;
  }
  const std::shared_ptr<const All> figures = drawn(run, target);
  const auto at = figures->find(name);
  if (at == figures->end()) throw Fault(404, fmt::format("figure '{}'", name), "one of /figures");
  return at->second.spec;
}

Json circuits_json(const Run& run) {
  Json names = Json::array();
  for (const auto& [name, path] : run.input().circuits) names.push_back(name);
  return names;
}

Json circuit_json(const Run& run, std::string_view name) {
  const auto at = run.input().circuits.find(std::string(name));
  if (at == run.input().circuits.end()) throw Fault(404, fmt::format("circuit '{}'", name), "one of /circuits");
  return formats::read_json(at->second);
}

}  // namespace gloss::dashboard
