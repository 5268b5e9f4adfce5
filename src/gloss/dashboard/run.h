#pragma once
/// A run as the dashboard has it: the table of its latents in memory, and the ways to what lies behind each of them.
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "gloss/base/reporter.h"
#include "gloss/dashboard/job.h"
#include "gloss/dashboard/latent_table.h"
#include "gloss/examples/examples.h"
#include "gloss/index/latent_weights.h"
#include "gloss/report/run_data.h"
#include "gloss/score/judge.h"
#include "gloss/store/store.h"
#include "gloss/text/token_file.h"
#include "gloss/text/tokenizer.h"

namespace gloss::dashboard {

/// What is shown of a run. Callbacks are called by one thread at a time.
struct RunInput {
  std::string name;
  std::vector<std::pair<std::string, std::string>> facts;  // in the order shown
  std::vector<TableHookpoint> hookpoints;
  std::map<std::string, index::LatentWeightsReader> weights;  // of the hookpoints that have them
  std::unique_ptr<store::Store> store;
  text::Tokenizer tokenizer;
  text::TokenFile tokens;
  std::uint32_t window = 32;         // W; divides the contexts
  score::QuestionOptions questions;  // as the scores were made
  /// The windows of a latent as explainers and scorers had them; none before anything was explained.
  std::function<examples::LatentExamples(std::string_view hookpoint, LatentId)> examples;
  /// For the figures: everything, or of these latents alone; none before anything was explained.
  std::function<report::RunData(const report::LatentSet* only)> report;
  std::optional<MeaningSearch> meaning;                   // none: no search by meaning
  std::map<std::string, std::filesystem::path> circuits;  // by name: circuit.json
  std::function<std::vector<Job>()> jobs;                 // what other processes do with the run; none: not known
};

/// What came into the store by others since a run was opened.
struct Changes {
  bool any = false;
  std::uint64_t explanations = 0, scores = 0;  // more than there were
};

/// Threads: the table, tokens, tokenizer and indexes by any; store and callbacks under lock().
class Run {
 public:
  /// Errors: bad_input: files of the run that disagree.
  Run(RunInput input, Reporter& reporter);

  const RunInput& input() const { return input_; }
  const LatentTable& table() const { return table_; }
  LatentTable& table() { return table_; }
  /// Another one for each Run of a process.
  std::uint64_t serial() const { return serial_; }
  /// Unless `wait`, those last known while another thread has the store. Threads: any.
  Changes changes(bool wait) const;
  std::unique_lock<std::mutex> lock() const { return std::unique_lock(mutex_); }
  store::Store& store() const { return *input_.store; }
  /// How often each token of the vocabulary stands in the text. [V]
  const std::vector<std::uint32_t>& token_counts() const;

 private:
  RunInput input_;
  std::uint64_t serial_;
  std::int64_t version_;  // of the store, before the table was read
  store::ResultCounts counted_at_first_;
  LatentTable table_;
  mutable std::mutex mutex_;
  mutable std::mutex changes_mutex_;   // what follows
  mutable std::int64_t last_version_;  // of the store, when changes_ were told
  mutable Changes changes_;
  mutable std::once_flag counted_;
  mutable std::vector<std::uint32_t> token_counts_;
};

}  // namespace gloss::dashboard
