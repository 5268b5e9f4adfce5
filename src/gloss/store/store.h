#pragma once
/// What a run knows so far: RUN/results.db, SQLite. Schema: docs/formats/results.md.
#include <array>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "gloss/base/ids.h"
#include "gloss/examples/examples.h"
#include "gloss/explain/explanation.h"
#include "gloss/llm/client.h"
#include "gloss/score/judgement.h"
#include "gloss/score/paired.h"

namespace gloss::store {

/// A latent as cached: one row each, written when it is first looked at.
struct LatentRow {
  std::string hookpoint;
  LatentId latent{};
  std::uint64_t firing_count = 0;
  double density = 0.0;
  float max_activation = 0.0F;
  std::uint32_t window_count = 0;
  examples::Status status{};
  std::uint32_t silent_wanted = 0, silent_found = 0;  // silent test windows
};

/// The answered judgements of one explainer, scorer and judge that have a probability, in tenths of it.
struct CalibrationTally {
  std::string explainer, scorer, judge;
  score::CalibrationBins bins;
};

/// How the explanations of one explainer did on silent windows of one kind, over all latents.
struct NegativeTally {
  std::string explainer, scorer, judge;
  examples::WindowKind kind{};
  std::uint8_t rank = 0;  // of the neighbour; 0 = of no neighbour, or of all together
  std::uint64_t answered = 0, right = 0, failed = 0;
  double mean_similarity = 0.0;  // 0 of random ones
};

struct ExplanationRow {
  std::string hookpoint, explainer;
  explain::Explanation explanation;
};

struct ScoreRow {
  std::string hookpoint, explainer, scorer, judge;
  score::LatentScore score;
};

/// What was paid for: replies, their tokens and dollars.
struct CostRow {
  std::string stage, provider;  // "" = not said
  std::uint64_t replies = 0, prompt_tokens = 0, cached_tokens = 0, completion_tokens = 0;
  double dollars = 0.0;
};

/// The latents of a hookpoint that a filter found to be of a kind, ascending, each with the number that tells it.
struct KindRow {
  std::string rule;  // what was asked of that number
  std::vector<std::pair<LatentId, double>> latents;
};

/// A reply that was kept, answer or failure, and what it is known to have cost.
struct CallRow {
  std::string hash, stage, provider, text, failure;  // "" = not said
  std::uint64_t prompt_tokens = 0, completion_tokens = 0;
  double dollars = 0.0;
  std::vector<std::int64_t> messages;  // of the prompt, for Store::message(); none where it was not kept
};

struct StoreOptions {
  std::uint32_t busy_timeout_ms = 5'000;  // how long to wait for another process's lock
  std::uint64_t max_bytes = 0;            // the file grows no further; 0 = as the disk allows
  bool read_only = false;                 // it must be there, and is not changed; what would change it fails
};

/// How many rows there are, baselines left out.
struct ResultCounts {
  std::uint64_t explanations = 0, scores = 0;
};

/// Threads: one at a time. One process writes; others may read (WAL).
class Store : public llm::ReplyCache {
 public:
  /// Creates the file and its tables when missing; brings a file of an older schema to this one's. Errors: bad_input
  /// when it is no results.db or of a newer schema; failed (disk).
  explicit Store(const std::filesystem::path& file) : Store(file, StoreOptions{}) {}
  Store(const std::filesystem::path& file, const StoreOptions& options);
  ~Store() override;

  /// Everything between construction and commit() is one transaction; without commit() it is rolled back. One inside
  /// another takes part in it: its own rollback undoes its own part, its commit lasts when the outer one's does.
  /// Errors: failed: disk full, or another process is writing; what was committed before is kept.
  class Transaction {
   public:
    explicit Transaction(Store& store);
    ~Transaction();
    Transaction(const Transaction&) = delete;
    Transaction& operator=(const Transaction&) = delete;
    void commit();

   private:
    Store* store_;
    std::uint32_t depth_;
    bool open_ = true;
  };

  /// Reads the whole file: SQLite's own check of its pages and indexes, and that no row refers to one that is not
  /// there. Errors: bad_input with the first findings.
  void verify() const;
  /// Calls visit(hookpoint, latent, position of the first token) for the window of every judgement that is of one.
  void each_judged_window(
      const std::function<void(std::string_view hookpoint, LatentId latent, std::uint64_t start)>& visit) const;

  void put_latent(const LatentRow& row);
  std::vector<LatentRow> latents(std::string_view hookpoint) const;  // "" = all
  std::optional<LatentRow> latent(std::string_view hookpoint, LatentId latent) const;

  /// Replaces what was found of the same (hookpoint, kind). `kind` is a name of index::latent_kinds().
  void put_kind(std::string_view hookpoint, std::string_view kind, const KindRow& row);
  /// Nothing when it was never looked for.
  std::optional<KindRow> kind(std::string_view hookpoint, std::string_view kind) const;
  /// What one latent was found to be, and the numbers that tell it, by name.
  std::vector<std::pair<std::string, double>> kinds_of(std::string_view hookpoint, LatentId latent) const;

