#pragma once
/// A language model that this program runs itself: the engine of the subject models, with texts that begin alike read
/// once.
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>

#include "gloss/llm/client.h"
#include "gloss/llm/language_model.h"

namespace gloss::llm {

struct NativeOptions {
  std::filesystem::path folder;   // Hugging Face folder: config.json, weights, tokenizer, chat template
  std::string device = "cpu";     // as model::LoadOptions
  std::string dtype = "float32";  // as model::LoadOptions
  std::uint32_t batch = 32;       // replies generated side by side, 1 to 4096
  std::uint64_t memory_bytes = std::uint64_t{2} << 30;  // of keys and values
};

/// Requests wait until run(). Those that begin with the same tokens share what is computed of them: the queue's prompts
/// are sorted, and every beginning that two or more have in common is read once and forked - the system message and
/// the examples for all, then an explanation for all its windows. What was shared stays for later requests, as long as
/// the memory lasts.
/// A request with choices generates nothing: the probability of each choice is the product of those of its tokens, one
/// after the other, at the place of the reply, with or without a space before it, and all are divided by their sum.
/// The text is that of the most probable choice, the first of equals.
/// A reply depends on the model, the chat template and its own request: sampling draws from the request's seed and
/// text. What else is queued can change the logits by rounding alone (of the order of 1e-6 of their size), and so a
/// greedy reply only where two tokens are that near.
/// Threads: one at a time.
class NativeModel : public LanguageModel {
 public:
  /// Errors: bad_input naming file and reason: as model::SubjectModel::load, text::Tokenizer::load and
  /// ChatTemplate::load; usage for an option out of bounds. Lifetime: `cache` must outlive this.
  NativeModel(const NativeOptions& options, ReplyCache& cache);
  ~NativeModel() override;
  NativeModel(const NativeModel&) = delete;
  NativeModel& operator=(const NativeModel&) = delete;

  /// Its folder's name and the beginning of its fingerprint: "small@1a2b3c4d".
  const std::string& model() const override;

  void submit(const Request& request, Callback done) override;
  /// Errors: interrupted: what was answered is kept, the rest is queued still; failed (no memory). A request that the
  /// model cannot read (too long, refused by the chat template) is a failed reply.
  void run() override;
  Totals totals() const override;
  bool tells_probabilities() override { return true; }
  bool reads_texts() override { return true; }

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace gloss::llm
