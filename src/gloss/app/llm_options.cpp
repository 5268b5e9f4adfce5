#include "gloss/app/llm_options.h"

#include <fmt/format.h>

#include <cstdlib>

#include "gloss/app/command.h"
#include "gloss/base/error.h"
#include "gloss/base/quantity.h"
#include "gloss/model/subject_model.h"

namespace gloss::app {
namespace {

constexpr std::string_view kNative = "native:";

}  // namespace

bool LlmOptions::is_native() const { return url.starts_with(kNative); }

void add_llm(CLI::App& cli, LlmOptions& options) {
  cli.add_option("--llm", options.url,
                 "OpenAI-compatible endpoint, e.g. http://127.0.0.1:8000/v1; the key is read from GLOSS_API_KEY or "
                 "OPENAI_API_KEY. Or native:DIR: gloss itself runs the chat model of this Hugging Face folder");
  cli.add_option("--llm-model", options.model, "model name there; the first one it lists by default");
  cli.add_option("--in-flight", options.in_flight,
                 "requests under way at once; replies that a native model writes side by side")
      ->check(CLI::Range(1, 4096));
  add_quantity(cli, "--llm-memory", options.memory, "memory of a native model for what it has read, in bytes");
  cli.add_option("--device", options.device, "of a native model: cpu or cuda");
  cli.add_option("--dtype", options.dtype, "what a native model computes in: float32, bfloat16, float16");
}

std::unique_ptr<llm::LanguageModel> open_language_model(const LlmOptions& options, llm::ReplyCache& cache,
                                                        std::size_t threads) {
  if (!options.is_native()) return std::make_unique<llm::Client>(client_options(options), cache);
  if (!options.model.empty()) {
    throw Error(ErrorKind::usage, "--llm-model", fmt::format("'{}' beside --llm {}", options.model, options.url),
                "the folder says which model it is: leave --llm-model out");
  }
  const std::string folder = options.url.substr(kNative.size());
  if (folder.empty()) throw Error(ErrorKind::usage, "--llm", "native: without a folder", "--llm native:DIR");
  model::set_threads(threads);
  llm::NativeOptions native;
  native.folder = folder;
  native.device = options.device;
  native.dtype = options.dtype;
  native.batch = options.in_flight;
  native.memory_bytes = options.memory;
  return std::make_unique<llm::NativeModel>(native, cache);
}

llm::ClientOptions client_options(const LlmOptions& options) {
  llm::ClientOptions client;
  client.url = options.url;
  client.model = options.model;
  client.in_flight = options.in_flight;
  for (const char* name : {"GLOSS_API_KEY", "OPENAI_API_KEY"}) {
    const char* key = std::getenv(name);
    if (key != nullptr && client.api_key.empty()) client.api_key = key;
  }
  return client;
}

std::string describe(const llm::Totals& t) {
  const auto count = [](std::uint64_t n) { return format_count(static_cast<double>(n)); };
  std::string text =
      fmt::format("{} requests ({} from the store, {} retried, {} failed), {} prompt and {} completion tokens",
                  t.requests, t.cached, t.retried, t.failed, count(t.prompt_tokens), count(t.completion_tokens));
  if (t.computed_tokens > 0) text += fmt::format(", {} of them computed", count(t.computed_tokens));
  return text;
}

}  // namespace gloss::app
