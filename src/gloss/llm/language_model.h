#pragma once
/// What a language model is asked and answers, whoever runs it: a server behind HTTP (client.h) or this program itself.
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

namespace gloss::llm {

struct Message {
  std::string role;  // system, user, assistant
  std::string content;
};

struct Request {
  std::vector<Message> messages;
  std::uint32_t max_tokens = 512;
  double temperature = 0.0;            // 0 = the most probable token each time
  std::uint64_t seed = 0;              // of sampling, where temperature > 0
  std::vector<std::string> stop = {};  // texts that end the reply; not part of it
  /// Not empty: the reply is one of these, and how probable each is is wanted (Reply::probabilities).
  std::vector<std::string> choices = {};
  /// How probable each choice is as the reply, apart from the others: of models that can say so.
  bool per_token = false;
  /// Of the only choice, a text to be read on: byte offsets in it, and what could stand there in place of what does.
  /// Asked for is how probable each of these is at each place (of models that can say so).
  std::vector<std::size_t> places = {};
  std::vector<std::string> values = {};
  /// JSON schema that the reply must follow, where the server can hold the model to one; "" = none.
  std::string schema = {};
  /// Which latent it is about, for the accounts; not part of what is asked. -1 = none.
  std::int64_t latent = -1;

  /// Whether the only choice is given to be read, not to be chosen.
  bool is_read() const { return per_token || !places.empty(); }
};

/// A reply, or the reason why there is none (a value: one refused call does not end a run).
struct Reply {
  std::string text;
  std::string failure;  // "" = answered
  std::uint32_t prompt_tokens = 0, completion_tokens = 0;
  bool from_cache = false;
  std::string hash;      // of the request body; the key of the cache
  bool refused = false;  // failed, but by the model: it answered without content; asked otherwise it may do better
  /// [choices] of the request: the probability of each given that it is one of them, sum 1; empty = the model cannot
  /// say. Of a request per_token: each choice's own probability as the geometric mean over its tokens, so that -log is
  /// its loss in nats a token. Of a request with places [places][values]: of each value that is one token there, given
  /// that one of them stands there; all 0 where none can.
  std::vector<double> probabilities = {};
  /// Of the prompt's tokens: those the server knew already, and those it keeps for later at a price of its own.
  std::uint32_t cached_tokens = 0, kept_tokens = 0;
  double dollars = 0.0;       // what it cost, by the price table; 0 = nothing, or not known
  std::string provider = {};  // who answered
  std::int64_t latent = -1;   // the request's

  bool ok() const { return failure.empty(); }
};

/// Requests = answered + failed of those that are settled; cached ones are answered without being sent; retried counts
/// the times a request was sent again. Tokens and dollars are those of replies received, not of cached ones.
struct Totals {
  std::uint64_t requests = 0, answered = 0, failed = 0, retried = 0, cached = 0;
  std::uint64_t prompt_tokens = 0, completion_tokens = 0;
  std::uint64_t cached_tokens = 0;  // of the prompts', those that the server knew already
  double dollars = 0.0;
  /// What the program itself computed: prompts without what they shared with others, and replies; 0 behind HTTP.
  std::uint64_t computed_tokens = 0;
  /// How many requests may be under way now, where the server made that fewer, and how often it did.
  std::uint32_t slowed_to = 0;
  std::uint64_t slowdowns = 0;
  /// Why requests failed, and how many for each reason; after a hundred different ones, those known only.
  std::map<std::string, std::uint64_t, std::less<>> reasons = {};

  /// Counts a settled reply, and its reason when it failed.
  void count(const Reply& reply) {
    constexpr std::size_t kMost = 100;
    ++(reply.ok() ? answered : failed);
    if (reply.ok()) return;
    const auto known = reasons.find(reply.failure);
    if (known != reasons.end())
      ++known->second;
    else if (reasons.size() < kMost)
      reasons.emplace(reply.failure, 1);
  }
};

/// Threads: one at a time.
class LanguageModel {
 public:
  LanguageModel() = default;
  LanguageModel(const LanguageModel&) = delete;
  LanguageModel& operator=(const LanguageModel&) = delete;
  virtual ~LanguageModel() = default;

  /// Its name, as it is stored with what it answered.
  virtual const std::string& model() const = 0;

  using Callback = std::function<void(Reply)>;
  /// Queues a request; `done` is called from within run(), exactly once, and may submit more.
  virtual void submit(const Request& request, Callback done) = 0;
  /// Works until nothing is queued or in flight. What `done` throws passes through. Errors: interrupted; failed when
  /// the model as a whole cannot be asked (one request that fails is a Reply with its reason).
  virtual void run() = 0;
  virtual Totals totals() const = 0;
  /// Whether a request with choices brings Reply::probabilities; finding out may take a request, once. Requires:
  /// nothing is queued. Errors: those of run().
  virtual bool tells_probabilities() { return false; }
  /// The same of Request::schema: whether replies follow it.
  virtual bool follows_schemas() { return false; }
  /// The same of requests per_token or with places: whether it tells how probable a text is that it is given.
  virtual bool reads_texts() { return false; }
};

}  // namespace gloss::llm
