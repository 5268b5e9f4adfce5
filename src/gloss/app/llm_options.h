#pragma once
/// Which language model a command asks, and how hard.
#include <CLI/CLI.hpp>
#include <string>

#include "gloss/llm/client.h"

namespace gloss::app {

struct LlmOptions {
  std::string url, model;
  std::uint32_t in_flight = 16;
};
void add_llm(CLI::App& cli, LlmOptions& options);

/// Options of a client; the key comes from GLOSS_API_KEY, else OPENAI_API_KEY, and goes nowhere but into requests.
llm::ClientOptions client_options(const LlmOptions& options);
/// "12 requests (3 from the store, 1 retried), 10.2k prompt and 300 completion tokens".
std::string describe(const llm::Totals& totals);

}  // namespace gloss::app
