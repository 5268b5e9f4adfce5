#pragma once
/// Which language model a command asks, how hard, and for how much.
#include <CLI/CLI.hpp>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "gloss/app/providers.h"
#include "gloss/base/reporter.h"
#include "gloss/llm/client.h"
#include "gloss/llm/native_model.h"
#include "gloss/store/store.h"

namespace gloss::app {

struct LlmOptions {
  std::string url, model;       // url: an endpoint, a provider's name, or native:DIR
  std::string providers;        // file of rows; "" = the user's own, where there is one
  std::string dialect;          // "" = the provider's
  std::uint32_t in_flight = 0;  // 0 = the provider's
  std::string prices;           // "" = the provider's
  double most_dollars = 0.0;    // 0 = no limit
  std::uint64_t most_tokens = 0;
  double deadline_s = 900.0;        // of one request with all its tries
  std::string answers = "auto";     // how windows are judged: auto, text, schema, probabilities
  std::string batch_out, batch_in;  // files of a batch interface, in place of asking
  bool no_prompts = false;          // what is asked is not kept
  std::uint64_t memory = std::uint64_t{2} << 30;
  std::string device = "cpu", dtype = "float32";

  /// The model is run by this program, from a folder.
  bool is_native() const;
  /// Requests under way at once. Errors: those of find_provider().
  std::uint32_t at_once() const;
};
/// Declares --llm and what belongs to it.
void add_llm(CLI::App& cli, LlmOptions& options);

/// The row of --llm NAME, or one for --llm URL. The key of a URL comes from GLOSS_API_KEY, else OPENAI_API_KEY.
/// Errors: usage for an unknown name (lists the known); those of read_providers().
Provider find_provider(const LlmOptions& options);
/// The endpoint, the model of a folder, or with --batch-out what writes its requests. Errors: those of llm::Client and
/// llm::NativeModel; usage for --llm-model with a folder, a key that is not in the environment, a budget in dollars
/// without prices. Lifetime: `cache` must outlive it.
std::unique_ptr<llm::LanguageModel> open_language_model(const LlmOptions& options, llm::ReplyCache& cache,
                                                        std::size_t threads);
/// Options of a client; its key goes nowhere but into requests.
llm::ClientOptions client_options(const LlmOptions& options);

/// With --batch-in: reads its replies into the store, for `stage`, and tells what they were; true when there was one.
/// Errors: usage beside --batch-out; those of llm::read_batch().
bool take_batch(const LlmOptions& options, store::Store& store, std::string_view stage, Reporter& report);
/// With --batch-out: finishes the file and tells what to do with it; true when there was one.
bool finish_batch(const LlmOptions& options, llm::LanguageModel& model, Reporter& report);

/// How windows are judged: by the probability of the answer, a window a prompt, or by text, several a prompt, perhaps
/// held to a schema.
enum class Answers : std::uint8_t { text, schema, probabilities };
/// What --answers says, or the nearest that the model can do, with the reason told to `report`. By itself it takes
/// probabilities where the model tells them and its tokens have no price, else text. Errors: usage for an unknown
/// --answers.
Answers choose_answers(const LlmOptions& options, llm::LanguageModel& model, Reporter& report);

/// "12 requests (3 from the store, 1 retried), 10.2k prompt (8k cached) and 300 completion tokens, $0.12", and how many
/// were computed here. With `total` > 0: what all will cost if the others cost as much as the `done`.
std::string describe(const llm::Totals& totals, std::uint64_t done = 0, std::uint64_t total = 0);
/// The three commonest reasons why requests failed, a line each; {} when none did.
std::vector<std::string> commonest_reasons(const llm::Totals& totals);
/// What the run has paid for so far, a line for each stage and provider.
std::vector<std::string> describe_costs(const store::Store& store);

}  // namespace gloss::app
