// Questions by meaning: how near each explanation is to a text.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "gloss/base/error.h"
#include "gloss/base/interrupt.h"
#include "gloss/dashboard/latent_columns.h"

namespace gloss::dashboard {
namespace {

constexpr float kNone = std::numeric_limits<float>::quiet_NaN();

}  // namespace

void LatentTable::find_embeddings() {
  if (!meaning_) return;
  TextPlaces places(meaning_->texts.keys());
  for (const auto& explainer : explainers_) {
    explainer->embedded.assign(rows_, TextEmbeddings::kNone);
    for (Row r = 0; r < rows_; ++r) {
      if (r % (1U << 16U) == 0) stop_if_interrupted();
      const std::string_view text = explainer->texts.at(r);
      if (!text.empty()) explainer->embedded[r] = places.find(text_key(text));
    }
  }
}

std::optional<std::uint64_t> LatentTable::embedded_count(std::string_view explainer) const {
  if (!meaning_) return std::nullopt;
  const std::shared_lock lock(caches_->texts);
  const Explainer* found = find_explainer(explainer);
  if (found == nullptr) return 0;
  const auto none = std::count(found->embedded.begin(), found->embedded.end(), TextEmbeddings::kNone);
  return rows_ - static_cast<std::uint64_t>(none);
}

std::shared_ptr<const TextEmbeddings::Query> LatentTable::question(const TableQuery& query) const {
  if (!query.asks_meaning()) return nullptr;
  if (!meaning_)
    throw Error(ErrorKind::usage, "like",
                "the explanations of this run are not embedded, or their embedder is not here",
                "gloss embed RUN --embedder DIR embeds them; gloss serve tells what it lacks");
  if (query.like.size() > kMostQuestion)
    throw Error(ErrorKind::usage, "like", fmt::format("{} bytes, at most {}", query.like.size(), kMostQuestion));
  {
    const std::lock_guard lock(caches_->mutex);
    if (auto found = caches_->questions.find(query.like)) return found;
  }
  auto question = std::make_shared<const TextEmbeddings::Query>(
      meaning_->texts.query(meaning_->embed(meaning_->texts.by().query_prefix + query.like)));
  const std::lock_guard lock(caches_->mutex);
  caches_->questions.put(query.like, question);
  return question;
}

LatentTable::Asked LatentTable::asked(const TableQuery& query, const TextEmbeddings::Query* question) const {
  const Explainer* explainer = chosen_explainer(query.explainer);
  return {explainer, question == nullptr ? nullptr : similarity(query, explainer, *question)};
}

std::shared_ptr<const std::vector<float>> LatentTable::similarity(const TableQuery& query, const Explainer* explainer,
                                                                  const TextEmbeddings::Query& question) const {
  const std::string key = key_part(explainer == nullptr ? "" : explainer->name) + query.like;
  {
    const std::lock_guard lock(caches_->mutex);
    if (auto found = caches_->similarities.find(key)) return found;
  }
  auto all = std::make_shared<std::vector<float>>(rows_, kNone);
  if (explainer != nullptr) {
    in_parts(rows_, [&](Row first, Row last) {
      for (Row r = first; r < last; ++r) {
        const TextEmbeddings::Place place = explainer->embedded[r];
        if (place != TextEmbeddings::kNone) (*all)[r] = meaning_->texts.cosine(question, place);
      }
    });
  }
  const std::lock_guard lock(caches_->mutex);
  caches_->similarities.put(key, all);
  return all;
}

std::vector<LatentTable::Row> LatentTable::most_alike(const Selection& selection, const std::vector<float>& similarity,
                                                      bool descending, std::uint64_t offset, std::size_t limit) {
  if (offset >= selection.total) return {};
  // The similarity's bits above the row's, so that equal ones stand as the run has them.
  std::vector<std::uint64_t> items;
  items.reserve(selection.total);
  for (Row r = 0; r < similarity.size(); ++r) {
    if (selection.in[r] != 0) items.push_back(std::uint64_t{ordered_bits(similarity[r], descending)} << 32U | r);
  }
  const auto end = items.begin() + static_cast<std::ptrdiff_t>(std::min<std::uint64_t>(offset + limit, items.size()));
  if (end != items.end()) std::nth_element(items.begin(), end, items.end());
  std::sort(items.begin(), end);
  std::vector<Row> rows;
  for (auto at = items.begin() + static_cast<std::ptrdiff_t>(offset); at != end; ++at)
    rows.push_back(static_cast<Row>(*at));
  return rows;
}

}  // namespace gloss::dashboard
