#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include "gloss/base/interrupt.h"
#include "gloss/base/natural_order.h"
#include "gloss/base/random.h"
#include "gloss/examples/token_window.h"
#include "gloss/report/latent_lists.h"
#include "gloss/report/latent_rows.h"
#include "gloss/report/page.h"
#include "gloss/report/terminal.h"
#include "gloss/score/baselines.h"
#include "gloss/score/judge.h"

namespace gloss::report {
namespace {

using Json = nlohmann::json;
using examples::Window;

/// Four significant digits are what a page can show.
double rounded(double value) {
  if (value == 0.0 || !std::isfinite(value)) return 0.0;
  const double scale = std::pow(10.0, 3 - std::floor(std::log10(std::abs(value))));
  return std::round(value * scale) / scale;
}

Json number(double value) { return std::isfinite(value) ? Json(rounded(value)) : Json(nullptr); }

/// Mean over the scorers of what each gives as its number (score::headline); NaN when nothing is defined.
double mean_score(const LatentRows& latent) {
  double sum = 0;
  int count = 0;
  for (const store::ScoreRow* row : latent.scores) {
    const double value = score::headline(row->scorer, row->score).value.value;
    if (std::isnan(value)) continue;
    sum += value;
    ++count;
  }
  return count == 0 ? std::nan("") : sum / count;
}

/// Which latents get their windows shown: all, or a quarter each of the best and the worst and random others.
void choose_detailed(Table& table, const ReportOptions& options) {
  std::vector<LatentRows*> order;
  std::vector<LatentRows*> ranked;
  for (LatentRows& latent : table.latents) {
    if (latent.explanations.empty() && latent.scores.empty()) continue;
    order.push_back(&latent);
    if (!std::isnan(mean_score(latent))) ranked.push_back(&latent);
  }
  Random random = Random::for_purpose(options.seed, "report-examples");
  random.shuffle(std::span(order));
  std::stable_sort(ranked.begin(), ranked.end(),
                   [](const LatentRows* a, const LatentRows* b) { return mean_score(*a) > mean_score(*b); });
  std::size_t left = options.latents_with_examples;
  const auto take = [&left](LatentRows* latent) {
    if (left > 0 && !latent->detailed) {
      latent->detailed = true;
      --left;
    }
  };
  const std::size_t quarter = std::min(ranked.size(), options.latents_with_examples / 4);
  for (std::size_t i = 0; i < quarter; ++i) {
    take(ranked[i]);
    take(ranked[ranked.size() - 1 - i]);
  }
  for (LatentRows* latent : order) take(latent);
}

/// Keeps the page usable: detailed latents, then random ones, up to the limit.
void limit_rows(Table& table, const ReportOptions& options) {
  if (table.latents.size() <= options.table_rows) return;
  Random random = Random::for_purpose(options.seed, "report-rows");
  std::vector<std::size_t> order;
  for (const std::uint64_t i : random.sample(table.latents.size(), table.latents.size())) order.push_back(i);
  std::stable_partition(order.begin(), order.end(), [&](std::size_t i) { return table.latents[i].detailed; });
  table.left_out = table.latents.size() - options.table_rows;
  order.resize(options.table_rows);
  std::sort(order.begin(), order.end());
  std::vector<LatentRows> kept;
  kept.reserve(order.size());
  for (const std::size_t i : order) kept.push_back(std::move(table.latents[i]));
  table.latents = std::move(kept);
}

/// Windows share most of their tokens: each text is written once.
class Texts {
 public:
  std::size_t add(const std::string& text) {
    const auto [it, added] = places_.emplace(text, texts_.size());
    if (added) texts_.push_back(text);
    return it->second;
  }
  Json json() const { return texts_; }

