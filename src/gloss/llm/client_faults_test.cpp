// What the client does when the server misbehaves: the outcome, and how many requests the server saw.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <ctime>
#include <memory>
#include <string>
#include <vector>

#include "gloss/base/error.h"
#include "gloss/llm/client.h"
#include "gloss/llm/client_testing.h"
#include "gloss/llm/pace.h"
#include "gloss/llm/protocol.h"
#include "gloss/llm/scripted_server.h"

namespace gloss::llm {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;
using testing::HasSubstr;
using testing::StartsWith;

class NoCache : public ReplyCache {
 public:
  std::optional<Reply> find(std::string_view) override { return std::nullopt; }
  void put(const Reply& reply) override { stored += reply.ok() ? 1 : 0; }
  int stored = 0;
};

ClientOptions three_tries(const ScriptedServer& server) {
  ClientOptions o = options_for(server);
  o.attempts = 3;
  return o;
}

/// A server that gives these answers in turn, the last one again and again.
ScriptedServer::Script in_turn(std::vector<Answer> answers) {
  return [answers = std::move(answers)](const Received&, std::size_t n) {
    return answers[std::min(n, answers.size() - 1)];
  };
}

Answer slow() {
  return changed(completion("late"), [](Answer& a) { a.delay = std::chrono::seconds(20); });
}
Answer cut() {
  return changed(completion("a long enough text"), [](Answer& a) { a.cut_at = 30; });
}
Answer hang_up() {
  return changed(completion(""), [](Answer& a) { a.hang_up = true; });
}

Answer dribbling(int pause_ms) {
  Answer answer = completion("yes");
  answer.dribble = milliseconds(pause_ms);
  return answer;
}
Answer with_length(std::ptrdiff_t more) {
  Answer answer = completion("yes");
  answer.length = static_cast<std::size_t>(static_cast<std::ptrdiff_t>(answer.body.size()) + more);
  return answer;
}
/// A whole answer of 10 MB, most of it nothing that is looked at.
Answer huge() {
  Answer answer = completion("yes");
  answer.body.insert(1, "\"padding\":\"" + std::string(std::size_t{10} << 20, 'x') + "\",");
  return answer;
}

struct Case {
  const char* name;
  std::vector<Answer> answers;
  std::string text;     // of the reply, or
  std::string failure;  // its beginning
  std::size_t requests;
  std::uint32_t timeout_ms = 60'000;
};

std::vector<Case> cases() {
  const Answer good = completion("yes");
  return {
      {"429 then well", {error_answer(429, "slow down"), good}, "yes", "", 2},
      {"500 then well", {error_answer(500, "oops"), good}, "yes", "", 2},
      {"502, 503, then well", {error_answer(502, ""), error_answer(503, ""), good}, "yes", "", 3},
      {"504 then well", {error_answer(504, ""), good}, "yes", "", 2},
      {"408 then well", {error_answer(408, ""), good}, "yes", "", 2},
      {"500 for ever", {error_answer(500, "oops")}, "", "the server answered 500: oops (3 tries)", 3},
      {"429 for ever", {error_answer(429, "slow down")}, "", "the server answered 429: slow down (3 tries)", 3},
      {"400", {error_answer(400, "too long"), good}, "", "the server answered 400: too long", 1},
      {"404", {error_answer(404, "no such route"), good}, "", "the server answered 404: no such route", 1},
      {"413", {error_answer(413, "too large"), good}, "", "the server answered 413: too large", 1},
      {"422", {error_answer(422, "what?"), good}, "", "the server answered 422: what?", 1},
      {"cut body then well", {cut(), good}, "yes", "", 2},
      {"cut body for ever", {cut()}, "", "transfer closed with", 3},
      {"malformed then well", {raw("{\"choices\": [{\"mess"), good}, "yes", "", 2},
      {"malformed for ever", {raw("<html>")}, "", "the reply of 6 bytes is not JSON (3 tries)", 3},
      {"empty choices", {raw(R"({"choices":[]})"), good}, "", "the reply's list of choices is empty", 1},
      {"content null", {raw(R"({"choices":[{"message":{"content":null}}]})"), good}, "", "the reply has no content", 1},
      {"refusal", {raw(R"({"choices":[{"message":{"refusal":"no"}}]})"), good}, "", "the model refused: no", 1},
      {"dribbling body", {dribbling(2)}, "yes", "", 1},
      {"a body that dribbles for ever", {dribbling(200)}, "", "Operation timed out", 3, 300},
      {"length beyond the body, then well", {with_length(7), good}, "yes", "", 2},
      {"length short of the body, then well", {with_length(-9), good}, "yes", "", 2},
      {"10 MB", {huge()}, "yes", "", 1},
      {"truncated but well-formed",
       {raw(R"({"choices":[{}]})"), good},
       "",
       "the reply's first choice holds no message",
       1},
      {"503 for ever", {error_answer(503, "busy")}, "", "the server answered 503: busy (3 tries)", 3},
      {"408 for ever", {error_answer(408, "late")}, "", "the server answered 408: late (3 tries)", 3},
      {"501", {error_answer(501, "no"), good}, "", "the server answered 501: no", 1},
      {"slow then well", {slow(), good}, "yes", "", 2, 1000},
      {"slow for ever", {slow()}, "", "Operation timed out", 3, 500},
  };
}

TEST(ClientFaults, EachHasItsOutcomeAndNumberOfRequests) {
  for (const Case& c : cases()) {
    ScriptedServer server(in_turn(c.answers));
    NoCache cache;
    ClientOptions o = three_tries(server);
    o.timeout_ms = c.timeout_ms;
    Client client(o, cache);
    int calls = 0;
    Reply got;
    client.submit(ask("hello"), [&](const Reply& r) {
      ++calls;
      got = r;
    });
    client.run();
    EXPECT_EQ(calls, 1) << c.name;
    EXPECT_EQ(got.text, c.text) << c.name;
    EXPECT_THAT(got.failure, StartsWith(c.failure)) << c.name;
    EXPECT_EQ(got.ok(), c.failure.empty()) << c.name << ": " << got.failure;
    EXPECT_EQ(server.count(), c.requests) << c.name;
    EXPECT_EQ(client.totals().retried, c.requests - 1) << c.name;
    EXPECT_EQ(client.totals().answered, c.failure.empty() ? 1U : 0U) << c.name;
    EXPECT_EQ(client.totals().failed, c.failure.empty() ? 0U : 1U) << c.name;
    EXPECT_EQ(cache.stored, c.failure.empty() ? 1 : 0) << c.name;
  }
}

TEST(ClientFaults, AConnectionClosedWithoutAnAnswerIsTriedAgain) {
  ScriptedServer server(in_turn({hang_up(), hang_up(), completion("yes")}));
  NoCache cache;
  Client client(three_tries(server), cache);
  Reply got;
  client.submit(ask("hello"), [&](const Reply& r) { got = r; });
  client.run();
  EXPECT_EQ(got.text, "yes");
  EXPECT_EQ(server.count(), 3U);
}

TEST(ClientFaults, AServerThatAlwaysHangsUpFailsTheRequest) {
  ScriptedServer server(in_turn({hang_up()}));
  NoCache cache;
  Client client(three_tries(server), cache);
  Reply got;
  client.submit(ask("hello"), [&](const Reply& r) { got = r; });
  client.run();
  EXPECT_THAT(got.failure, HasSubstr("(3 tries)"));
  // libcurl itself sends a request again when a kept connection turns out to be closed, so one try may be two requests.
  EXPECT_GE(server.count(), 3U);
  EXPECT_LE(server.count(), 4U);
}

TEST(ClientFaults, AResetConnectionIsTriedAgain) {
  Answer reset = completion("");
  reset.reset = true;
  ScriptedServer server(in_turn({reset, reset, completion("yes")}));
  NoCache cache;
  Client client(three_tries(server), cache);
  Reply got;
  client.submit(ask("hello"), [&](const Reply& r) { got = r; });
  client.run();
  EXPECT_EQ(got.text, "yes");
  EXPECT_EQ(server.count(), 3U);
}

TEST(ClientFaults, AHostWithoutAnAddressIsAnErrorAtOnce) {
  NoCache cache;
  ClientOptions o;
  o.url = "http://no-such-host.invalid:8000/v1";
  o.backoff_ms = 10'000;
  const auto begin = Clock::now();
  try {
    Client client(o, cache);
    FAIL() << "no error";
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), ErrorKind::failed);
    EXPECT_THAT(e.what(), StartsWith("http://no-such-host.invalid:8000/v1/models: no answer: "));
  }
  EXPECT_LT(Clock::now() - begin, std::chrono::seconds(10));
}

