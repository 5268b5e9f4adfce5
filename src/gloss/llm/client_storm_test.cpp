// Many requests against a server of which one answer in twenty is bad, in all ways at once.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <iostream>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "gloss/base/random.h"
#include "gloss/llm/client.h"
#include "gloss/llm/client_testing.h"
#include "gloss/llm/scripted_server.h"

namespace gloss::llm {
namespace {

using std::chrono::milliseconds;

/// A reply is paid for once.
class OnceCache : public MapCache {
 public:
  void put(const Reply& reply) override { EXPECT_TRUE(replies.emplace(reply.hash, reply).second) << "paid for twice"; }
};

Answer busy(int status, const char* seconds) {
  Answer answer = error_answer(status, "busy");
  answer.headers = {{"Retry-After", seconds}};
  return answer;
}

/// Kinds of bad answers. The first are for good: asked again, they would be the same.
struct Kind {
  const char* name;
  Answer answer;
  bool final = false;
};
const std::vector<Kind>& kinds() {
  static const std::vector<Kind> all = {
      {"400", error_answer(400, "too long"), true},
      {"404", error_answer(404, "no route"), true},
      {"refusal", raw(R"({"choices":[{"message":{"refusal":"no"}}]})"), true},
      {"empty choices", raw(R"({"choices":[]})"), true},
      {"redirect",
       changed(error_answer(307, ""),
               [](Answer& a) {
                 a.headers = {{"Location", "/elsewhere"}};
               }),
       true},
      {"408", error_answer(408, "")},
      {"429", error_answer(429, "slow down")},
      {"429 with Retry-After 0", busy(429, "0")},
      {"500", error_answer(500, "oops")},
      {"503", error_answer(503, "loading")},
      {"malformed", raw("<html>busy</html>")},
      {"truncated JSON", raw(R"({"choices":[{"message":{"cont)")},
      {"cut body", changed(completion("cut"), [](Answer& a) { a.cut_at = 30; })},
      {"wrong length", changed(completion("long"), [](Answer& a) { a.length = a.body.size() + 5; })},
      {"slow", changed(error_answer(500, "late"), [](Answer& a) { a.delay = milliseconds(30); })},
      {"dribbling", changed(error_answer(503, "little by little"), [](Answer& a) { a.dribble = milliseconds(2); })},
      {"hang up", changed(completion(""), [](Answer& a) { a.hang_up = true; })},
      {"reset", changed(completion(""), [](Answer& a) { a.reset = true; })},
  };
  return all;
}

/// What the server remembers of itself. On its thread; read when it is done.
struct Books {
  std::map<std::string, int> tries, answered;
  std::map<std::string, std::size_t> bad;  // by kind
  std::set<std::string> final;
};

Answer answer_badly(const Received& request, Books& books) {
  const std::string text = last_message(request);
  const int tries = books.tries[text]++;
  Random random = Random::for_purpose(5, text, static_cast<std::uint64_t>(tries));
  constexpr double kShare = 0.05;
  const bool again_final = books.final.contains(text);
  if (again_final || random.uniform() < kShare) {
    const Kind& kind = kinds()[random.below(kinds().size())];
    if (kind.final) {
      EXPECT_FALSE(again_final) << "what fails for good is asked once: " << text;
      books.final.insert(text);
    }
    ++books.bad[kind.name];
    return kind.answer;
  }
  ++books.answered[text];
  return completion("re: " + text);
}

TEST(ClientStorm, EveryRequestEndsOnceAndTheTotalsAreTheServers) {
  const char* wanted = std::getenv("GLOSS_STORM_REQUESTS");
  const std::size_t count = wanted == nullptr ? 5000 : std::strtoul(wanted, nullptr, 10);
  Books books;
  OnceCache cache;
  std::vector<int> ended(count, 0);
  std::size_t answered = 0, failed = 0;
  std::map<std::string, std::string> reasons;
  ScriptedServer server([&](const Received& request, std::size_t) { return answer_badly(request, books); });
  server.keep_requests(false);
  ClientOptions o;
  o.url = server.url();
  o.backoff_ms = 2;
  o.in_flight = 64;
  o.attempts = 8;
  Client client(o, cache);
  const auto begin = std::chrono::steady_clock::now();
  for (std::size_t i = 0; i < count; ++i) {
    client.submit({{{"user", std::to_string(i)}}, 16, 0.0}, [&, i](const Reply& reply) {
      ++ended[i];
      ++(reply.ok() ? answered : failed);
      if (reply.ok()) {
        EXPECT_EQ(reply.text, "re: " + std::to_string(i));
      } else {
        reasons[std::to_string(i)] = reply.failure;
      }
    });
  }
  client.run();
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  const Totals totals = client.totals();
  EXPECT_EQ(answered + failed, count);
  EXPECT_EQ(std::count(ended.begin(), ended.end(), 1), static_cast<std::ptrdiff_t>(count)) << "each ends once";
  EXPECT_EQ(totals.answered, answered);
  EXPECT_EQ(totals.failed, failed);
  EXPECT_EQ(failed, books.final.size());
  for (const auto& [text, reason] : reasons) EXPECT_TRUE(books.final.contains(text)) << reason;
  EXPECT_EQ(cache.replies.size(), answered);
  EXPECT_EQ(books.answered.size(), answered);
  for (const auto& [text, times] : books.answered) EXPECT_EQ(times, 1) << text << " was answered twice";
  EXPECT_EQ(totals.prompt_tokens, 10 * answered);
  EXPECT_EQ(totals.completion_tokens, 3 * answered);
  // libcurl itself sends again what it sent on a kept connection that turned out closed, which is no try of ours.
  std::size_t bad = 0;
  for (const auto& [name, times] : books.bad) bad += times;
  const std::size_t closed = books.bad["hang up"] + books.bad["reset"];
  EXPECT_EQ(server.count(), answered + bad);
  EXPECT_LE(server.count(), count + totals.retried + closed);
  EXPECT_GE(server.count(), count + totals.retried);
  std::cout << fmt::format("{} requests in {:.1f} s: {} answered, {} failed, {} sent again, {} slowdowns;", count,
                           seconds, answered, failed, totals.retried, client.slowdowns());
  for (const auto& [name, times] : books.bad) std::cout << fmt::format(" {}: {},", name, times);
  std::cout << "\n";
}

}  // namespace
}  // namespace gloss::llm
