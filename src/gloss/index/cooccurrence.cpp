#include "gloss/index/cooccurrence.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <span>

#include "gloss/base/error.h"
#include "gloss/base/interrupt.h"
#include "gloss/base/parallel.h"

namespace gloss::index {
namespace {

constexpr std::uint32_t kNoId = 0xFFFFFFFF;

/// A latent that fires at `common` of the `together` tokens at which it or the other fires.
struct Match {
  std::uint64_t common = 0, together = 1;
  std::uint32_t latent = kNoId;

  /// Fractions by their cross products, which fit: both numbers are at most 2^32, and not both 2^32.
  bool before(const Match& other) const {
    const std::uint64_t left = common * other.together;
    const std::uint64_t right = other.common * together;
    return left != right ? left > right : latent < other.latent;
  }
};

/// The latents of one range that fire at each position, ascending.
class ByPosition {
 public:
  explicit ByPosition(const Reader& index) : index_(index), begin_(index.token_count() + 1) {}

  /// Takes latents [first, last). Requires: they have fewer than 2^32 firings.
  void fill(std::uint32_t first, std::uint32_t last) {
    std::fill(begin_.begin(), begin_.end(), 0U);
    std::uint64_t firings = 0;
    for (std::uint32_t f = first; f < last; ++f) {
      firings += index_.count(LatentId{f});
      for (const std::uint32_t position : index_.firings(LatentId{f}).position) ++begin_[check(f, position) + 1];
    }
    for (std::size_t p = 1; p < begin_.size(); ++p) begin_[p] += begin_[p - 1];
    latent_.resize(firings);
    // begin_[p] runs through position p's places and ends where p + 1 begins; shifted back below.
    for (std::uint32_t f = first; f < last; ++f) {
      for (const std::uint32_t position : index_.firings(LatentId{f}).position) latent_[begin_[position]++] = f;
    }
    std::copy_backward(begin_.begin(), begin_.end() - 1, begin_.end());
    begin_[0] = 0;
  }
  std::span<const std::uint32_t> at(std::uint32_t position) const {
    return std::span(latent_).subspan(begin_[position], begin_[position + 1] - begin_[position]);
  }
  /// Has the processor fetch what at() will read some steps after positions[i]: first the place, then what lies there.
  void fetch(std::span<const std::uint32_t> positions, std::size_t i) const {
    constexpr std::size_t kFar = 16;
    constexpr std::size_t kNear = 6;
    if (i + kFar < positions.size()) __builtin_prefetch(begin_.data() + positions[i + kFar]);
    if (i + kNear >= positions.size()) return;
    const std::uint32_t* latents = latent_.data() + begin_[positions[i + kNear]];
    __builtin_prefetch(latents);
    __builtin_prefetch(latents + 16);
  }

 private:
  std::uint32_t check(std::uint32_t f, std::uint32_t position) const {
    if (position >= index_.token_count())
      fail_input(
          index_.file_name(),
          fmt::format("latent {} fires at position {}, but there are {} tokens", f, position, index_.token_count()),
          "the file is damaged: copy it again, or run gloss cache again");
    return position;
  }

  const Reader& index_;
  std::vector<std::uint32_t> begin_;   // [tokens + 1]
  std::vector<std::uint32_t> latent_;  // [firings of the range]
};

/// How often each latent was met; emptied by going through those that were.
struct Counter {
  std::vector<std::uint32_t> count;    // [F]
  std::vector<std::uint32_t> touched;  // [F + 1], the first `met` of them
  std::size_t met = 0;

  explicit Counter(std::size_t latents) : count(latents), touched(latents + 1) {}
  void add(std::span<const std::uint32_t> latents) {
    for (const std::uint32_t f : latents) {
      // Without a branch: whether a latent is new is as good as random, and a wrong guess costs more than the store.
      touched[met] = f;
      met += count[f]++ == 0 ? 1 : 0;
    }
  }
};

/// The n best matches of every latent.
class Best {
 public:
  Best(std::size_t latents, std::size_t n) : n_(n), matches_(latents * n) {}

