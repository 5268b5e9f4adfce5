// Where a latent fires, and what judges said of its windows.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <list>
#include <map>
#include <numeric>

#include "gloss/base/random.h"
#include "gloss/dashboard/routes.h"
#include "gloss/examples/active_windows.h"
#include "gloss/score/baselines.h"

namespace gloss::dashboard {
namespace {

using Json = nlohmann::json;

constexpr std::size_t kDeciles = 10;
constexpr std::uint32_t kWide = 4;  // windows

/// A window that was chosen: its place among those strongest first, and its decile, 10 = the strongest.
struct Chosen {
  examples::Active window;
  std::size_t decile = 0;
};

/// Strongest first.
std::vector<Chosen> ranked(const examples::ActiveWindows& active) {
  std::vector<Chosen> all;
  all.reserve(active.windows().size());
  for (const examples::Active& window : active.windows()) all.push_back({window, 0});
  std::sort(all.begin(), all.end(), [](const Chosen& a, const Chosen& b) {
    return a.window.max_bits != b.window.max_bits ? a.window.max_bits > b.window.max_bits
                                                  : a.window.start < b.window.start;
  });
  for (std::size_t r = 0; r < all.size(); ++r) all[r].decile = kDeciles - r * kDeciles / all.size();
  return all;
}

std::vector<Chosen> choose(const std::vector<Chosen>& all, const std::string& how, std::size_t limit, Random& random) {
  std::vector<std::size_t> places;
  if (how == "top") {
    places.resize(std::min(limit, all.size()));
    std::iota(places.begin(), places.end(), std::size_t{0});
  } else if (how == "random") {
    for (const std::uint64_t i : random.sample(all.size(), limit)) places.push_back(i);
  } else {
    // As many of each decile, the first ones of what does not divide; all of a decile with fewer.
    for (std::size_t d = kDeciles; d > 0; --d) {
      const auto in = [d](const Chosen& c) { return c.decile == d; };
      const auto first = static_cast<std::size_t>(std::find_if(all.begin(), all.end(), in) - all.begin());
      const auto count = static_cast<std::size_t>(std::count_if(all.begin(), all.end(), in));
      const std::size_t share = limit / kDeciles + (kDeciles - d < limit % kDeciles ? 1 : 0);
      for (const std::uint64_t i : random.sample(count, share)) places.push_back(first + i);
    }
  }
  std::sort(places.begin(), places.end());
  std::vector<Chosen> chosen;
  chosen.reserve(places.size());
  for (const std::size_t place : places) chosen.push_back(all[place]);
  return chosen;
}

/// Where `length` tokens around the window begin, inside its context.
std::uint32_t begin_of(std::uint32_t start, std::uint32_t window, std::uint32_t length, std::uint32_t ctx_len) {
  const std::uint32_t context = start / ctx_len * ctx_len;
  const std::uint32_t before = std::min((length - window) / 2, start - context);
  return std::min(start - before, context + ctx_len - length);
}

std::string one_of(const Target& target, std::string_view name, const std::vector<std::string>& known) {
  std::string value = target.text(name);
  if (value.empty()) return known.front();
  if (std::find(known.begin(), known.end(), value) == known.end())
    throw Fault(400, fmt::format("'{}'", value), fmt::format("{}", fmt::join(known, ", ")), std::string(name));
  return value;
}

Json judgement_json(const score::Judgement& j, const store::ScoreRow& row) {
  const bool failed = j.verdict == score::Verdict::failed;
  const bool yes = j.verdict == score::Verdict::yes;
  return {{"kind", examples::name_of(j.kind)},
          {"explainer", row.explainer},
          {"scorer", row.scorer},
          {"judge", row.judge},
          {"decile", j.quantile == 0 ? Json(nullptr) : Json(j.quantile)},
          {"fires", j.truth},
          {"verdict", failed ? "failed"
                      : yes  ? "fires"
                             : "silent"},
          {"probability", j.probability < 0.0F ? Json(nullptr) : number(j.probability)},
          {"right", failed ? Json(nullptr) : Json(yes == j.truth)},
          {"reason", nullptr},
          {"window", nullptr},
          {"call", j.call_hash.empty() ? Json(nullptr) : Json(j.call_hash)}};
}

/// What report::judged_windows() wants of a run.
report::RunData windows_source(const Run& run) {
  report::RunData data;
  data.questions = run.input().questions;
  data.tokenizer = run.input().tokenizer;
  data.tokens = run.input().tokens;
  data.judgements = [&run](const store::ScoreRow& row) {
    return run.store().judgements(row.hookpoint, row.score.latent, row.explainer, row.scorer, row.judge);
  };
  return data;
}

/// A judgement and what it is sorted by.
struct Shown {
  Json json;
  int place = 0;  // 0 wrong, 1 failed, 2 right
  const examples::Window* window = nullptr;
  std::vector<bool> marked;
};

int place_of(const score::Judgement& j) {
  if (j.verdict == score::Verdict::failed) return 1;
  return (j.verdict == score::Verdict::yes) == j.truth ? 2 : 0;
}

}  // namespace

Json tokens_json(const Run& run, std::uint64_t start, const std::vector<float>& activation,
                 const std::vector<bool>& marked) {
  const std::span<const TokenId> all = run.input().tokens.tokens();
  Json tokens = Json::array();
  for (std::size_t i = 0; i < activation.size() && start + i < all.size(); ++i) {
    Json token = token_json(run.input().tokenizer, all[start + i]);
    if (activation[i] > 0.0F) token["a"] = number(activation[i]);
    if (i < marked.size() && marked[i]) token["m"] = true;
    tokens.push_back(std::move(token));
  }
  return tokens;
}

Json windows_json(const Run& run, const Place& place, const Target& target) {
  const std::string how = one_of(target, "choose", {"decile", "top", "random"});
  const std::string size = one_of(target, "context", {"narrow", "wide", "whole"});
  const std::uint64_t limit = target.number("limit", 20, 1, 200);
  const std::uint64_t seed = target.number("seed", 0, 0, ~std::uint64_t{0});
  const index::Reader& index = run.table().hookpoints()[place.hookpoint].index;
  const std::uint32_t ctx_len = index.ctx_len();
  const std::uint32_t window = run.input().window;
  examples::ActiveWindows active(index, window);
  active.find(place.latent);
  Random random = Random::for_latent(seed, place.name, place.latent, "dashboard-windows");
  const std::uint32_t length = size == "narrow"  ? window
                               : size == "whole" ? ctx_len
                                                 : std::min(ctx_len, kWide * window);
  Json windows = Json::array();
  for (const Chosen& chosen : choose(ranked(active), how, limit, random)) {
    const std::uint32_t start = begin_of(chosen.window.start, window, length, ctx_len);
    const std::vector<float> activation = examples::activations_in(active.firings(), start, length);
    // The peak is that of the window it was chosen by, whatever else the context holds.
    const auto own = activation.begin() + (chosen.window.start - start);
    const auto peak = std::max_element(own, own + window) - activation.begin();
    windows.push_back({{"context", start / ctx_len},
                       {"start", start % ctx_len},
                       {"document", run.input().tokens.document(start / ctx_len)},
                       {"decile", chosen.decile},
                       {"tokens", tokens_json(run, start, activation, {})},
                       {"peak", peak}});
  }
  return {{"max", number(index.max(place.latent))}, {"all", active.windows().size()}, {"windows", std::move(windows)}};
}

Json judgements_json(const Run& run, const Place& place, const Target& target) {
  const std::string explainer = target.text("explainer");
  const std::string scorer = target.text("scorer");
  const std::string judge = target.text("judge");
  const std::uint64_t offset = target.number("offset", 0, 0, std::uint64_t{1} << 32);
  const std::uint64_t limit = target.number("limit", 50, 1, 500);
  const auto lock = run.lock();
  examples::LatentExamples examples;
  if (run.input().examples) examples = run.input().examples(place.name, place.latent);
  const report::RunData source = windows_source(run);
  std::vector<Shown> shown;
  std::list<std::vector<report::JudgedWindow>> kept;  // the windows that `shown` points into
  for (const store::ScoreRow& row : run.store().scores_of(place.name, place.latent)) {
    if ((!explainer.empty() && row.explainer != explainer) || (!scorer.empty() && row.scorer != scorer) ||
        (!judge.empty() && row.judge != judge) || (explainer.empty() && score::is_shuffled_name(row.explainer)))
      continue;
    kept.push_back(report::judged_windows(source, row, examples));
    std::map<std::pair<std::uint32_t, examples::WindowKind>, bool> seen;
    for (const report::JudgedWindow& w : kept.back()) {
      seen[{w.judgement.start, w.judgement.kind}] = true;
      shown.push_back({judgement_json(w.judgement, row), place_of(w.judgement), &w.window, w.marked});
    }
    for (const score::Judgement& j : source.judgements(row)) {
      if (!seen.contains({j.start, j.kind})) shown.push_back({judgement_json(j, row), place_of(j), nullptr, {}});
    }
  }
  std::stable_sort(shown.begin(), shown.end(), [](const Shown& a, const Shown& b) { return a.place < b.place; });
  const std::uint32_t ctx_len = run.input().tokens.ctx_len();
  Json page = Json::array();
  for (std::size_t i = offset; i < shown.size() && page.size() < limit; ++i) {
    if (const examples::Window* w = shown[i].window; w != nullptr) {
      shown[i].json["window"] = {{"tokens", tokens_json(run, w->start, w->activation, shown[i].marked)},
                                 {"start", w->start % ctx_len},
                                 {"context", w->start / ctx_len}};
    }
    page.push_back(std::move(shown[i].json));
  }
  return {{"total", shown.size()}, {"judgements", std::move(page)}};
}

}  // namespace gloss::dashboard
