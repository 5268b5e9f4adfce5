#include "gloss/explain/pattern_evidence.h"

#include <algorithm>

namespace gloss::explain {
namespace {

constexpr std::uint32_t kNone = 0xFFFFFFFF;

/// What is counted of a key before it is known whether it becomes a feature.
struct Count {
  std::uint64_t key = 0;  // 0: an empty place
  std::uint32_t windows = 0, last_window = kNone, tokens = 0, feature = kNone;
  bool marked = false;
};

/// Open addressing, grown at half full; the keys are hashes already.
class KeyTable {
 public:
  KeyTable() : places_(std::size_t{1} << 12) {}

  Count& at(std::uint64_t key) {
    if (2 * used_ >= places_.size()) grow();
    Count& place = *find(places_, key);
    if (place.key == 0) {
      place.key = key;
      ++used_;
    }
    return place;
  }
  Count* known(std::uint64_t key) {
    Count* place = find(places_, key);
    return place->key == 0 ? nullptr : place;
  }

 private:
  static Count* find(std::vector<Count>& places, std::uint64_t key) {
    const std::size_t mask = places.size() - 1;
    std::size_t i = key & mask;
    while (places[i].key != 0 && places[i].key != key) i = (i + 1) & mask;
    return &places[i];
  }
  void grow() {
    std::vector<Count> larger(2 * places_.size());
    for (const Count& c : places_) {
      if (c.key != 0) *find(larger, c.key) = c;
    }
    places_ = std::move(larger);
  }

  std::vector<Count> places_;
  std::size_t used_ = 0;
};

/// A test that rules use: at a marked token, and as context at marked tokens of two windows; or an exception.
bool wanted(const Count& count, const Evidence::Kind& kind) {
  if (count.marked && (kind.where == Where::here || count.windows >= 2)) return true;
  return count.tokens >= 2 && may_except(kind);
}

}  // namespace

bool may_except(const Evidence::Kind& kind) {
  if (kind.where == Where::here) return kind.what == What::so_far || kind.what == What::word;
  return kind.where == Where::before && kind.distance == 1 && kind.what == What::token;
}

Evidence::Evidence(const Vocabulary::Impl& vocabulary, std::span<const LearnWindow> activating,
                   std::span<const LearnWindow> silent, float tau)
    : texts_(activating.size() + silent.size()), activating_(activating.size()) {
  for (std::size_t w = 0; w < texts_.size(); ++w) {
    texts_[w].read(vocabulary, w < activating_ ? activating[w].ids : silent[w - activating_].ids);
  }
  label(activating, tau);
  label(silent, tau);
  find_features();
  index_features();
}

void Evidence::label(std::span<const LearnWindow> windows, float tau) {
  for (const LearnWindow& window : windows) {
    const auto number = static_cast<std::uint32_t>(first_token_.size());
    const std::size_t first = tokens_.size();
    first_token_.push_back(static_cast<std::uint32_t>(first));
    std::size_t marks = 0;
    for (std::size_t t = 0; t < window.ids.size(); ++t) {
      const float a = t < window.activation.size() ? window.activation[t] : 0.0F;
      const Label label = !(a > 0.0F) ? Label::silent : a >= tau * window.max ? Label::marked : Label::weak;
      tokens_.push_back({label, number, 0.0F, a});
      marks += label == Label::marked ? 1 : 0;
      silent_tokens_ += label == Label::silent ? 1 : 0;
    }
    marked_ += marks;
    for (std::size_t i = first; i < tokens_.size(); ++i) {
      if (tokens_[i].label == Label::marked) tokens_[i].weight = 1.0F / static_cast<float>(marks);
    }
  }
}

void Evidence::find_features() {
  struct Held {
    std::uint64_t key;
    Kind kind;
  };
  std::vector<Held> all;  // of every token, one after another
  std::vector<std::size_t> begin{0};
  std::vector<Candidate> candidates;
  KeyTable table;
  for (std::size_t i = 0; i < tokens_.size(); ++i) {
    const Token& token = tokens_[i];
    candidates_at(texts_[token.window], i - first_token_[token.window], candidates);
    for (const Candidate& c : candidates) {
      const Held held{c.key() | 1U, {c.where, c.distance, c.what}};  // never 0
      all.push_back(held);
      const bool marked = token.label == Label::marked;
      if (!marked && !may_except(held.kind)) continue;
      Count& count = table.at(held.key);
      ++count.tokens;
      if (!marked) continue;
      count.marked = true;
      count.windows += count.last_window == token.window ? 0 : 1;
      count.last_window = token.window;
    }
    begin.push_back(all.size());
  }

  offsets_.push_back(0);
  for (std::size_t i = 0; i < tokens_.size(); ++i) {
    const std::size_t from = held_.size();
    for (std::size_t k = begin[i]; k < begin[i + 1]; ++k) {
      Count* count = table.known(all[k].key);
      if (count == nullptr || !wanted(*count, all[k].kind)) continue;
      if (count->feature == kNone) {
        count->feature = static_cast<Feature>(features_.size());
        features_.push_back({all[k].kind, count->marked, count->windows, static_cast<std::uint32_t>(i),
                             static_cast<std::uint32_t>(k - begin[i])});
      }
      held_.push_back(count->feature);
    }
    const auto mine = held_.begin() + static_cast<std::ptrdiff_t>(from);
    std::sort(mine, held_.end());
    held_.erase(std::unique(mine, held_.end()), held_.end());
    offsets_.push_back(static_cast<std::uint32_t>(held_.size()));
  }
}

void Evidence::index_features() {
  postings_.resize(features_.size());
  context_offsets_.push_back(0);
  for (std::size_t i = 0; i < tokens_.size(); ++i) {
    for (const Feature f : features_of(i)) {
      if (is_pivot(f)) postings_[f].push_back(static_cast<std::uint32_t>(i));
      if (is_context(f)) contexts_.push_back(f);
    }
    context_offsets_.push_back(static_cast<std::uint32_t>(contexts_.size()));
  }
}

Test Evidence::test(Feature f) const {
  const Known& known = features_[f];
  const std::uint32_t window = tokens_[known.first].window;
  std::vector<Candidate> candidates;
  candidates_at(texts_[window], known.first - first_token_[window], candidates);
  return candidates[known.at].test();
}

bool Evidence::holds(Feature f, std::size_t token) const {
  const std::span<const Feature> held = features_of(token);
  return std::binary_search(held.begin(), held.end(), f);
}

}  // namespace gloss::explain