  void insert(std::size_t f, const Match& match) {
    Match* matches = matches_.data() + f * n_;
    if (n_ == 0 || !match.before(matches[n_ - 1])) return;
    std::size_t at = n_ - 1;
    for (; at > 0 && match.before(matches[at - 1]); --at) matches[at] = matches[at - 1];
    matches[at] = match;
  }
  Cooccurring result() const {
    Cooccurring out{n_, std::vector<std::uint32_t>(matches_.size(), kNoId), std::vector<float>(matches_.size())};
    for (std::size_t i = 0; i < matches_.size(); ++i) {
      out.latent[i] = matches_[i].latent;
      out.jaccard[i] =
          static_cast<float>(static_cast<double>(matches_[i].common) / static_cast<double>(matches_[i].together));
    }
    return out;
  }

 private:
  std::size_t n_;
  std::vector<Match> matches_;  // [F, n]
};

/// Ranges of latents whose firings fit in the memory, at least one latent each.
std::vector<std::uint32_t> range_ends(const Reader& index, std::uint64_t memory_bytes) {
  constexpr std::uint64_t kMost = 0xFFFFFFFF;
  const std::uint64_t most = std::min(kMost, memory_bytes / sizeof(std::uint32_t));
  std::vector<std::uint32_t> ends;
  std::uint64_t firings = 0;
  for (std::uint32_t f = 0; f < index.latent_count(); ++f) {
    if (firings > 0 && firings + index.count(LatentId{f}) > most) {
      ends.push_back(f);
      firings = 0;
    }
    firings += index.count(LatentId{f});
  }
  ends.push_back(index.latent_count());
  return ends;
}

}  // namespace

Cooccurring cooccurring(const Reader& index, const CooccurrenceOptions& options, Reporter& reporter) {
  constexpr std::uint32_t kLatentsPerTask = 64;
  const std::uint32_t latents = index.latent_count();
  const std::uint64_t min_count = std::max<std::uint64_t>(1, options.min_count);
  const std::size_t threads = std::max<std::size_t>(1, options.threads);
  Best best(latents, options.n);
  ByPosition by_position(index);
  std::vector<Counter> counters(threads, Counter(latents));
  const std::vector<std::uint32_t> ends = range_ends(index, options.memory_bytes);
  const std::size_t tasks = (latents + kLatentsPerTask - 1) / kLatentsPerTask;
  std::atomic<std::uint64_t> done{0};

  const auto count_latent = [&](std::uint32_t f, Counter& counter) {
    const std::uint64_t own = index.count(LatentId{f});
    if (own < min_count) return;
    const std::span<const std::uint32_t> positions = index.firings(LatentId{f}).position;
    for (std::size_t i = 0; i < positions.size(); ++i) {
      by_position.fetch(positions, i);
      counter.add(by_position.at(positions[i]));
    }
    for (const std::uint32_t other : std::span(counter.touched).first(counter.met)) {
      const std::uint64_t common = counter.count[other];
      counter.count[other] = 0;
      if (other != f && common >= min_count)
        best.insert(f, {common, own + index.count(LatentId{other}) - common, other});
    }
    counter.met = 0;
  };
  std::uint32_t first = 0;
  for (const std::uint32_t end : ends) {
    by_position.fill(first, end);
    first = end;
    parallel_for(tasks, threads, [&](std::size_t task, std::size_t worker) {
      stop_if_interrupted();
      const auto begin = static_cast<std::uint32_t>(task * kLatentsPerTask);
      for (std::uint32_t f = begin; f < std::min(latents, begin + kLatentsPerTask); ++f)
        count_latent(f, counters[worker]);
      const std::uint64_t so_far = ++done;
      reporter.progress({options.stage, latents * so_far / (tasks * ends.size()), latents, "latents", ""});
    });
  }
  return best.result();
}

}  // namespace gloss::index
