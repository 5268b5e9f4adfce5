// Calls to language models, figures and circuits.
#include <fmt/format.h>

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

report::RunData report_of(const Run& run) {
  if (!run.input().report) throw Fault(404, "nothing was explained yet", "", "", "gloss explain comes first");
  return run.input().report();
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

const std::map<std::string, Figures::Drawn, std::less<>>& Figures::drawn(const Run& run) const {
  const std::lock_guard one_draws(mutex_);
  const auto at = drawn_.find(&run);
  if (at != drawn_.end()) return at->second;
  std::map<std::string, Drawn, std::less<>> figures;
  if (run.input().report) {
    const auto lock = run.lock();
    const report::RunData data = report_of(run);
    report::FigureOptions options;
    options.seed = kFigureSeed;
    const report::RunSummary summary =
        report::summarize_run(data.explanations, data.scores, kFigureSeed, data.latents, data.output);
    for (report::Figure& figure : report::make_figures(data, summary, options))
      figures[figure.name] = {figure.title, fmt::format("{} rows", figure.table.rows.size()), std::move(figure.spec)};
  }
  return drawn_.emplace(&run, std::move(figures)).first->second;
}

Json Figures::list(const Run& run) const {
  Json all = Json::array();
  for (const auto& [name, figure] : drawn(run))
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
  const auto& figures = drawn(run);
  const auto at = figures.find(name);
  if (at == figures.end()) throw Fault(404, fmt::format("figure '{}'", name), "one of /figures");
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