 private:
  std::map<std::string, std::size_t> places_;
  std::vector<std::string> texts_;
};

Json window_json(const RunData& data, Texts& texts, const Window& w, const std::vector<bool>& marked) {
  Json tokens = Json::array();
  Json activations = Json::array();  // piece, value, piece, value...
  Json marks = Json::array();
  for (const ShownPiece& piece : shown_pieces(data, w, marked)) {
    if (piece.activation > 0.0F) {
      activations.push_back(tokens.size());
      activations.push_back(rounded(piece.activation));
    }
    if (piece.marked) marks.push_back(tokens.size());
    tokens.push_back(texts.add(harmless(piece.text)));
  }
  return {{"t", tokens}, {"a", activations}, {"m", marks}, {"q", w.quantile}, {"x", rounded(w.max)}};
}

Json judged_json(const RunData& data, Texts& texts, const store::ScoreRow& row,
                 const examples::LatentExamples& examples, const ReportOptions& options) {
  Json windows = Json::array();
  for (const JudgedWindow& w : few_judged_windows(data, row, examples, options.wrong, options.right)) {
    Json json = window_json(data, texts, w.window, w.marked);
    json["v"] = verdict_code(w.judgement);
    json["y"] = w.judgement.truth;
    if (w.judgement.probability >= 0.0F) json["p"] = rounded(w.judgement.probability);
    windows.push_back(std::move(json));
  }
  return windows;
}

Json detail_json(const RunData& data, Texts& texts, const LatentRows& latent, const Table& table,
                 const ReportOptions& options) {
  const examples::LatentExamples examples = data.examples(latent.hookpoint, latent.id);
  Json detail{{"max", rounded(examples.max_activation)},
              {"examples", Json::array()},
              {"silent", Json::array()},
              {"lists", Json::array()},
              {"judged", Json::array()}};
  for (const ShownList& list : latent_lists(data, latent.hookpoint, latent.id)) {
    Json entries = Json::array();
    for (const auto& [text, value] : list.entries) entries.push_back({texts.add(text), rounded(value)});
    detail["lists"].push_back({{"n", list.name}, {"v", list.value}, {"e", std::move(entries)}});
  }
  for (const Window& w : example_windows(examples, options.examples))
    detail["examples"].push_back(window_json(data, texts, w, examples::marked_tokens(w, data.questions.tau)));
  for (const Window* w : silent_windows(examples, options.silent))
    detail["silent"].push_back(window_json(data, texts, *w, {}));
  for (const store::ScoreRow* row : latent.scores) {
    const auto explainer = std::find(table.explainers.begin(), table.explainers.end(), row->explainer);
    const auto column = std::find(table.columns.begin(), table.columns.end(), Column{row->scorer, row->judge});
    detail["judged"].push_back({{"e", explainer - table.explainers.begin()},
                                {"c", column - table.columns.begin()},
                                {"w", judged_json(data, texts, *row, examples, options)}});
  }
  return detail;
}

Json score_json(const std::string& scorer, const score::LatentScore& s) {
  const score::Interval b = score::headline(scorer, s).value;
  return {number(b.value), number(b.low), number(b.high), s.tp, s.fn, s.tn, s.fp, s.failed};
}

/// One entry per explainer: null, or text, failure and one score per column.
Json explained_json(const LatentRows& latent, const Table& table) {
  Json all = Json::array();
  for (const std::string& explainer : table.explainers) {
    const auto found = latent.explanations.find(explainer);
    Json scores = Json::array();
    bool scored = false;
    for (const Column& column : table.columns) {
      const auto row = std::find_if(latent.scores.begin(), latent.scores.end(), [&](const store::ScoreRow* r) {
        return r->explainer == explainer && r->scorer == column.first && r->judge == column.second;
      });
      scored = scored || row != latent.scores.end();
      scores.push_back(row == latent.scores.end() ? Json(nullptr) : score_json((*row)->scorer, (*row)->score));
    }
    if (found == latent.explanations.end() && !scored) {
      all.push_back(nullptr);
      continue;
    }
    const bool known = found != latent.explanations.end();
    all.push_back({{"t", known ? harmless(found->second->explanation.text) : ""},
                   {"f", known ? harmless(found->second->explanation.failure) : ""},
                   {"s", std::move(scores)}});
  }
  return all;
}

Json latent_json(const LatentRows& latent, const Table& table) {
  const auto hookpoint = std::find(table.hookpoints.begin(), table.hookpoints.end(), latent.hookpoint);
  Json json{
      {"h", hookpoint - table.hookpoints.begin()}, {"l", to_index(latent.id)}, {"e", explained_json(latent, table)}};
  if (latent.row != nullptr) {
    json["d"] = number(latent.row->density);
    json["m"] = number(latent.row->max_activation);
    json["w"] = latent.row->window_count;
    json["n"] = latent.row->firing_count;
    if (latent.row->status != examples::Status::ok) json["s"] = examples::name_of(latent.row->status);
  }
  return json;
}

}  // namespace

Json page_data(const RunData& data, const ReportOptions& options, Reporter& reporter) {
  Table table = make_table(data);
  if (data.examples) choose_detailed(table, options);
  limit_rows(table, options);
  Texts texts;
  Json latents = Json::array();
  Json details = Json::array();
  std::uint64_t done = 0;
  for (const LatentRows& latent : table.latents) {
    stop_if_interrupted();
    latents.push_back(latent_json(latent, table));
    if (latent.detailed) {
      latents.back()["x"] = details.size();
      details.push_back(detail_json(data, texts, latent, table, options));
    }
    reporter.progress({"report", ++done, table.latents.size(), "latents", ""});
  }
  Json columns = Json::array();
  for (const Column& c : table.columns)
    columns.push_back({{"scorer", harmless(c.first)}, {"judge", harmless(c.second)}});
  Json explainers = Json::array();
  for (const std::string& name : table.explainers) explainers.push_back(harmless(name));
  Json hookpoints = Json::array();
  for (const std::string& name : table.hookpoints) hookpoints.push_back(harmless(name));
  return {{"explainers", explainers},      {"hookpoints", hookpoints},          {"columns", columns},
          {"latents", std::move(latents)}, {"details", std::move(details)},     {"texts", texts.json()},
          {"left_out", table.left_out},    {"tau", rounded(data.questions.tau)}};
}

std::string script_json(const Json& json) {
  const std::string plain = json.dump(-1, ' ', false, Json::error_handler_t::replace);
  std::string safe;
  safe.reserve(plain.size());
  for (std::size_t i = 0; i < plain.size(); ++i) {
    const char c = plain[i];
    // Outside strings JSON has none of these, so an escape is always inside one.
    if (c == '<' || c == '>' || c == '&') {
      safe += fmt::format("\\u{:04x}", static_cast<unsigned char>(c));
    } else if (plain.compare(i, 3, "\xE2\x80\xA8") == 0 || plain.compare(i, 3, "\xE2\x80\xA9") == 0) {
      safe += plain[i + 2] == '\xA8' ? "\\u2028" : "\\u2029";
      i += 2;
    } else {
      safe += c;
    }
  }
  return safe;
}

}  // namespace gloss::report