TEST(ClientFaults, OneBadRequestDoesNotHarmTheOthers) {
  ScriptedServer server([](const Received& r, std::size_t) {
    const std::string text = last_message(r);
    if (text == "13") return error_answer(400, "unlucky");
    if (text == "7") return cut();
    return completion(text);
  });
  NoCache cache;
  Client client(three_tries(server), cache);
  int answered = 0, failed = 0;
  for (int i = 0; i < 50; ++i) {
    client.submit(ask(std::to_string(i)), [&, i](const Reply& r) {
      if (r.ok()) {
        EXPECT_EQ(r.text, std::to_string(i));
      }
      ++(r.ok() ? answered : failed);
    });
  }
  client.run();
  EXPECT_EQ(answered, 48);
  EXPECT_EQ(failed, 2);
  EXPECT_EQ(server.count(), 48U + 1 + 3);
}

TEST(ClientFaults, RetryAfterInSecondsIsObeyedByAllRequests) {
  ScriptedServer server([](const Received& r, std::size_t n) {
    if (n > 0) return completion(last_message(r));
    Answer answer = error_answer(429, "slow down");
    answer.headers = {{"Retry-After", "1"}};
    return answer;
  });
  NoCache cache;
  ClientOptions o = three_tries(server);
  o.in_flight = 1;
  Client client(o, cache);
  const auto begin = Clock::now();
  int done = 0;
  for (int i = 0; i < 3; ++i) {
    client.submit(ask(std::to_string(i)), [&](const Reply& r) {
      EXPECT_TRUE(r.ok()) << r.failure;
      EXPECT_GE(Clock::now() - begin, milliseconds(1000));
      ++done;
    });
  }
  client.run();
  EXPECT_EQ(done, 3);
  EXPECT_EQ(server.count(), 4U);
  EXPECT_LT(Clock::now() - begin, milliseconds(8000));
}

