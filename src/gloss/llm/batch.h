#pragma once
/// Requests and replies as files of a provider's batch interface, for half the price and a day's patience.
/// Sources: OpenAI API reference, "Batch"; Anthropic API reference, "Message Batches". Method: docs/providers.md.
#include <cstdint>
#include <deque>
#include <filesystem>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "gloss/base/output_file.h"
#include "gloss/llm/client.h"
#include "gloss/llm/protocol.h"

namespace gloss::llm {

/// Writes requests, a line each, instead of sending them. What the cache knows is answered from it; everything else
/// fails with a reason and is there when the batch's replies have been read.
/// Threads: one at a time.
class BatchWriter : public LanguageModel {
 public:
  /// Errors: usage without a model; failed when the file cannot be made. Lifetime: `cache` must outlive this.
  BatchWriter(std::filesystem::path file, const Dialect& dialect, std::string model, ReplyCache& cache);

  const std::string& model() const override { return model_; }
  void submit(const Request& request, Callback done) override;
  void run() override;
  Totals totals() const override { return totals_; }
  /// Taken on trust: nobody is asked.
  bool tells_probabilities() override { return dialect_->log_probability; }

  /// Makes the file appear, whole; gives the number of its requests.
  std::uint64_t finish();

 private:
  struct Waiting {
    Reply reply;
    Callback done;
  };
  const Dialect* dialect_;
  std::string model_;
  ReplyCache* cache_;
  OutputFile out_;
  std::set<std::string, std::less<>> written_;
  std::deque<Waiting> waiting_;
  Totals totals_;
};

struct BatchRead {
  std::uint64_t answered = 0, failed = 0;
  std::uint64_t known = 0;    // answered before, left as they were
  std::string first_failure;  // "" = none
  Totals totals;
};
/// Puts the replies of a batch into the cache, at the batch's price. Any order of lines; a request that has no reply
/// stays unanswered. Errors: bad_input naming file and line: no JSON, or a line that is no result of a request written
/// here; replies of the lines before it are kept.
BatchRead read_batch(const std::filesystem::path& file, const Dialect& dialect, const Prices& prices,
                     const std::string& provider, ReplyCache& cache);

}  // namespace gloss::llm
