#include "gloss/app/llm_options.h"

#include <fmt/format.h>

#include <cstdlib>

#include "gloss/base/quantity.h"

namespace gloss::app {

void add_llm(CLI::App& cli, LlmOptions& options) {
  cli.add_option("--llm", options.url,
                 "OpenAI-compatible endpoint, e.g. http://127.0.0.1:8000/v1; the key is read from GLOSS_API_KEY or "
                 "OPENAI_API_KEY");
  cli.add_option("--llm-model", options.model, "model name there; the first one it lists by default");
  cli.add_option("--in-flight", options.in_flight, "requests under way at once")->check(CLI::Range(1, 4096));
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
  return fmt::format("{} requests ({} from the store, {} retried, {} failed), {} prompt and {} completion tokens",
                     t.requests, t.cached, t.retried, t.failed, format_count(static_cast<double>(t.prompt_tokens)),
                     format_count(static_cast<double>(t.completion_tokens)));
}

}  // namespace gloss::app