TEST(ClientFaults, RetryAfterAsADateIsObeyed) {
  ScriptedServer server([](const Received&, std::size_t n) {
    if (n > 0) return completion("yes");
    Answer answer = error_answer(503, "loading");
    const std::time_t when = std::time(nullptr) + 2;
    std::tm utc{};
    gmtime_r(&when, &utc);
    char date[64];
    static_cast<void>(std::strftime(date, sizeof date, "%a, %d %b %Y %H:%M:%S GMT", &utc));
    answer.headers = {{"Retry-After", date}};
    return answer;
  });
  NoCache cache;
  Client client(three_tries(server), cache);
  const auto begin = Clock::now();
  client.submit(ask("hello"), [&](const Reply& r) { EXPECT_TRUE(r.ok()) << r.failure; });
  client.run();
  EXPECT_GE(Clock::now() - begin, milliseconds(900));  // a date has whole seconds
  EXPECT_LT(Clock::now() - begin, milliseconds(9000));
  EXPECT_EQ(server.count(), 2U);
}

TEST(ClientFaults, ARetryAfterThatMakesNoSenseIsIgnored) {
  for (const char* value : {"-5", "soon", "", "Thu, 01 Jan 1970 00:00:00 GMT"}) {
    Answer busy = error_answer(429, "slow down");
    busy.headers = {{"Retry-After", value}};
    ScriptedServer server(in_turn({busy, completion("yes")}));
    NoCache cache;
    Client client(three_tries(server), cache);
    const auto begin = Clock::now();
    client.submit(ask("hello"), [&](const Reply& r) { EXPECT_TRUE(r.ok()) << value; });
    client.run();
    EXPECT_LT(Clock::now() - begin, milliseconds(5000)) << value;
  }
}

