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
#include "gloss/base/interrupt.h"
#include "gloss/base/random.h"
#include "gloss/llm/protocol.h"
#include "gloss/llm/transport.h"

namespace gloss::llm {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr milliseconds kLongestPause{60'000};
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
  std::uint32_t tries = 0;
  std::uint64_t answers_at_first_try = 0;
};

void check_options(const ClientOptions& o) {
  const auto bound = [](std::string_view what, std::uint64_t value, std::uint64_t low, std::uint64_t high) {
    if (value >= low && value <= high) return;
    throw Error(ErrorKind::usage, "LLM client", fmt::format("{} is {}, wanted {} to {}", what, value, low, high));
  };
  bound("requests in flight", o.in_flight, 1, 4096);
  bound("attempts", o.attempts, 1, 100);
  bound("timeout in ms", o.timeout_ms, 1, 86'400'000);
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
  std::string base_url;
  std::string chat_url;
  Transport transport;
  Totals totals;

  std::unordered_map<std::string, std::unique_ptr<Job>> jobs;  // by hash; all that are not settled
  std::deque<Job*> ready;
  std::multimap<Clock::time_point, Job*> later;  // waiting for their next try
  Clock::time_point quiet_until;                 // the server asked for a pause
  std::uint64_t answers = 0;                     // of any status: signs of life
  std::optional<Error> stop;                     // why run() is about to end
  Clock::time_point stop_by;
  Random jitter{
      static_cast<std::uint64_t>(Clock::now().time_since_epoch().count())};  // of pauses; results do not see it
  bool running = false;

  Impl(ClientOptions o, ReplyCache& c, const BaseUrl& base)
      : options(std::move(o)),
        cache(&c),
        base_url(base.url),
        chat_url(base.url + "/chat/completions"),
        transport({options.api_key, options.in_flight, options.timeout_ms, base.loopback}) {}

  std::string hide_key(std::string text) const;
  milliseconds pause(std::uint32_t tries, const Exchange& exchange);
  void choose_model();
  std::string get_models();
  void start_ready();
  milliseconds time_to_wait() const;
  Outcome outcome_of(const Exchange& exchange) const;
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

/// How long to wait after the `tries`-th try: what the server asks for, else doubling from the first pause, half of it
/// by chance.
milliseconds Client::Impl::pause(std::uint32_t tries, const Exchange& exchange) {
  if (exchange.retry_after.count() > 0) return std::min(exchange.retry_after, kLongestRetryAfter);
  const std::uint32_t doublings = std::min(tries > 0 ? tries - 1 : 0, 16U);
  const milliseconds whole = std::min(milliseconds(std::uint64_t{options.backoff_ms} << doublings), kLongestPause);
  const double part = 0.5 + 0.5 * jitter.uniform();
  return milliseconds(static_cast<milliseconds::rep>(static_cast<double>(whole.count()) * part));
}

/// The body of GET /models. A server that is busy or still loading is asked again; one that is not there is not.
std::string Client::Impl::get_models() {
  const std::string url = base_url + "/models";
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
      const Clock::time_point until = Clock::now() + pause(tries, *exchange);
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

/// Sends while there is room; what the cache knows is settled without being sent.
void Client::Impl::start_ready() {
  const Clock::time_point now = Clock::now();
  while (!later.empty() && later.begin()->first <= now) {
    ready.push_front(later.begin()->second);
    later.erase(later.begin());
  }
  std::size_t cached = 0;
  while (!ready.empty() && transport.active() < options.in_flight && now >= quiet_until && !interrupted()) {
    Job& job = *ready.front();
    if (job.tries == 0) {
      if (cached >= kCachedPerRound) return;
      std::optional<Reply> known = cache->find(job.hash);
      if (known && known->ok()) {
        ++cached;
        ready.pop_front();
        known->from_cache = true;
        settle(job, *std::move(known));
        continue;
      }
      job.answers_at_first_try = answers;
    }
    transport.post(chat_url, job.body, &job);
    ready.pop_front();
    if (job.tries++ > 0) ++totals.retried;
  }
}

milliseconds Client::Impl::time_to_wait() const {
  const Clock::time_point now = Clock::now();
  Clock::time_point until = now + kLookUp;
  if (stop) return std::chrono::ceil<milliseconds>(std::min(until, stop_by) - now);
  if (!later.empty()) until = std::min(until, later.begin()->first);
  if (!ready.empty() && transport.active() < options.in_flight) until = std::min(until, quiet_until);
  return std::max(milliseconds(0), std::chrono::ceil<milliseconds>(until - now));
}

Outcome Client::Impl::outcome_of(const Exchange& exchange) const {
  Outcome outcome;
  if (exchange.fault == Fault::none) {
    outcome = read_completion(exchange.status, exchange.body);
    if (!exchange.redirect.empty()) outcome.reply.failure += fmt::format(" (it points to {})", exchange.redirect);
  } else {
    outcome.ending = exchange.fault == Fault::too_large ? Ending::failed : Ending::try_again;
    outcome.reply.failure = exchange.reason;
  }
  outcome.reply.failure = hide_key(std::move(outcome.reply.failure));
  return outcome;
}

void Client::Impl::take(const Exchange& exchange) {
  Job& job = *static_cast<Job*>(exchange.tag);
  if (exchange.status != 0) ++answers;
  Outcome outcome = outcome_of(exchange);
  totals.prompt_tokens += outcome.reply.prompt_tokens;
  totals.completion_tokens += outcome.reply.completion_tokens;
  if (outcome.ending == Ending::key_refused) {
    ready.push_front(&job);
    end_with(
        {ErrorKind::failed, chat_url, outcome.reply.failure, "check the API key and that it belongs to this server"});
    return;
  }
  if (outcome.ending == Ending::try_again) {
    if (stop || job.tries < options.attempts) {
      try_again(job, exchange);
      return;
    }
    const bool gone = exchange.fault == Fault::unreachable || exchange.fault == Fault::untrusted;
    if (gone && answers == job.answers_at_first_try) {
      ready.push_front(&job);
      end_with({ErrorKind::failed, chat_url,
                fmt::format("the server went away: {} ({} tries)", outcome.reply.failure, job.tries),
                "start it and give the same command again: what was answered is kept"});
      return;
    }
    outcome.reply.failure += fmt::format(" ({} tries)", job.tries);
  }
  settle(job, std::move(outcome.reply));
}

void Client::Impl::try_again(Job& job, const Exchange& exchange) {
  const Clock::time_point next = Clock::now() + pause(job.tries, exchange);
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
  if (reply.ok() && !reply.from_cache) cache->put(reply);
  for (const Callback& done : owned->waiting) {
    ++(reply.ok() ? totals.answered : totals.failed);
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
  std::string body = chat_body(request, impl_->options.model);
  std::string hash = hash_of_body(body);
  ++impl_->totals.requests;
  std::unique_ptr<Job>& job = impl_->jobs[hash];
  if (!job) {
    job = std::make_unique<Job>();
    job->body = std::move(body);
    job->hash = std::move(hash);
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

Totals Client::totals() const { return impl_->totals; }

}  // namespace gloss::llm