  /// Replaces an explanation of the same (hookpoint, latent, explainer) together with its scores and judgements.
  void put_explanation(const ExplanationRow& row);
  /// Filters with "" take all; ordered by hookpoint, latent, explainer.
  std::vector<ExplanationRow> explanations(std::string_view hookpoint, std::string_view explainer) const;
  bool has_explanations() const;
  ResultCounts counts() const;
  /// Another number whenever another process, or another Store, has changed the file; own changes leave it.
  std::int64_t data_version() const;
  /// Latents of which an explainer told something, or failed to; ascending.
  std::vector<LatentId> explained_latents(std::string_view hookpoint) const;
  std::optional<ExplanationRow> explanation(std::string_view hookpoint, LatentId latent,
                                            std::string_view explainer) const;
  /// The same, one at a time, for runs too large to hold. `visit` must not ask the store again.
  void each_explanation(std::string_view hookpoint, std::string_view explainer,
                        const std::function<void(const ExplanationRow&)>& visit) const;
  /// Of one latent, ordered by explainer.
  std::vector<ExplanationRow> explanations_of(std::string_view hookpoint, LatentId latent) const;

  /// Replaces score and judgements of the same (hookpoint, latent, explainer, scorer, judge).
  /// Errors: bad_input when two judgements are of the same window.
  void put_score(const ScoreRow& row, const std::vector<score::Judgement>& judgements);
  std::vector<ScoreRow> scores(std::string_view hookpoint, std::string_view explainer, std::string_view scorer) const;
  /// The same, one at a time, for runs too large to hold.
  void each_score(std::string_view hookpoint, std::string_view explainer, std::string_view scorer,
                  const std::function<void(const ScoreRow&)>& visit) const;
  /// Of one latent, ordered by explainer, scorer, judge.
  std::vector<ScoreRow> scores_of(std::string_view hookpoint, LatentId latent) const;
  /// Ordered by window position.
  std::vector<score::Judgement> judgements(std::string_view hookpoint, LatentId latent, std::string_view explainer,
                                           std::string_view scorer, std::string_view judge) const;
  bool has_score(std::string_view hookpoint, LatentId latent, std::string_view explainer, std::string_view scorer,
                 std::string_view judge) const;

  /// Where the silent windows of a latent come from that are not random ones. Adds to what is kept
  /// of other windows: scorers have silent windows of their own.
  void put_negatives(std::string_view hookpoint, LatentId latent, const std::vector<examples::Window>& windows);
  /// Judgements of silent windows, by kind, and where `by_rank` neighbours' windows by their rank. Ordered by scorer,
  /// explainer, judge, kind, rank.
  std::vector<NegativeTally> negative_tallies(bool by_rank) const;

  /// Of those that have any. Ordered by scorer, explainer, judge.
  std::vector<CalibrationTally> calibration_tallies() const;

  /// Named settings of stages (the fingerprint of what made the explanations, for example).
  void put_setting(std::string_view key, std::string_view value);
  std::optional<std::string> setting(std::string_view key) const;
  /// Those whose key begins with `prefix`, in the order of their keys.
  std::vector<std::pair<std::string, std::string>> settings(std::string_view prefix) const;

  /// Only replies that are answers.
  std::optional<llm::Reply> find(std::string_view hash) override;
  /// Keeps a reply, and what it cost where the reply says who gave it (Reply::provider), in one transaction. A failure
  /// is never found, but never takes the place of an answer either.
  void put(const llm::Reply& reply) override;
  /// Whether put_prompt() keeps anything; not at first. What is kept holds what a model was told, and no API key.
  void keep_prompts(bool keep);
  bool keeps_prompts() const override;
  /// The messages of the request, and what it has beside them as messages of the roles "choices" (a line each) and
  /// "text to read". Nothing when there is a prompt for this hash.
  void put_prompt(std::string_view hash, const llm::Request& request) override;
  /// A message of a prompt. Errors: bad_input when the file has none of that id.
  llm::Message message(std::int64_t id) const;
  /// Whose replies are put from now on, for the accounts: "explain", "score"; a hookpoint or "".
  void set_stage(std::string_view stage, std::string_view hookpoint);
  /// Sums by stage and provider, in the order of their names.
  std::vector<CostRow> costs() const;
  /// Sum of what was asked about one latent.
  CostRow cost_of(std::string_view hookpoint, LatentId latent) const;
  /// What was asked about one latent: the calls behind its explanations and judgements and those that it was charged
  /// for, in the order in which they were made, at most `most`.
  std::vector<CallRow> calls_of(std::string_view hookpoint, LatentId latent, std::size_t most) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace gloss::store