TEST(ClientFaults, PausesAreThoseOfTheSeed) {
  ScriptedServer server(in_turn({error_answer(500, "oops")}));
  NoCache cache;
  ClientOptions o = three_tries(server);
  o.backoff_ms = 100;
  o.attempts = 4;
  Client client(o, cache);
  client.submit(ask("hello"), [](const Reply&) {});
  const auto begin = Clock::now();
  client.run();
  const auto took = Clock::now() - begin;
  const std::string hash = hash_of_body(chat_body(ask("hello"), "test-model"));
  milliseconds pauses{0};
  for (std::uint32_t tries = 1; tries < o.attempts; ++tries) pauses += backoff(o.seed, hash, tries, o.backoff_ms);
  EXPECT_GE(took, pauses);
  EXPECT_LT(took, milliseconds(5000));
  EXPECT_EQ(server.count(), 4U);
}

TEST(ClientFaults, ARefusedKeyEndsTheRunWithoutShowingIt) {
  for (const int status : {401, 403}) {
    ScriptedServer server([status](const Received& r, std::size_t) {
      return error_answer(status, "bad key: " + r.headers.at("authorization"));  // servers may repeat it
    });
    NoCache cache;
    ClientOptions o = three_tries(server);
    o.api_key = "sk-secret-0123456789";
    o.in_flight = 1;
    Client client(o, cache);
    int done = 0;
    for (int i = 0; i < 10; ++i) client.submit(ask(std::to_string(i)), [&](const Reply&) { ++done; });
    try {
      client.run();
      FAIL() << "no error";
    } catch (const Error& e) {
      EXPECT_EQ(e.kind(), ErrorKind::failed);
      EXPECT_EQ(std::string(e.what()),
                server.url() + "/chat/completions: the server answered " + std::to_string(status) +
                    ": bad key: Bearer [key]\nhint: check the API key and that it belongs to this server");
    }
    EXPECT_EQ(server.count(), 1U);
    EXPECT_EQ(done, 0);
  }
}

TEST(ClientFaults, AFailureDoesNotShowTheKey) {
  ScriptedServer server(
      [](const Received& r, std::size_t) { return error_answer(400, "you sent " + r.headers.at("authorization")); });
  NoCache cache;
  ClientOptions o = three_tries(server);
  o.api_key = "sk-secret-0123456789";
  Client client(o, cache);
  Reply got;
  client.submit(ask("hello"), [&](const Reply& r) { got = r; });
  client.run();
  EXPECT_EQ(got.failure, "the server answered 400: you sent Bearer [key]");
}

TEST(ClientFaults, ARefusedKeyAtTheStartIsAnError) {
  ScriptedServer server(in_turn({completion("")}));
  server.set_models_script([](const Received&, std::size_t) { return error_answer(401, "who are you?"); });
  NoCache cache;
  try {
    Client client(three_tries(server), cache);
    FAIL() << "no error";
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), ErrorKind::failed);
    EXPECT_EQ(std::string(e.what()), server.url() +
                                         "/models: the server answered 401: who are you?\nhint: check the API key and "
                                         "that it belongs to this server");
  }
}

TEST(ClientFaults, NobodyThereAtTheStartIsAnErrorAtOnce) {
  auto server = std::make_unique<ScriptedServer>(in_turn({completion("")}));
  ClientOptions o = three_tries(*server);
  o.backoff_ms = 10'000;
  server.reset();  // nobody listens on its port now
  NoCache cache;
  const auto begin = Clock::now();
  try {
    Client client(o, cache);
    FAIL() << "no error";
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), ErrorKind::failed);
    EXPECT_THAT(e.what(), StartsWith(o.url + "/models: no answer: "));
    EXPECT_THAT(e.what(), HasSubstr("\nhint: is the server running, and is the URL right?"));
  }
  EXPECT_LT(Clock::now() - begin, milliseconds(5000));
}

