// gloss export: explanations and their scores in files of others. SAEDashboard's and Neuronpedia's have files of their
// own here.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <chrono>
#include <filesystem>
#include <limits>
#include <map>
#include <set>

#include "gloss/app/exchange.h"
#include "gloss/app/run_data.h"
#include "gloss/app/version.h"
#include "gloss/base/error.h"
#include "gloss/base/interrupt.h"
#include "gloss/base/output_file.h"
#include "gloss/base/utf8.h"
#include "gloss/examples/active_windows.h"
#include "gloss/exchange/delphi_results.h"
#include "gloss/exchange/explanation_csv.h"
#include "gloss/exchange/explanation_lines.h"
#include "gloss/exchange/explanation_parquet.h"
#include "gloss/exchange/openai_files.h"
#include "gloss/exchange/saebench.h"
#include "gloss/formats/safetensors.h"
#include "gloss/score/baselines.h"
#include "gloss/score/judge.h"
#include "gloss/store/store.h"

namespace gloss::app {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kTableLosses = "measures that not every scorer gives, judgements, replies, baselines";

/// Explanations of the chosen hookpoints as one file, by a function that writes it and counts them.
int export_explanations(
    const ExchangeOptions& o, Context& context, std::string_view lost,
    const std::function<std::size_t(const store::Store&, const std::vector<std::string>& hookpoints)>& write) {
  const RunFolder run(o.run);
  const std::vector<std::string> hookpoints = run.select_hookpoints(o.hookpoints);
  must_not_be(o.other);
  const store::Store store(run.results());
  const std::size_t written = write(store, hookpoints);
  context.reporter.info(fmt::format("{} explanations written to {}", written, o.other));
  context.reporter.info(fmt::format("not in this format: {}", lost));
  return kDone;
}

int export_text(const ExchangeOptions& o, Context& context, std::string_view lost,
                decltype(exchange::write_explanation_lines) write) {
  return export_explanations(o, context, lost, [&](const store::Store& store, const auto& hookpoints) {
    OutputFile file(o.other);
    const std::size_t written = write(store, hookpoints, [&](std::string_view text) { file.write(text); });
    file.commit();
    return written;
  });
}

/// Runs `write`; where it fails, the folder it wrote is removed, since a part would look like all of it.
void write_folder(const fs::path& folder, const std::function<void()>& write) {
  try {
    write();
  } catch (...) {
    std::error_code ignored;
    fs::remove_all(folder, ignored);
    throw;
  }
}

/// A latent's explanations, ordered by explainer, with their first number by simulation.
std::vector<exchange::SimulatedText> simulated_texts(const store::Store& store, const std::string& hookpoint,
                                                     LatentId latent, std::set<std::string>& explainers) {
  std::map<std::string, double> correlation;
  for (const store::ScoreRow& row : store.scores_of(hookpoint, latent)) {
    if (row.scorer == "simulation")
      correlation.emplace(row.explainer, score::headline(row.scorer, row.score).value.value);
  }
  std::vector<exchange::SimulatedText> texts;
  for (const store::ExplanationRow& row : store.explanations_of(hookpoint, latent)) {
    if (!row.explanation.ok() || score::is_shuffled_name(row.explainer)) continue;
    const auto found = correlation.find(row.explainer);
    texts.emplace_back(row.explanation.text,
                       found == correlation.end() ? std::numeric_limits<double>::quiet_NaN() : found->second);
    explainers.insert(row.explainer);
  }
  return texts;
}

void export_neurons(const ExchangeOptions& o, const RunData& data, const store::Store* store,
                    const std::string& hookpoint, std::set<std::string>& explainers, Context& context) {
  constexpr std::uint32_t kContexts = 20;  // as many as their records have
  const index::Reader reader = data.index(hookpoint);
  const std::uint32_t layer = exchange::layer_of(hookpoint);
  const fs::path records = fs::path(o.other) / "collated-activations" / std::to_string(layer);
  const fs::path results = fs::path(o.other) / "explanations" / std::to_string(layer);
  fs::create_directories(records);
  const std::vector<LatentId> latents = chosen_latents(o, data.run, reader);
  if (latents.empty()) fail_input(hookpoint, fmt::format("has none of the latents {}", o.latents));
  std::size_t explained = 0;
  for (std::size_t i = 0; i < latents.size(); ++i) {
    stop_if_interrupted();
    const auto contexts =
        examples::latent_contexts(reader, data.tokens, data.tokenizer, latents[i], kContexts, o.common.seed);
    write_file(records / fmt::format("{}.json", to_index(latents[i])),
               exchange::openai_record(layer, latents[i], contexts));
    const auto texts = store == nullptr ? std::vector<exchange::SimulatedText>()
                                        : simulated_texts(*store, hookpoint, latents[i], explainers);
    if (!texts.empty()) {
      if (explained++ == 0) fs::create_directories(results);
      write_file(results / fmt::format("{}.jsonl", to_index(latents[i])),
                 exchange::openai_results(layer, latents[i], texts));
    }
    context.reporter.progress({"export " + hookpoint, i + 1, latents.size(), "latents", ""});
  }
  context.reporter.info(fmt::format("{}: {} neuron records and {} files of explanations written to {}", hookpoint,
                                    latents.size(), explained, o.other));
}

/// The one explainer that the options leave.
std::string explained_by(const ExchangeOptions& o, const store::Store& store, const std::string& hookpoint) {
  std::set<std::string> found;
  store.each_explanation(hookpoint, o.explainer, [&](const store::ExplanationRow& row) {
    if (!score::is_shuffled_name(row.explainer)) found.insert(row.explainer);
  });
  if (found.size() == 1) return *found.begin();
  if (found.empty()) fail_input(hookpoint, "has no explanations", fmt::format("gloss explain {} makes them", o.run));
  throw Error(ErrorKind::usage, hookpoint, fmt::format("was explained by {}", fmt::join(found, ", ")),
              "choose one with --explainer NAME");
}

/// Writes a latent's judgements by each scorer that delphi has files of. Returns how many files.
std::size_t export_judgements(const ExchangeOptions& o, const store::Store& store, const std::string& hookpoint,
                              const store::ExplanationRow& row, const ExampleSettings& settings,
                              const std::function<exchange::DelphiWindow(const score::Judgement&)>& window_of) {
  std::size_t files = 0;
  for (const store::ScoreRow& scored : store.scores_of(hookpoint, row.explanation.latent)) {
    if (scored.explainer != row.explainer || (scored.scorer != "detection" && scored.scorer != "fuzz")) continue;
    if (!o.judge.empty() && scored.judge != o.judge) continue;
    const auto judgements =
        store.judgements(hookpoint, row.explanation.latent, row.explainer, scored.scorer, scored.judge);
    if (judgements.empty()) continue;  // imported
    const fs::path folder = fs::path(o.other) / "scores" / scored.scorer;
    fs::create_directories(folder);
    const fs::path file = folder / exchange::delphi_name(hookpoint, row.explanation.latent);
    if (fs::exists(file))
      throw Error(ErrorKind::usage, hookpoint,
                  fmt::format("latent {} was judged twice in {}", to_index(row.explanation.latent), scored.scorer),
                  "choose one with --judge NAME");
    write_file(file, exchange::delphi_judgements(judgements, settings.options.quantiles, window_of));
    ++files;
  }
  return files;
}

/// The one explainer and judge of detection that the options leave.
std::pair<std::string, std::string> judged_by(const ExchangeOptions& o, const store::Store& store,
                                              const std::string& hookpoint) {
  std::set<std::pair<std::string, std::string>> found;
  store.each_score(hookpoint, o.explainer, "detection", [&](const store::ScoreRow& row) {
    if (!score::is_shuffled_name(row.explainer) && (o.judge.empty() || row.judge == o.judge) &&
        row.judge != exchange::imported_judge(row.judge))
      found.emplace(row.explainer, row.judge);
  });
  if (found.size() == 1) return *found.begin();
  if (found.empty())
    fail_input(hookpoint, "has no scores by detection, which SAEBench's result is made of",
               fmt::format("gloss score {} --scorer detection makes them", o.run));
  std::vector<std::string> names;
  names.reserve(found.size());
  for (const auto& [explainer, judge] : found) names.push_back(fmt::format("'{}' by '{}'", explainer, judge));
  throw Error(ErrorKind::usage, hookpoint, fmt::format("explanations of {} were judged", fmt::join(names, ", ")),
              "choose one with --explainer NAME --judge NAME");
}

}  // namespace

