#pragma once
/// A language model behind HTTP. Bounded requests in flight, retries of what is safe, nothing paid for twice.
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "gloss/llm/language_model.h"

namespace gloss::llm {

/// Where replies are kept: asked before a request is sent, told before a reply is used. Calls come from one thread,
/// within run(). Only replies that are ok() are put.
class ReplyCache {
 public:
  virtual ~ReplyCache() = default;
  virtual std::optional<Reply> find(std::string_view hash) = 0;
  virtual void put(const Reply& reply) = 0;
};

struct ClientOptions {
  std::string url;      // base, e.g. http://127.0.0.1:8000/v1
  std::string model;    // "" = the first that GET /models lists
  std::string api_key;  // "" = none; never logged, stored or shown
  std::uint32_t in_flight = 16;
  std::uint32_t attempts = 5;  // of one request
  std::uint32_t timeout_ms = 120'000;
  std::uint32_t backoff_ms = 500;   // first pause; doubles, with jitter; Retry-After wins
  std::uint32_t drain_ms = 10'000;  // how long an interrupted run() waits for what is in flight
};

/// OpenAI-compatible chat completions over HTTP. Source: OpenAI API reference, "Create chat completion".
/// Two requests with the same body, waiting at the same time, are sent once. Redirects are not followed.
/// Threads: one at a time.
class Client : public LanguageModel {
 public:
  /// Asks GET /models once. Errors: failed when no such server answers (names URL and reason), bad_input when it does
  /// not know `model` (lists those it has), usage when an option makes no sense. Lifetime: `cache` must outlive this.
  Client(ClientOptions options, ReplyCache& cache);
  ~Client() override;
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  const std::string& model() const override;

  void submit(const Request& request, Callback done) override;
  /// Errors: interrupted, after the requests in flight were answered or given up and every reply stored. On a refused
  /// key (401, 403) or an unreachable server: failed. After an error the requests that were not answered are queued
  /// still.
  void run() override;
  Totals totals() const override;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace gloss::llm