TEST(ClientFaults, AServerThatIsStillLoadingIsAskedAgain) {
  ScriptedServer server(in_turn({completion("")}));
  server.set_models_script([](const Received&, std::size_t n) {
    return n < 2 ? error_answer(503, "loading model") : raw(R"({"data":[{"id":"m"}]})");
  });
  NoCache cache;
  EXPECT_EQ(Client(three_tries(server), cache).model(), "m");
}

TEST(ClientFaults, AServerWithoutModelsIsNoSuchServer) {
  ScriptedServer server(in_turn({completion("")}));
  server.set_models_script([](const Received&, std::size_t) { return error_answer(404, "File Not Found"); });
  NoCache cache;
  try {
    Client client(three_tries(server), cache);
    FAIL() << "no error";
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), ErrorKind::failed);
    EXPECT_EQ(std::string(e.what()),
              server.url() +
                  "/models: the server answered 404: File Not Found\nhint: wanted the base URL of "
                  "an OpenAI-compatible server, which often ends in /v1");
  }
}

TEST(ClientFaults, AServerThatGoesAwayEndsTheRunAndLosesNothing) {
  auto server = std::make_unique<ScriptedServer>([](const Received& r, std::size_t) {
    return changed(completion(last_message(r)), [](Answer& a) { a.close = true; });
  });
  NoCache cache;
  ClientOptions o = three_tries(*server);
  o.in_flight = 1;
  Client client(o, cache);
  int done = 0;
  for (int i = 0; i < 10; ++i) {
    client.submit(ask(std::to_string(i)), [&](const Reply& r) {
      EXPECT_TRUE(r.ok());
      if (++done == 4) server.reset();
    });
  }
  try {
    client.run();
    FAIL() << "no error";
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), ErrorKind::failed);
    EXPECT_THAT(e.what(), StartsWith(o.url + "/chat/completions: the server went away: "));
    EXPECT_THAT(e.what(),
                HasSubstr("(3 tries)\nhint: start it and give the same command again: what was answered is kept"));
  }
  EXPECT_EQ(done, 4);
  EXPECT_EQ(cache.stored, 4);
}

TEST(ClientFaults, RedirectsAreNotFollowed) {
  ScriptedServer thief(in_turn({completion("thanks for the key")}));
  const std::string elsewhere = thief.url() + "/chat/completions";
  ScriptedServer server([&](const Received&, std::size_t) {
    Answer answer;
    answer.status = 307;
    answer.headers = {{"Location", elsewhere}};
    return answer;
  });
  NoCache cache;
  ClientOptions o = three_tries(server);
  o.api_key = "sk-secret-0123456789";
  Client client(o, cache);
  Reply got;
  client.submit(ask("hello"), [&](const Reply& r) { got = r; });
  client.run();
  EXPECT_EQ(got.failure, "the server answered 307 (it points to " + elsewhere + ")");
  EXPECT_EQ(server.count(), 1U);
  EXPECT_EQ(thief.connections(), 0U);
}

TEST(ClientFaults, AReplyBeyondTheLimitIsCutOffAndFailed) {
  ScriptedServer server(in_turn({raw(std::string((std::size_t{16} << 20) + 1, ' ')), completion("yes")}));
  NoCache cache;
  Client client(three_tries(server), cache);
  Reply got;
  client.submit(ask("hello"), [&](const Reply& r) { got = r; });
  client.run();
  EXPECT_EQ(got.failure, "the reply is larger than 16 MiB");
  EXPECT_EQ(server.count(), 1U);
}

TEST(ClientFaults, AReplyCutAtAnyByteIsNeverTakenForAnAnswer) {
  const std::string whole = completion("yes").body;
  for (std::size_t n = 0; n < whole.size(); n += 7) {
    Answer part = completion("yes");
    part.cut_at = n;
    ScriptedServer server(in_turn({part}));
    NoCache cache;
    ClientOptions o = three_tries(server);
    o.attempts = 1;
    Client client(o, cache);
    client.submit(ask("hello"), [&](const Reply& r) { EXPECT_FALSE(r.ok()) << "cut at byte " << n; });
    client.run();
  }
}

}  // namespace
}  // namespace gloss::llm
