#include "gloss/dashboard/latent_table.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>
#include <utility>

#include "gloss/base/error.h"
#include "gloss/base/interrupt.h"
#include "gloss/dashboard/latent_columns.h"
#include "gloss/index/filters.h"
#include "gloss/score/baselines.h"
#include "gloss/score/judge.h"

namespace gloss::dashboard {
namespace {

constexpr float kNone = std::numeric_limits<float>::quiet_NaN();
constexpr std::string_view kPerson = "person:";
constexpr std::uint64_t kProgressEvery = 1U << 16;

/// The explainer that a baseline is of, or the name itself.
std::string plain_name(const std::string& explainer) {
  return score::is_shuffled_name(explainer) ? explainer.substr(score::shuffled_name("").size()) : explainer;
}

ScoreColumn& made(ScoreColumn& column, std::size_t rows) {
  if (!column.value.empty()) return column;
  column.value.assign(rows, kNone);
  column.low.assign(rows, kNone);
  column.high.assign(rows, kNone);
  column.answered.assign(rows, 0);
  column.failed.assign(rows, 0);
  return column;
}

void put(ScoreColumn& column, std::size_t row, std::string_view scorer, const score::LatentScore& s) {
  const score::Headline headline = score::headline(scorer, s);
  column.value[row] = static_cast<float>(headline.value.value);
  column.low[row] = static_cast<float>(headline.value.low);
  column.high[row] = static_cast<float>(headline.value.high);
  column.answered[row] = s.tp + s.fp + s.tn + s.fn;
  column.failed[row] = s.failed;
  const auto chance = static_cast<float>(headline.chance);
  if (!column.chance.empty()) {
    column.chance[row] = chance;
  } else if (chance != column.usual_chance) {
    column.chance.assign(column.value.size(), column.usual_chance);
    column.chance[row] = chance;
  }
}

}  // namespace

LatentTable::LatentTable(std::vector<TableHookpoint> hookpoints, const store::Store& store, text::Tokenizer tokenizer,
                         Reporter& reporter, std::optional<MeaningSearch> meaning)
    : hookpoints_(std::move(hookpoints)),
      tokenizer_(std::move(tokenizer)),
      meaning_(std::move(meaning)),
      caches_(std::make_unique<Caches>()) {
  std::uint64_t rows = 0;
  for (const TableHookpoint& h : hookpoints_) {
    first_.push_back(static_cast<Row>(rows));
    rows += h.index.latent_count();
    if (rows >= std::numeric_limits<Row>::max()) fail_input(h.index.file_name(), "makes 2^32 latents or more");
  }
  first_.push_back(static_cast<Row>(rows));
  rows_ = static_cast<Row>(rows);
  read_kinds(store);
  read_explanations(store);
  read_scores(store, reporter);
  std::stable_sort(explainers_.begin(), explainers_.end(),
                   [](const auto& a, const auto& b) { return a->count > b->count; });
  order_texts();
  find_embeddings();
  for (const ScoreKey& key : keys_) {
    numbers_.push_back(key.key);
    numbers_.push_back(key.key + ".excess");
  }
  if (meaning_) numbers_.emplace_back(kSimilarity);
}

LatentTable::~LatentTable() = default;

LatentTable::Row LatentTable::row_at(std::string_view hookpoint, LatentId latent) const {
  const std::optional<Row> row = find(hookpoint, to_index(latent));
  if (!row)
    fail_input("results.db", fmt::format("tells of latent {} of {}, which the run's index does not have",
                                         to_index(latent), hookpoint));
  return *row;
}

void LatentTable::read_kinds(const store::Store& store) {
  kinds_.assign(rows_, 0);
  for (std::size_t h = 0; h < hookpoints_.size(); ++h) {
    for (const index::KindInfo& kind : index::latent_kinds()) {
      const std::optional<store::KindRow> found = store.kind(hookpoints_[h].name, kind.name);
      if (!found) continue;
      rules_[std::string(kind.name)] = found->rule;
      for (const auto& [latent, value] : found->latents)
        kinds_[row_at(hookpoints_[h].name, latent)] |=
            static_cast<std::uint16_t>(1U << static_cast<unsigned>(kind.kind));
    }
    for (Row r = first_[h]; r < first_[h + 1]; ++r) {
      constexpr auto kDead = static_cast<std::uint16_t>(1U << static_cast<unsigned>(index::LatentKind::dead));
      if (firings(r) == 0) kinds_[r] |= kDead;
    }
  }
}

void LatentTable::read_explanations(const store::Store& store) {
  std::map<std::string, Explainer*, std::less<>> by_name;
  // The hookpoints of the store may come in another order than the run's; each is read for itself, latents ascend.
  for (const TableHookpoint& h : hookpoints_) {
    store.each_explanation(h.name, "", [&](const store::ExplanationRow& e) {
      if (score::is_shuffled_name(e.explainer)) return;
      Explainer*& explainer = by_name[e.explainer];
      if (explainer == nullptr) {
        explainer = explainers_.emplace_back(std::make_unique<Explainer>()).get();
        explainer->name = e.explainer;
        explainer->texts.end.reserve(rows_);
      }
      TextColumn& texts = explainer->texts;
      const Row row = row_at(h.name, e.explanation.latent);
      texts.end.resize(row, texts.bytes.size());
      texts.bytes += e.explanation.text;
      texts.end.push_back(texts.bytes.size());
      if (!e.explanation.text.empty()) ++explainer->count;
    });
  }
  for (const auto& explainer : explainers_) {
    explainer->texts.end.resize(rows_, explainer->texts.bytes.size());
    explainer->texts.bytes.shrink_to_fit();
  }
}

void LatentTable::read_scores(const store::Store& store, Reporter& reporter) {
  // Columns by (explainer, scorer, judge) first: the keys are known when all judges are.
  std::map<std::pair<std::string, std::string>, std::map<std::string, ScoreColumn>> columns;
  std::map<std::pair<std::string, std::string>, std::string> measures;
  std::uint64_t done = 0;
  for (const TableHookpoint& h : hookpoints_) {
    store.each_score(h.name, "", "", [&](const store::ScoreRow& s) {
      if (++done % kProgressEvery == 0) {
        stop_if_interrupted();
        reporter.progress({"serve", done, 0, "scores", ""});
      }
      if (s.judge.starts_with(kPerson)) return;
      const Row row = row_at(h.name, s.score.latent);
      const std::pair key(s.scorer, s.judge);
      if (!measures.contains(key)) measures[key] = score::headline(s.scorer, s.score).name;
      ScoreColumn& column = made(columns[key][plain_name(s.explainer)], rows_);
      if (!score::is_shuffled_name(s.explainer)) return put(column, row, s.scorer, s.score);
      if (column.shuffled.empty()) column.shuffled.assign(rows_, kNone);
      column.shuffled[row] = static_cast<float>(score::headline(s.scorer, s.score).value.value);
    });
  }
  std::map<std::string, int> judges;
  for (auto& [key, by_explainer] : columns) {
    const int place = ++judges[key.first];
    keys_.push_back(
        {place == 1 ? key.first : fmt::format("{}.{}", key.first, place), key.first, key.second, measures[key]});
    for (auto& [name, column] : by_explainer) explainer_named(name).scores.emplace(keys_.size() - 1, std::move(column));
  }
}

LatentTable::Explainer& LatentTable::explainer_named(const std::string& name) {
  for (const auto& explainer : explainers_) {
    if (explainer->name == name) return *explainer;
  }
  Explainer& made = *explainers_.emplace_back(std::make_unique<Explainer>());
  made.name = name;
  made.texts.end.assign(rows_, 0);
  if (meaning_) made.embedded.assign(rows_, TextEmbeddings::kNone);
  return made;
}

std::vector<std::string> LatentTable::explainers() const {
  const std::shared_lock lock(caches_->texts);
  std::vector<std::string> names;
  for (const auto& explainer : explainers_) names.push_back(explainer->name);
  return names;
}

std::pair<std::size_t, LatentId> LatentTable::latent_of(Row row) const {
  const auto after = std::upper_bound(first_.begin(), first_.end(), row);
  const auto h = static_cast<std::size_t>(after - first_.begin()) - 1;
  return {h, LatentId{row - first_[h]}};
}

std::optional<LatentTable::Row> LatentTable::find(std::string_view hookpoint, std::uint64_t latent) const {
  for (std::size_t h = 0; h < hookpoints_.size(); ++h) {
    if (hookpoints_[h].name != hookpoint) continue;
    if (latent >= hookpoints_[h].index.latent_count()) return std::nullopt;
    return first_[h] + static_cast<Row>(latent);
  }
  return std::nullopt;
}

std::uint64_t LatentTable::firings(Row row) const {
  const auto [h, latent] = latent_of(row);
  return hookpoints_[h].index.count(latent);
}

double LatentTable::density(Row row) const {
  const auto [h, latent] = latent_of(row);
  return hookpoints_[h].index.density(latent);
}

float LatentTable::max(Row row) const {
  const auto [h, latent] = latent_of(row);
  return hookpoints_[h].index.max(latent);
}

std::vector<std::string> LatentTable::kinds(Row row) const {
  std::vector<std::string> names;
  for (const index::KindInfo& kind : index::latent_kinds()) {
    if ((kinds_[row] >> static_cast<unsigned>(kind.kind) & 1U) != 0) names.emplace_back(kind.name);
  }
  return names;
}

const LatentTable::Explainer* LatentTable::find_explainer(std::string_view name) const {
  const auto at = std::find_if(explainers_.begin(), explainers_.end(), [&](const auto& e) { return e->name == name; });
  return at == explainers_.end() ? nullptr : at->get();
}

std::string LatentTable::explanation(std::string_view explainer, Row row) const {
  const std::shared_lock lock(caches_->texts);
  const Explainer* found = find_explainer(explainer);
  return found == nullptr ? std::string() : std::string(found->texts.at(row));
}

std::optional<LatentTable::Score> LatentTable::score(std::string_view explainer, std::size_t key, Row row) const {
  const std::shared_lock lock(caches_->texts);
  const Explainer* found = find_explainer(explainer);
  if (found == nullptr) return std::nullopt;
  const auto at = found->scores.find(key);
  if (at == found->scores.end()) return std::nullopt;
  const ScoreColumn& c = at->second;
  if (c.answered[row] == 0 && c.failed[row] == 0 && std::isnan(c.value[row])) return std::nullopt;
  return Score{c.value[row],
               c.low[row],
               c.high[row],
               c.shuffled.empty() ? kNone : c.shuffled[row],
               c.chance.empty() ? c.usual_chance : c.chance[row],
               c.answered[row],
               c.failed[row]};
}

void LatentTable::add_explanation(const std::string& explainer, Row row, std::string_view text) {
  const std::unique_lock lock(caches_->texts);
  Explainer& own = explainer_named(explainer);
  TextColumn& texts = own.texts;
  const std::uint64_t begin = row == 0 ? 0 : texts.end[row - 1];
  const std::uint64_t old = texts.end[row] - begin;
  if (old == 0 && !text.empty()) ++own.count;
  texts.bytes.replace(begin, old, text);
  for (Row r = row; r < rows_; ++r) texts.end[r] += text.size() - old;
  if (meaning_) own.embedded[row] = TextEmbeddings::kNone;  // until gloss embed runs again
  const std::lock_guard caches(caches_->mutex);
  caches_->similarities.clear();
  caches_->selections.clear();
  caches_->orders.clear();
  move_in_text_orders(own, row);
}

}  // namespace gloss::dashboard
