#include "gloss/llm/client.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <deque>
#include <map>
#include <stdexcept>
#include <unordered_map>
#include <utility>

#include "gloss/base/error.h"
#include "gloss/base/hash.h"
#include "gloss/base/interrupt.h"
#include "gloss/llm/pace.h"
#include "gloss/llm/protocol.h"
#include "gloss/llm/protocol_json.h"
#include "gloss/llm/transport.h"

namespace gloss::llm {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr std::chrono::seconds kLongestRetryAfter{120};
constexpr milliseconds kLookUp{100};          // how often an interrupt is looked for
constexpr std::size_t kCachedPerRound = 256;  // so that replies from the cache do not starve those on the wire
constexpr std::size_t kModelsShown = 20;
constexpr std::size_t kShortestSecret = 12;  // shorter keys are dummies ("none", "EMPTY") that may stand in any text

/// One distinct body, and everybody who waits for its reply.
struct Job {
  std::string body;
  std::string hash;
  std::vector<LanguageModel::Callback> waiting;
  Request request;  // without its messages where reading the answer does not need them
  std::uint32_t tries = 0;
  std::uint64_t answers_at_first_try = 0;
  Clock::time_point first_sent, sent;
  TokenUse reserved;  // while it is on the wire
};

void check_options(const ClientOptions& o) {
  const auto bound = [](std::string_view what, std::uint64_t value, std::uint64_t low, std::uint64_t high) {
    if (value >= low && value <= high) return;
    throw Error(ErrorKind::usage, "LLM client", fmt::format("{} is {}, wanted {} to {}", what, value, low, high));
  };
  bound("requests in flight", o.in_flight, 1, 4096);
  bound("attempts", o.attempts, 1, 100);
  bound("timeout in ms", o.timeout_ms, 1, 86'400'000);
  bound("deadline in ms", o.deadline_ms, 0, 86'400'000);
  bound("first pause in ms", o.backoff_ms, 0, 60'000);
  const bool printable = std::all_of(o.api_key.begin(), o.api_key.end(), [](char c) { return c > ' ' && c < '\x7f'; });
  if (!printable) {
    throw Error(ErrorKind::usage, "LLM API key", "holds a space, a line break or a letter outside ASCII",
                "was it copied with something around it?");
  }
}

}  // namespace

struct Client::Impl {
  ClientOptions options;
  ReplyCache* cache;
  const Dialect* dialect;
  std::string base_url;
  std::string post_url;
  Transport transport;
  Pace pace;
  Totals totals;

  std::unordered_map<std::string, std::unique_ptr<Job>> jobs;  // by hash; all that are not settled
  std::deque<Job*> ready;
  std::multimap<Clock::time_point, Job*> later;  // waiting for their next try
  Clock::time_point quiet_until;                 // the server asked for a pause
  std::uint64_t answers = 0;                     // of any status: signs of life
  std::optional<Error> stop;                     // why run() is about to end
  Clock::time_point stop_by;
  TokenUse reserved;             // of what is on the wire
  double tokens_per_byte = 0.5;  // of prompts, at the most; learned from answers
  std::optional<bool> probabilities, schemas, reads;
  bool running = false;

  Impl(ClientOptions o, ReplyCache& c, const BaseUrl& base)
      : options(std::move(o)),
        cache(&c),
        dialect(&find_dialect(options.dialect)),
        base_url(base.url),
        post_url(base.url + dialect->path),
        transport({dialect->headers(options.api_key), options.in_flight, options.timeout_ms, base.loopback}),
        pace(options.in_flight) {
    if (options.provider.empty()) options.provider = base.url;
  }

