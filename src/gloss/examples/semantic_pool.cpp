#include "gloss/examples/semantic_pool.h"

#include <faiss/IndexFlat.h>

#include <algorithm>
#include <cstddef>
#include <stdexcept>
#include <utility>

namespace gloss::examples {

struct SemanticPool::Index {
  explicit Index(std::uint32_t width) : flat(static_cast<faiss::Index::idx_t>(width)) {}
  faiss::IndexFlatIP flat;
};

/// The candidates of one query, nearest first: as many as were needed so far, and more on demand.
class SemanticPool::Query {
 public:
  Query(const SemanticPool& pool, std::span<const float> row) : pool_(&pool), row_(row) {}

  /// The next one; false when all were given.
  bool next(Hit& hit) {
    while (given_ == found_.size()) {
      if (asked_ == pool_->size()) return false;
      find_more();
    }
    hit = found_[given_++];
    return true;
  }

 private:
  /// Asks for four times as many. Of those as near as the last, the index may have left some out: they wait for the
  /// next time, so that what was found is always all that is nearer than some cosine.
  void find_more() {
    asked_ = std::min(pool_->size(), asked_ == 0 ? kFirst : 4 * asked_);
    std::vector<float> cosine(asked_);
    std::vector<faiss::Index::idx_t> at(asked_);
    pool_->index_->flat.search(1, row_.data(), static_cast<faiss::Index::idx_t>(asked_), cosine.data(), at.data());
    found_.clear();
    for (std::size_t i = 0; i < asked_; ++i) {
      if (cosine[i] == cosine.back() && asked_ < pool_->size()) break;
      found_.push_back({pool_->starts_[static_cast<std::size_t>(at[i])], cosine[i]});
    }
    std::sort(found_.begin(), found_.end(),
              [](const Hit& a, const Hit& b) { return std::pair(b.cosine, a.start) < std::pair(a.cosine, b.start); });
  }

  static constexpr std::size_t kFirst = 64;
  const SemanticPool* pool_;
  std::span<const float> row_;
  std::vector<Hit> found_;
  std::size_t asked_ = 0, given_ = 0;
};

SemanticPool::SemanticPool(std::vector<std::uint32_t> starts, std::span<const float> rows, std::uint32_t width,
                           EmbedWindows embed)
    : starts_(std::move(starts)), width_(width), embed_(std::move(embed)), index_(std::make_unique<Index>(width)) {
  if (rows.size() != starts_.size() * width) throw std::logic_error("every candidate must have a row");
  index_->flat.add(static_cast<faiss::Index::idx_t>(starts_.size()), rows.data());
}

SemanticPool::~SemanticPool() = default;

std::vector<SemanticPool::Hit> SemanticPool::nearest(std::span<const std::uint32_t> queries, std::uint64_t wanted,
                                                     const Take& take) const {
  std::vector<Hit> hits;
  if (wanted == 0 || queries.empty() || starts_.empty()) return hits;
  const std::vector<float> rows = embed_(queries);
  if (rows.size() != queries.size() * width_) throw std::logic_error("every query must have a row");
  std::vector<Query> open;
  open.reserve(queries.size());
  for (std::size_t i = 0; i < queries.size(); ++i)
    open.emplace_back(*this, std::span(rows).subspan(i * width_, width_));
  const auto take_next = [&](Query& query) {
    for (Hit hit{}; query.next(hit);) {
      if (!take(hit.start)) continue;
      hits.push_back(hit);
      return true;
    }
    return false;
  };
  for (bool any = true; any;) {
    any = false;
    for (Query& query : open) {
      if (hits.size() == wanted) return hits;
      any |= take_next(query);
    }
  }
  return hits;
}

}  // namespace gloss::examples
