#pragma once
/// A language model behind HTTP. Bounded requests in flight, retries of what is safe, nothing paid for twice.
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "gloss/llm/language_model.h"
#include "gloss/llm/prices.h"

namespace gloss::llm {

/// Where replies are kept: asked before a request is sent, told before a reply is used. Calls come from one thread,
/// within run(). What was paid for is put: replies that are ok(), and others that cost tokens, which are asked again.
class ReplyCache {
 public:
  virtual ~ReplyCache() = default;
  virtual std::optional<Reply> find(std::string_view hash) = 0;
  virtual void put(const Reply& reply) = 0;
  /// Whether it keeps what was asked beside the replies.
  virtual bool keeps_prompts() const { return false; }
  /// What was asked for the reply of this hash, before that is put or once it is written for a batch; kept once.
  virtual void put_prompt(std::string_view /*hash*/, const Request& /*request*/) {}
};

struct ClientOptions {
  std::string url;                      // base, e.g. http://127.0.0.1:8000/v1
  std::string model;                    // "" = the first that GET /models lists
  std::string api_key;                  // "" = none; never logged, stored or shown
  std::uint32_t in_flight = 16;         // at most: fewer while the server says that it is busy
  std::uint32_t attempts = 5;           // of one request
  std::uint32_t timeout_ms = 120'000;   // of one exchange
  std::uint32_t deadline_ms = 900'000;  // of one request, from its first try: none begins later; 0 = none
  std::uint32_t backoff_ms = 500;       // first pause; doubles, with jitter; Retry-After wins
  std::uint32_t drain_ms = 10'000;      // how long an interrupted run() waits for what is in flight
  std::string dialect = "openai-chat";  // protocol.h, find_dialect()
  std::string provider;                 // its name in the accounts; "" = the URL
  Prices prices;
  /// What may be spent: no request is sent that could go beyond, by what it can cost at the most. 0 = no limit.
  double most_dollars = 0.0;
  std::uint64_t most_tokens = 0;  // of prompts and replies
  std::uint64_t seed = 0;         // of pauses
};

/// A server that speaks one of the dialects of protocol.h.
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
  /// Errors: interrupted - by a signal, or because the budget is spent - after the requests in flight were answered or
  /// given up and every reply stored. On a refused
  /// key (401, 403) or an unreachable server: failed. After an error the requests that were not answered are queued
  /// still.
  void run() override;
  Totals totals() const override;
  /// Asks once for the probabilities of a word; what the server can do is kept in the cache.
  bool tells_probabilities() override;
  bool follows_schemas() override;
  bool reads_texts() override;
  /// How many requests may be in flight now, and how often the server made that fewer.
  std::uint32_t pace() const;
  std::uint64_t slowdowns() const;

 private:
  bool find_out(std::string_view ability, const Request& request, bool (*shows)(const Reply&));

  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace gloss::llm