  std::string hide_key(std::string text) const;
  milliseconds pause(std::string_view hash, std::uint32_t tries, const Exchange& exchange) const;
  void choose_model();
  std::string get_models();
  bool find_in_cache(Job& job);
  bool reserve(Job& job);
  void release(Job& job);
  void start_ready();
  milliseconds time_to_wait() const;
  Outcome outcome_of(const Exchange& exchange, const Request& request = {}) const;
  void count(const Job& job, Reply& reply);
  void take(const Exchange& exchange);
  void try_again(Job& job, const Exchange& exchange);
  void settle(Job& job, Reply reply);
  void end_with(Error error);
  void give_up();
};

/// Servers may repeat what they were sent.
std::string Client::Impl::hide_key(std::string text) const {
  const std::string& key = options.api_key;
  if (key.size() < kShortestSecret) return text;
  for (std::size_t at = text.find(key); at != std::string::npos; at = text.find(key, at)) {
    text.replace(at, key.size(), "[key]");
  }
  return text;
}

/// How long to wait after the `tries`-th try: what the server asks for, else by chance.
milliseconds Client::Impl::pause(std::string_view hash, std::uint32_t tries, const Exchange& exchange) const {
  if (exchange.retry_after.count() > 0) return std::min(exchange.retry_after, kLongestRetryAfter);
  return backoff(options.seed, hash, tries, options.backoff_ms);
}

/// The body of GET /models. A server that is busy or still loading is asked again; one that is not there is not.
std::string Client::Impl::get_models() {
  const std::string url = base_url + dialect->models;
  for (std::uint32_t tries = 1;; ++tries) {
    transport.get(url, nullptr);
    std::optional<Exchange> exchange;
    while (!(exchange = transport.next())) {
      stop_if_interrupted();
      transport.work(kLookUp);
    }
    if (exchange->fault == Fault::none && exchange->status == 200) return std::move(exchange->body);
    const bool fleeting = exchange->fault == Fault::none
                              ? is_worth_retrying(exchange->status)
                              : exchange->fault == Fault::broken || exchange->fault == Fault::timed_out;
    if (fleeting && tries < options.attempts) {
      const Clock::time_point until = Clock::now() + pause("models", tries, *exchange);
      while (Clock::now() < until) {
        stop_if_interrupted();
        transport.work(std::min(kLookUp, std::chrono::ceil<milliseconds>(until - Clock::now())));
      }
      continue;
    }
    if (exchange->fault == Fault::untrusted) {
      fail_system(url, fmt::format("the server's certificate is not trusted: {}", exchange->reason),
                  "is the host name right? A private authority is added with update-ca-certificates");
    }
    if (exchange->fault != Fault::none) {
      fail_system(url, fmt::format("no answer: {}", exchange->reason), "is the server running, and is the URL right?");
    }
    const Outcome outcome = outcome_of(*exchange);
    fail_system(url, outcome.reply.failure,
                outcome.ending == Ending::key_refused
                    ? "check the API key and that it belongs to this server"
                    : "wanted the base URL of an OpenAI-compatible server, which often ends in /v1");
  }
}

void Client::Impl::choose_model() {
  const std::string url = base_url + "/models";
  const std::vector<std::string> known = read_models(get_models(), url);
  if (options.model.empty()) {
    if (known.empty()) fail_input(url, "the server lists no model", "name one");
    options.model = known.front();
    return;
  }
  if (std::find(known.begin(), known.end(), options.model) != known.end()) return;
  const std::size_t shown = std::min(known.size(), kModelsShown);
  std::string list =
      fmt::format("{}", fmt::join(known.begin(), known.begin() + static_cast<std::ptrdiff_t>(shown), ", "));
  if (shown < known.size()) list += fmt::format(" and {} more", known.size() - shown);
  const std::string nearest = nearest_name(options.model, known);
  fail_input(url, fmt::format("no model '{}'; the server has: {}", options.model, known.empty() ? "none" : list),
             nearest.empty() ? "" : fmt::format("did you mean '{}'?", nearest));
}

/// Settles a request that was answered before.
bool Client::Impl::find_in_cache(Job& job) {
  std::optional<Reply> known = cache->find(job.hash);
  if (!known || !known->ok()) return false;
  ready.pop_front();
  known->from_cache = true;
  settle(job, *std::move(known));
  return true;
}

/// Sets aside what a request may cost; false when the budget does not allow it now, and `stop` when it never will.
bool Client::Impl::reserve(Job& job) {
  const TokenUse worst{static_cast<double>(job.body.size()) * tokens_per_byte, 0.0, 0.0,
                       static_cast<double>(job.request.max_tokens)};
  const TokenUse all{reserved.prompt + worst.prompt, 0.0, 0.0, reserved.output + worst.output};
  const double tokens = static_cast<double>(totals.prompt_tokens + totals.completion_tokens);
  const bool dollars_left =
      options.most_dollars <= 0.0 || totals.dollars + dollars(options.prices, all) <= options.most_dollars;
  const bool tokens_left =
      options.most_tokens == 0 || tokens + all.prompt + all.output <= static_cast<double>(options.most_tokens);
  if (dollars_left && tokens_left) {
    job.reserved = worst;
    reserved = all;
    return true;
  }
  if (transport.active() == 0) {
    const std::string spent = dollars_left
                                  ? fmt::format("{:.0f} of {} tokens are spent", tokens, options.most_tokens)
                                  : fmt::format("${:.4f} of ${} are spent", totals.dollars, options.most_dollars);
    const std::string next = dollars_left ? fmt::format("{:.0f} tokens", worst.prompt + worst.output)
                                          : fmt::format("${:.4f}", dollars(options.prices, worst));
    end_with({ErrorKind::interrupted, "", fmt::format("stopped: {}, and the next request may take {}", spent, next),
              "the same command goes on from here, with its budget anew: what was answered is kept"});
  }
  return false;
}

void Client::Impl::release(Job& job) {
  reserved.prompt -= job.reserved.prompt;
  reserved.output -= job.reserved.output;
  job.reserved = {};
}

/// Sends while there is room; what the cache knows is settled without being sent.
void Client::Impl::start_ready() {
  const Clock::time_point now = Clock::now();
  while (!later.empty() && later.begin()->first <= now) {
    ready.push_front(later.begin()->second);
    later.erase(later.begin());
  }
  std::size_t cached = 0;
  while (!ready.empty() && transport.active() < pace.limit() && now >= quiet_until && !interrupted()) {
    Job& job = *ready.front();
    if (job.tries == 0) {
      if (cached >= kCachedPerRound) return;
      if (find_in_cache(job)) {
        ++cached;
        continue;
      }
    }
    if (!reserve(job)) return;
    job.sent = now;
    if (job.tries == 0) {
      job.first_sent = now;
      job.answers_at_first_try = answers;
    }
    transport.post(post_url, job.body, &job);
    ready.pop_front();
    if (job.tries++ > 0) ++totals.retried;
  }
}

milliseconds Client::Impl::time_to_wait() const {
  const Clock::time_point now = Clock::now();
  Clock::time_point until = now + kLookUp;
  if (stop) return std::chrono::ceil<milliseconds>(std::min(until, stop_by) - now);
  if (!later.empty()) until = std::min(until, later.begin()->first);
  if (!ready.empty() && transport.active() < pace.limit()) until = std::min(until, quiet_until);
  return std::max(milliseconds(0), std::chrono::ceil<milliseconds>(until - now));
}

Outcome Client::Impl::outcome_of(const Exchange& exchange, const Request& request) const {
  Outcome outcome;
  if (exchange.fault == Fault::none) {
    outcome = dialect->read(exchange.status, exchange.body, request);
    if (!exchange.redirect.empty()) outcome.reply.failure += fmt::format(" (it points to {})", exchange.redirect);
  } else {
    outcome.ending = exchange.fault == Fault::too_large ? Ending::failed : Ending::try_again;
    outcome.reply.failure = exchange.reason;
  }
  outcome.reply.failure = hide_key(std::move(outcome.reply.failure));
  return outcome;
}

/// Tokens and dollars of a reply that came.
void Client::Impl::count(const Job& job, Reply& reply) {
  reply.dollars = dollars(options.prices, use_of(reply));
  reply.provider = options.provider;
  reply.latent = job.request.latent;
  totals.prompt_tokens += reply.prompt_tokens;
  totals.completion_tokens += reply.completion_tokens;
  totals.cached_tokens += reply.cached_tokens;
  totals.dollars += reply.dollars;
  // A request may have more tokens for its bytes than any before it had.
  constexpr double kRoom = 1.1;
  const double ratio = static_cast<double>(reply.prompt_tokens) / static_cast<double>(job.body.size());
  tokens_per_byte = std::max(tokens_per_byte, ratio * kRoom);
}

void Client::Impl::take(const Exchange& exchange) {
  Job& job = *static_cast<Job*>(exchange.tag);
  if (exchange.status != 0) ++answers;
  release(job);
  Outcome outcome = outcome_of(exchange, job.request);
  count(job, outcome.reply);
  if (exchange.status == 429 || exchange.status == 503)
    pace.busy(job.sent, Clock::now());
  else if (outcome.ending == Ending::answered)
    pace.answered();
  if (outcome.ending == Ending::key_refused) {
    ready.push_front(&job);
    end_with(
        {ErrorKind::failed, post_url, outcome.reply.failure, "check the API key and that it belongs to this server"});
    return;
  }
  if (outcome.ending == Ending::try_again) {
    const bool in_time = options.deadline_ms == 0 || Clock::now() - job.first_sent < milliseconds(options.deadline_ms);
    if (stop || (job.tries < options.attempts && in_time)) {
      try_again(job, exchange);
      return;
    }
    const bool gone = exchange.fault == Fault::unreachable || exchange.fault == Fault::untrusted;
    if (gone && answers == job.answers_at_first_try) {
      ready.push_front(&job);
      end_with({ErrorKind::failed, post_url,
                fmt::format("the server went away: {} ({} tries)", outcome.reply.failure, job.tries),
                "start it and give the same command again: what was answered is kept"});
      return;
    }
    outcome.reply.failure +=
        in_time ? fmt::format(" ({} tries)", job.tries)
                : fmt::format(" ({} tries in the {:g} s allowed)", job.tries, options.deadline_ms / 1000.0);
  }
  settle(job, std::move(outcome.reply));
}

void Client::Impl::try_again(Job& job, const Exchange& exchange) {
  const Clock::time_point next = Clock::now() + pause(job.hash, job.tries, exchange);
  // A server that names a pause means everybody.
  if (exchange.retry_after.count() > 0) quiet_until = std::max(quiet_until, next);
  later.emplace(next, &job);
}

/// Stores a reply, then tells those who wait. They may submit more, and may throw.
void Client::Impl::settle(Job& job, Reply reply) {
  reply.hash = job.hash;
  const auto entry = jobs.find(job.hash);
  const std::unique_ptr<Job> owned = std::move(entry->second);
  jobs.erase(entry);
  const bool paid = reply.prompt_tokens > 0 || reply.completion_tokens > 0;
  if (!reply.from_cache && (reply.ok() || paid)) {
    if (cache->keeps_prompts()) cache->put_prompt(reply.hash, owned->request);
    cache->put(reply);
  }
  for (const Callback& done : owned->waiting) {
    totals.count(reply);
    if (reply.from_cache) ++totals.cached;
    done(reply);
    if (reply.ok()) reply.from_cache = true;  // for whoever asked the same: not paid for again
  }
}

void Client::Impl::end_with(Error error) {
  if (stop) return;
  stop = std::move(error);
  stop_by = Clock::now() + milliseconds(options.drain_ms);
}

/// What is still on the wire or waits for another try goes back to the queue, as if it had never been sent.
void Client::Impl::give_up() {
  for (void* tag : transport.abandon()) ready.push_front(static_cast<Job*>(tag));
  reserved = {};
  for (const auto& [when, job] : later) ready.push_front(job);
  later.clear();
  for (Job* job : ready) job->tries = 0;
  stop.reset();
  running = false;
}

Client::Client(ClientOptions options, ReplyCache& cache) {
  check_options(options);
  const BaseUrl base = check_base_url(options.url);
  impl_ = std::make_unique<Impl>(std::move(options), cache, base);
  impl_->choose_model();
}

Client::~Client() = default;

const std::string& Client::model() const { return impl_->options.model; }

void Client::submit(const Request& request, Callback done) {
  std::string body = impl_->dialect->body(request, impl_->options.model);
  std::string hash = impl_->dialect->hash(body);
  ++impl_->totals.requests;
  std::unique_ptr<Job>& job = impl_->jobs[hash];
  if (!job) {
    job = std::make_unique<Job>();
    job->body = std::move(body);
    job->hash = std::move(hash);
    job->request = request;
    if (!request.is_read() && !impl_->cache->keeps_prompts()) job->request.messages.clear();
    impl_->ready.push_back(job.get());
  }
  job->waiting.push_back(std::move(done));
}

void Client::run() {
  Impl& m = *impl_;
  if (m.running) throw std::logic_error("llm::Client::run() called from a callback of run()");
  m.running = true;
  const std::unique_ptr<Impl, decltype([](Impl* i) { i->give_up(); })> at_end(&m);
  for (;;) {
    if (interrupted()) {
      m.end_with(
          {ErrorKind::interrupted, "", "interrupted", "the same command goes on from here: what was answered is kept"});
    }
    if (m.stop) {
      if (m.transport.active() == 0 || Clock::now() >= m.stop_by) throw Error(*m.stop);  // the copy outlives give_up()
    } else {
      m.start_ready();
      if (m.ready.empty() && m.later.empty() && m.transport.active() == 0) return;
    }
    m.transport.work(m.time_to_wait());
    while (const std::optional<Exchange> exchange = m.transport.next()) m.take(*exchange);
  }
}

Totals Client::totals() const {
  Totals totals = impl_->totals;
  totals.slowdowns = impl_->pace.cuts();
  if (impl_->pace.limit() < impl_->options.in_flight) totals.slowed_to = impl_->pace.limit();
  return totals;
}
std::uint32_t Client::pace() const { return impl_->pace.limit(); }
std::uint64_t Client::slowdowns() const { return impl_->pace.cuts(); }

/// Whether a server can do something, by a request whose answer shows it; what it answered well is kept in the cache.
bool Client::find_out(std::string_view ability, const Request& request, bool (*shows)(const Reply&)) {
  Impl& m = *impl_;
  Hasher hasher;
  for (const std::string_view part : {ability, std::string_view(m.post_url), std::string_view(m.options.model)})
    hasher.add(part);
  Reply finding;
  finding.hash = hasher.digest_hex();
  if (const std::optional<Reply> known = m.cache->find(finding.hash)) return known->text == "yes";
  Reply answer;
  submit(request, [&](Reply reply) { answer = std::move(reply); });
  run();
  const bool yes = answer.ok() && shows(answer);
  finding.text = yes ? "yes" : "no";
  if (answer.ok()) m.cache->put(finding);  // one that fails may do better another day
  return yes;
}

bool Client::tells_probabilities() {
  std::optional<bool>& known = impl_->probabilities;
  if (known) return *known;
  Request request;
  request.messages = {{"user", "Reply with 0 or 1 and nothing else."}};
  request.max_tokens = 1;
  request.choices = {"0", "1"};
  known = impl_->dialect->log_probability &&
          find_out("log-probabilities", request, [](const Reply& r) { return !r.probabilities.empty(); });
  return *known;
}

bool Client::reads_texts() {
  std::optional<bool>& known = impl_->reads;
  if (known) return *known;
  Request request;
  request.messages = {{"user", "Which colour has the sky?"}};
  request.max_tokens = 1;
  request.choices = {"The sky is blue."};
  request.per_token = true;
  known = impl_->dialect->echo &&
          find_out("log-probabilities of prompts", request, [](const Reply& r) { return r.probabilities.size() == 1; });
  return *known;
}

bool Client::follows_schemas() {
  std::optional<bool>& known = impl_->schemas;
  if (known) return *known;
  Request request;
  request.messages = {{"user", "Say hello."}};
  request.max_tokens = 96;  // enough for a vocabulary of single letters, with white space
  request.schema =
      R"({"type":"object","properties":{"answers":{"type":"array","items":{"type":"integer","enum":[0,1]},)"
      R"("minItems":3,"maxItems":3}},"required":["answers"],"additionalProperties":false})";
  known =
      impl_->dialect->schema && find_out("schemas", request, [](const Reply& r) { return holds_answers(r.text, 3); });
  return *known;
}

}  // namespace gloss::llm
