#include "gloss/llm/prefix_plan.h"

#include <algorithm>

namespace gloss::llm {
namespace {

class Planner {
 public:
  Planner(std::span<const std::span<const TokenId>> texts, const std::vector<bool>& known, std::uint32_t worth)
      : texts_(texts), known_(known), worth_(worth) {}

  std::vector<ReadStep> plan() {
    split(0, texts_.size(), 0, 0, ReadStep::kNone);
    return std::move(steps_);
  }

 private:
  /// Tokens that the first and last of sorted texts, and so all of them, have in common; none of a text's last.
  std::uint32_t common(std::size_t first, std::size_t last) const {
    const std::span<const TokenId> a = texts_[first], b = texts_[last - 1];
    std::size_t shortest = std::numeric_limits<std::size_t>::max();
    for (std::size_t i = first; i < last; ++i) shortest = std::min(shortest, texts_[i].size() - (known_[i] ? 0 : 1));
    const auto [end, unused] = std::mismatch(a.begin(), a.end(), b.begin(), b.end());
    return static_cast<std::uint32_t>(std::min<std::size_t>(shortest, static_cast<std::size_t>(end - a.begin())));
  }

  std::size_t add(std::size_t text, std::uint32_t begin, std::uint32_t end, std::size_t parent) {
    ReadStep step{text, begin, end, parent};
    step.level = parent == ReadStep::kNone ? 0 : steps_[parent].level + 1;
    steps_.push_back(step);
    return steps_.size() - 1;
  }

  /// Texts [first, last) have their first `same` tokens in common; `read` of them were read by `parent`.
  void split(std::size_t first, std::size_t last, std::uint32_t same, std::uint32_t read, std::size_t parent) {
    const auto known = std::find(known_.begin() + static_cast<std::ptrdiff_t>(first),
                                 known_.begin() + static_cast<std::ptrdiff_t>(last), true) -
                       known_.begin();
    const bool any_known = static_cast<std::size_t>(known) < last;
    const bool all_known = std::count(known_.begin() + static_cast<std::ptrdiff_t>(first),
                                      known_.begin() + static_cast<std::ptrdiff_t>(last),
                                      true) == static_cast<std::ptrdiff_t>(last - first);
    if (all_known) return;
    if (last - first == 1) {
      add(first, read, static_cast<std::uint32_t>(texts_[first].size()), parent);
      return;
    }
    const std::uint32_t shared = common(first, last);
    if (shared >= read + worth_) {
      parent = add(any_known ? static_cast<std::size_t>(known) : first, read, shared, parent);
      steps_[parent].shared = true;
      steps_[parent].is_known = any_known;
      read = shared;
    }
    same = std::max(same, shared);
    // Groups by the next token; texts that are the same up to their last token stay apart.
    for (std::size_t begin = first; begin < last;) {
      std::size_t end = begin + 1;
      const auto next = [&](std::size_t i) { return texts_[i].size() > same ? &texts_[i][same] : nullptr; };
      while (end < last && next(begin) != nullptr && next(end) != nullptr && *next(begin) == *next(end) &&
             texts_[begin].size() > same + 1) {
        ++end;
      }
      split(begin, end, same + 1, read, parent);
      begin = end;
    }
  }

  std::span<const std::span<const TokenId>> texts_;
  const std::vector<bool>& known_;
  std::uint32_t worth_;
  std::vector<ReadStep> steps_;
};

}  // namespace

std::vector<ReadStep> plan_reading(std::span<const std::span<const TokenId>> texts, const std::vector<bool>& known,
                                   std::uint32_t worth) {
  if (texts.empty()) return {};
  return Planner(texts, known, worth).plan();
}

}  // namespace gloss::llm