int export_lines(const ExchangeOptions& o, Context& context) {
  return export_text(o, context, "judgements, replies, baselines", exchange::write_explanation_lines);
}

int export_csv(const ExchangeOptions& o, Context& context) {
  return export_text(o, context, kTableLosses, exchange::write_explanation_csv);
}

int export_parquet(const ExchangeOptions& o, Context& context) {
  return export_explanations(o, context, kTableLosses, [&](const store::Store& store, const auto& hookpoints) {
    return exchange::write_explanation_parquet(store, hookpoints, o.other);
  });
}

int export_openai(const ExchangeOptions& o, Context& context) {
  const RunData data = RunData::open(RunFolder(o.run));
  const std::vector<std::string> hookpoints = data.run.select_hookpoints(o.hookpoints);
  must_not_be(o.other);
  std::map<std::uint32_t, std::string> layers;  // all faults of form show before the work
  for (const std::string& hookpoint : hookpoints) {
    const auto [known, fresh] = layers.emplace(exchange::layer_of(hookpoint), hookpoint);
    if (!fresh)
      fail_input(hookpoint, fmt::format("would be layer {}, as {} is", known->first, known->second),
                 "export them apart, each with its own --hookpoint");
  }
  std::optional<store::Store> store;
  if (fs::exists(data.run.results())) store.emplace(data.run.results());
  std::set<std::string> explainers;
  write_folder(o.other, [&] {
    for (const std::string& hookpoint : hookpoints)
      export_neurons(o, data, store ? &*store : nullptr, hookpoint, explainers, context);
  });
  if (explainers.size() > 1)
    context.reporter.info(
        fmt::format("explanations of a latent are in the order of their explainers, whose names the format does not "
                    "hold: {}",
                    fmt::join(explainers, ", ")));
  context.reporter.info(
      "not in OpenAI's files: names of explainers, scores but the correlation of simulation, judgements; not in a run: "
      "simulated sequences, samples by quantile");
  return kDone;
}

