#include <algorithm>
#include <limits>
#include <queue>
#include <tuple>

#include "gloss/text/bpe.h"

namespace gloss::text {
namespace {

constexpr std::uint32_t kNoRank = std::numeric_limits<std::uint32_t>::max();
constexpr std::size_t kLong = 48;  // from here on the heap pays (bench_tokenizer)

/// Short rows: ranks of all neighbours side by side, the lowest found by looking at each.
void merge_short(const MergeTable& merges, std::vector<std::uint32_t>& ids) {
  std::array<Merge, kLong> next;  // next[i]: the merge of ids[i] and ids[i + 1]
  const auto look_up = [&](std::size_t i) {
    const Merge* m = merges.find(pair_key(ids[i], ids[i + 1]));
    return m != nullptr ? *m : Merge{kNoRank, 0};
  };
  std::size_t n = ids.size();
  for (std::size_t i = 0; i + 1 < n; ++i) next[i] = look_up(i);
  while (n > 1) {
    const auto end = next.begin() + static_cast<std::ptrdiff_t>(n - 1);
    const auto best =
        std::min_element(next.begin(), end, [](const Merge& a, const Merge& b) { return a.rank < b.rank; });
    if (best->rank == kNoRank) break;
    const auto i = static_cast<std::size_t>(best - next.begin());
    ids[i] = best->id;
    ids.erase(ids.begin() + static_cast<std::ptrdiff_t>(i + 1));
    std::copy(best + 1, end, best);
    --n;
    if (i + 1 < n) next[i] = look_up(i);
    if (i > 0) next[i - 1] = look_up(i - 1);
  }
}

/// Long rows: symbols in a linked list, merges that apply in a heap. What has become outdated is noticed when it is
/// taken.
class LongRow {
 public:
  LongRow(const MergeTable& merges, std::vector<std::uint32_t>& ids) : merges_(merges), ids_(ids) {
    const auto n = static_cast<std::uint32_t>(ids.size());
    before_.resize(n);
    behind_.resize(n);
    for (std::uint32_t i = 0; i < n; ++i) {
      before_[i] = i - 1;  // of the first: kEnd
      behind_[i] = i + 1 < n ? i + 1 : kEnd;
    }
    for (std::uint32_t i = 0; i + 1 < n; ++i) push(i);
  }

  void run() {
    while (!heap_.empty()) {
      const Candidate c = heap_.top();
      heap_.pop();
      if (ids_[c.at] == kGone || behind_[c.at] == kEnd) continue;
      const Merge* m = merges_.find(pair_key(ids_[c.at], ids_[behind_[c.at]]));
      if (m != nullptr && m->rank == c.rank) apply(c.at, m->id);
    }
    std::erase(ids_, kGone);
  }

 private:
  static constexpr std::uint32_t kEnd = std::numeric_limits<std::uint32_t>::max();
  static constexpr std::uint32_t kGone = std::numeric_limits<std::uint32_t>::max();

  struct Candidate {
    std::uint32_t rank;
    std::uint32_t at;
    bool operator<(const Candidate& o) const { return std::tie(rank, at) > std::tie(o.rank, o.at); }  // least on top
  };

  void push(std::uint32_t at) {
    const Merge* m = merges_.find(pair_key(ids_[at], ids_[behind_[at]]));
    if (m != nullptr) heap_.push({m->rank, at});
  }

  void apply(std::uint32_t at, std::uint32_t id) {
    const std::uint32_t gone = behind_[at];
    ids_[at] = id;
    ids_[gone] = kGone;
    behind_[at] = behind_[gone];
    if (behind_[at] != kEnd) {
      before_[behind_[at]] = at;
      push(at);
    }
    if (before_[at] != kEnd) push(before_[at]);
  }

  const MergeTable& merges_;
  std::vector<std::uint32_t>& ids_;
  std::vector<std::uint32_t> before_;
  std::vector<std::uint32_t> behind_;
  std::priority_queue<Candidate> heap_;
};

}  // namespace

void apply_merges(const MergeTable& merges, std::vector<std::uint32_t>& ids) {
  if (ids.size() < 2) return;
  if (ids.size() <= kLong) {
    merge_short(merges, ids);
  } else {
    LongRow(merges, ids).run();
  }
}

void apply_merges_slowly(const MergeTable& merges, std::vector<std::uint32_t>& ids) {
  for (;;) {
    Merge best{kNoRank, 0};
    std::size_t where = 0;
    for (std::size_t i = 0; i + 1 < ids.size(); ++i) {
      const Merge* m = merges.find(pair_key(ids[i], ids[i + 1]));
      if (m != nullptr && m->rank < best.rank) {
        best = *m;
        where = i;
      }
    }
    if (best.rank == kNoRank) return;
    ids[where] = best.id;
    ids.erase(ids.begin() + static_cast<std::ptrdiff_t>(where + 1));
  }
}

}  // namespace gloss::text
