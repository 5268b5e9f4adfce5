#include "gloss/dashboard/run.h"

#include <atomic>
#include <utility>

namespace gloss::dashboard {

namespace {

std::uint64_t next_serial() {
  static std::atomic<std::uint64_t> last{0};
  return ++last;
}

std::uint64_t more(std::uint64_t now, std::uint64_t before) { return now > before ? now - before : 0; }

}  // namespace

Run::Run(RunInput input, Reporter& reporter)
    : input_(std::move(input)),
      serial_(next_serial()),
      version_(input_.store->data_version()),
      counted_at_first_(input_.store->counts()),
      table_(input_.hookpoints, *input_.store, input_.tokenizer, reporter, input_.meaning),
      last_version_(version_) {}

Changes Run::changes(bool wait) const {
  std::unique_lock store_free(mutex_, std::defer_lock);
  if (wait) {
    store_free.lock();
  } else {
    static_cast<void>(store_free.try_lock());
  }
  const std::lock_guard lock(changes_mutex_);
  if (!store_free) return changes_;
  const std::int64_t version = input_.store->data_version();
  if (version == last_version_) return changes_;
  last_version_ = version;
  const store::ResultCounts now = input_.store->counts();
  changes_ = {version != version_, more(now.explanations, counted_at_first_.explanations),
              more(now.scores, counted_at_first_.scores)};
  return changes_;
}

const std::vector<std::uint32_t>& Run::token_counts() const {
  std::call_once(counted_, [this] {
    token_counts_.assign(input_.tokenizer.vocabulary_size(), 0);
    for (const TokenId token : input_.tokens.tokens()) {
      if (to_index(token) < token_counts_.size()) ++token_counts_[to_index(token)];
    }
  });
  return token_counts_;
}

}  // namespace gloss::dashboard