int export_delphi_explanations(const ExchangeOptions& o, Context& context) {
  const RunData data = RunData::open(RunFolder(o.run));
  const std::vector<std::string> hookpoints = data.run.select_hookpoints(o.hookpoints);
  const fs::path explanations = fs::path(o.other) / "explanations", scores = fs::path(o.other) / "scores";
  must_not_be(explanations);  // the folder may hold the cache
  must_not_be(scores);
  const store::Store store(data.run.results());
  const ExampleSettings settings = kept_example_settings(store, data.run);
  std::size_t written = 0, failed = 0, judged = 0;
  const auto write_all = [&] {
    for (const std::string& hookpoint : hookpoints) {
      const index::Reader reader = data.index(hookpoint);
      const std::vector<store::ExplanationRow> rows = store.explanations(hookpoint, explained_by(o, store, hookpoint));
      for (std::size_t i = 0; i < rows.size(); ++i) {
        stop_if_interrupted();
        if (!rows[i].explanation.ok()) {
          ++failed;
          continue;
        }
        const LatentId latent = rows[i].explanation.latent;
        fs::create_directories(explanations);
        write_file(explanations / exchange::delphi_name(hookpoint, latent),
                   exchange::delphi_explanation(rows[i].explanation.text));
        ++written;
        const index::Firings firings = reader.firings(latent);
        judged += export_judgements(o, store, hookpoint, rows[i], settings, [&](const score::Judgement& j) {
          exchange::DelphiWindow window;
          for (const TokenId id : data.tokens.tokens().subspan(j.start, settings.options.window))
            window.tokens.push_back(replace_invalid_utf8(data.tokenizer.token_bytes(id)));
          window.activations = examples::activations_in(firings, j.start, settings.options.window);
          return window;
        });
        context.reporter.progress({"export " + hookpoint, i + 1, rows.size(), "latents", ""});
      }
    }
  };
  write_folder(explanations, [&] { write_folder(scores, write_all); });
  context.reporter.info(
      fmt::format("{} explanations and {} files of judgements written to {}", written, judged, o.other));
  if (failed > 0) context.reporter.warn(fmt::format("{} failed explanations are left out", failed));
  context.reporter.info(
      "not in delphi's files: intervals, scorers but detection and fuzz, which tokens fuzz had marked, replies, "
      "baselines; the cache is written by --format delphi");
  return kDone;
}

int export_saebench(const ExchangeOptions& o, Context& context) {
  const RunData data = RunData::open(RunFolder(o.run));
  const std::vector<std::string> hookpoints = data.run.select_hookpoints(o.hookpoints);
  must_not_be(o.other);
  const store::Store store(data.run.results());
  const ExampleSettings settings = kept_example_settings(store, data.run);
  exchange::SaebenchOrigin origin;
  origin.dataset = value_of(formats::SafeTensors::open(data.run.tokens()).metadata(), "text");
  origin.release = o.sae_set;
  origin.created_by = "gloss " + version_short();
  origin.tokens = data.tokens.token_count();
  origin.seed = settings.options.seed;
  origin.ctx_len = data.tokens.ctx_len();
  origin.window = settings.options.window;
  origin.shown = settings.options.explain;
  const auto made = std::chrono::file_clock::to_sys(fs::last_write_time(data.run.results()));
  origin.created_ms = static_cast<std::uint64_t>(
      std::chrono::duration_cast<std::chrono::milliseconds>(made.time_since_epoch()).count());
  write_folder(o.other, [&] {
    for (const std::string& hookpoint : hookpoints) {
      const auto [explainer, judge] = judged_by(o, store, hookpoint);
      origin.hookpoint = hookpoint;
      origin.model = o.model_name.empty() ? value_of(data.index(hookpoint).metadata(), "model") : o.model_name;
      const exchange::SaebenchWritten result = exchange::saebench_result(store, origin, explainer, judge);
      const fs::path file =
          fs::path(o.other) / "autointerp" / fmt::format("{}_{}_eval_results.json", o.sae_set, hookpoint);
      fs::create_directories(file.parent_path());
      write_file(file, result.text);
      context.reporter.info(fmt::format("{}: {} latents explained by '{}' and judged by '{}' written to {}", hookpoint,
                                        result.latents, explainer, judge, file.string()));
      if (result.unscored > 0)
        context.reporter.warn(fmt::format("{}: {} explained latents without an answered judgement are left out",
                                          hookpoint, result.unscored));
    }
  });
  context.reporter.info(
      "the score of SAEBench is plain accuracy: beside it stand score_of_always_none and the balanced accuracy; the "
      "windows are gloss's, so compare with results made of the same; not in this format: other scorers, baselines");
  return kDone;
}

}  // namespace gloss::app
