#pragma once
/// Which language model a command asks, and how hard.
#include <CLI/CLI.hpp>
#include <cstdint>
#include <memory>
#include <string>

#include "gloss/llm/client.h"
#include "gloss/llm/native_model.h"

namespace gloss::app {

struct LlmOptions {
  std::string url, model;  // url: an endpoint, or native:DIR
  std::uint32_t in_flight = 16;
  std::uint64_t memory = std::uint64_t{2} << 30;
  std::string device = "cpu", dtype = "float32";

  /// The model is run by this program, from a folder.
  bool is_native() const;
};
/// Declares --llm, --llm-model, --in-flight, --llm-memory, --device and --dtype.
void add_llm(CLI::App& cli, LlmOptions& options);

/// The endpoint, or the model of a folder. Errors: those of llm::Client and llm::NativeModel; usage for --llm-model
/// with a folder. Lifetime: `cache` must outlive it.
std::unique_ptr<llm::LanguageModel> open_language_model(const LlmOptions& options, llm::ReplyCache& cache,
                                                        std::size_t threads);
/// Options of a client; the key comes from GLOSS_API_KEY, else OPENAI_API_KEY, and goes nowhere but into requests.
llm::ClientOptions client_options(const LlmOptions& options);
/// "12 requests (3 from the store, 1 retried), 10.2k prompt and 300 completion tokens", and how many were computed
/// here.
std::string describe(const llm::Totals& totals);

}  // namespace gloss::app
