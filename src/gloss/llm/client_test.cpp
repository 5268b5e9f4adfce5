#include "gloss/llm/client.h"
#include "gloss/llm/client_testing.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "gloss/base/error.h"
#include "gloss/base/interrupt.h"
#include "gloss/llm/protocol.h"
#include "gloss/llm/scripted_server.h"

namespace gloss::llm {
namespace {

using std::chrono::milliseconds;
using testing::HasSubstr;
using testing::Not;

Answer echo(const Received& request, std::size_t) { return completion("re: " + last_message(request)); }

std::string error_of(const std::function<void()>& body, ErrorKind kind) {
  try {
    body();
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), kind) << e.what();
    return e.what();
  }
  ADD_FAILURE() << "no error";
  return {};
}

struct InterruptGuard {
  ~InterruptGuard() { set_interrupted(false); }
};

TEST(Client, TakesTheFirstModelOfTheServer) {
  ScriptedServer server(echo, {"first", "second"});
  MapCache cache;
  EXPECT_EQ(Client(options_for(server), cache).model(), "first");
  ClientOptions o = options_for(server);
  o.model = "second";
  o.url += "//";  // slashes at the end do not matter
  EXPECT_EQ(Client(o, cache).model(), "second");
}

TEST(Client, AnUnknownModelListsThoseThereAre) {
  ScriptedServer server(echo, {"llama-8b", "llama-70b"});
  MapCache cache;
  ClientOptions o = options_for(server);
  o.model = "lama-8b";
  EXPECT_EQ(error_of([&] { Client(o, cache); }, ErrorKind::bad_input),
            server.url() +
                "/models: no model 'lama-8b'; the server has: llama-8b, llama-70b\nhint: did you mean 'llama-8b'?");
}

TEST(Client, AServerWithoutModelsIsAnError) {
  ScriptedServer server(echo, {});
  MapCache cache;
  EXPECT_EQ(error_of([&] { Client(options_for(server), cache); }, ErrorKind::bad_input),
            server.url() + "/models: the server lists no model\nhint: name one");
}

TEST(Client, SendsTheCanonicalBodyAndTheKeyInItsHeader) {
  ScriptedServer server(echo);
  MapCache cache;
  ClientOptions o = options_for(server);
  o.api_key = "sk-secret-0123456789";
  Client client(o, cache);
  Reply got;
  client.submit(ask("hello"), [&](const Reply& r) { got = r; });
  client.run();
  EXPECT_TRUE(got.ok());
  EXPECT_EQ(got.text, "re: hello");
  EXPECT_EQ(got.prompt_tokens, 10U);
  EXPECT_EQ(got.completion_tokens, 3U);
  EXPECT_FALSE(got.from_cache);
  EXPECT_EQ(got.hash, hash_of_body(chat_body(ask("hello"), "test-model")));
  const auto requests = server.requests();
  ASSERT_EQ(requests.size(), 1U);
  EXPECT_EQ(requests[0].method, "POST");
  EXPECT_EQ(requests[0].path, "/v1/chat/completions");
  EXPECT_EQ(requests[0].body, chat_body(ask("hello"), "test-model"));
  EXPECT_EQ(requests[0].headers.at("authorization"), "Bearer sk-secret-0123456789");
  EXPECT_EQ(requests[0].headers.at("content-type"), "application/json");
  EXPECT_EQ(requests[0].headers.count("expect"), 0U);
}

TEST(Client, SendsNoKeyWhenThereIsNone) {
  ScriptedServer server(echo);
  MapCache cache;
  Client client(options_for(server), cache);
  client.submit(ask("hello"), [](const Reply&) {});
  client.run();
  EXPECT_EQ(server.requests().at(0).headers.count("authorization"), 0U);
}

TEST(Client, DoesNothingBeforeRun) {
  ScriptedServer server(echo);
  MapCache cache;
  Client client(options_for(server), cache);
  bool called = false;
  client.submit(ask("hello"), [&](const Reply&) { called = true; });
  EXPECT_FALSE(called);
  EXPECT_EQ(server.count(), 0U);
  client.run();
  EXPECT_TRUE(called);
}

TEST(Client, WhatTheCacheKnowsIsNotSent) {
  MapCache cache;
  ScriptedServer server(echo);
  for (const bool cached : {false, true}) {
    Client client(options_for(server), cache);
    Reply got;
    client.submit(ask("hello"), [&](const Reply& r) { got = r; });
    client.run();
    EXPECT_EQ(got.text, "re: hello");
    EXPECT_EQ(got.from_cache, cached);
    EXPECT_EQ(client.totals().cached, cached ? 1U : 0U);
    EXPECT_EQ(client.totals().answered, 1U);
    EXPECT_EQ(client.totals().prompt_tokens, cached ? 0U : 10U);
  }
  EXPECT_EQ(server.count(), 1U);
}

TEST(Client, TheSameModelAtAnotherUrlSharesTheCache) {
  MapCache cache;
  ScriptedServer one(echo), other(echo);
  for (const ScriptedServer* server : {&one, &other}) {
    Client client(options_for(*server), cache);
    client.submit(ask("hello"), [](const Reply& r) { EXPECT_TRUE(r.ok()); });
    client.run();
  }
  EXPECT_EQ(one.count(), 1U);
  EXPECT_EQ(other.count(), 0U);
}

TEST(Client, StoresAReplyBeforeItIsUsed) {
  ScriptedServer server(echo);
  MapCache cache;
  Client client(options_for(server), cache);
  client.submit(ask("hello"), [&](const Reply& r) { EXPECT_EQ(cache.replies.count(r.hash), 1U); });
  client.run();
  EXPECT_EQ(cache.replies.size(), 1U);
}

TEST(Client, DoesNotStoreFailures) {
  ScriptedServer server([](const Received&, std::size_t) { return error_answer(400, "no"); });
  MapCache cache;
  Client client(options_for(server), cache);
  client.submit(ask("hello"), [&](const Reply& r) { EXPECT_FALSE(r.ok()); });
  client.run();
  EXPECT_TRUE(cache.replies.empty());
}

TEST(Client, IdenticalRequestsWaitingTogetherAreSentOnce) {
  ScriptedServer server(echo);
  MapCache cache;
  Client client(options_for(server), cache);
  std::vector<bool> from_cache;
  for (int i = 0; i < 5; ++i) client.submit(ask("same"), [&](const Reply& r) { from_cache.push_back(r.from_cache); });
  client.submit(ask("other"), [&](const Reply&) {});
  client.run();
  EXPECT_EQ(from_cache, (std::vector<bool>{false, true, true, true, true}));
  EXPECT_EQ(server.count(), 2U);
  EXPECT_EQ(client.totals().requests, 6U);
  EXPECT_EQ(client.totals().answered, 6U);
  EXPECT_EQ(client.totals().cached, 4U);
  EXPECT_EQ(client.totals().prompt_tokens, 20U);
}

TEST(Client, CallbacksMaySubmitMore) {
  ScriptedServer server(echo);
  MapCache cache;
  Client client(options_for(server), cache);
  int done = 0;
  std::function<void(int)> chain = [&](int depth) {
    client.submit(ask("step " + std::to_string(depth)), [&, depth](const Reply& r) {
      EXPECT_TRUE(r.ok());
      ++done;
      if (depth < 20) chain(depth + 1);
    });
  };
  for (int i = 0; i < 3; ++i) chain(i);
  client.run();
  EXPECT_EQ(done, 21 + 20 + 19);
  EXPECT_EQ(server.count(), 21U);  // the chains meet: the rest were cached or waited together
}

TEST(Client, RunWithinRunIsAProgrammingError) {
  ScriptedServer server(echo);
  MapCache cache;
  Client client(options_for(server), cache);
  client.submit(ask("hello"), [&](const Reply&) { client.run(); });
  EXPECT_THROW(client.run(), std::logic_error);
}

TEST(Client, WhatACallbackThrowsPassesAndTheRestIsDoneByTheNextRun) {
  ScriptedServer server(echo);
  MapCache cache;
  ClientOptions o = options_for(server);
  o.in_flight = 2;
  Client client(o, cache);
  int done = 0;
  client.submit(ask("bad"), [](const Reply&) { throw std::runtime_error("disk full"); });
  for (int i = 0; i < 10; ++i) client.submit(ask(std::to_string(i)), [&](const Reply& r) { done += r.ok() ? 1 : 0; });
  EXPECT_THROW(client.run(), std::runtime_error);
  client.run();
  EXPECT_EQ(done, 10);
}

TEST(Client, KeepsAsManyInFlightAsAllowedOnKeptConnections) {
  ScriptedServer server([](const Received& r, std::size_t n) {
    Answer answer = echo(r, n);
    answer.delay = milliseconds(50);
    return answer;
  });
  MapCache cache;
  ClientOptions o = options_for(server);
  o.in_flight = 8;
  Client client(o, cache);
  std::map<std::string, int> seen;
  for (int i = 0; i < 80; ++i) client.submit(ask(std::to_string(i)), [&](const Reply& r) { ++seen[r.text]; });
  client.run();
  EXPECT_EQ(seen.size(), 80U);
  EXPECT_EQ(server.count(), 80U);
  EXPECT_EQ(server.most_at_once(), 8U);
  EXPECT_LE(server.connections(), 8U);
}

TEST(Client, BodiesOfAnySizeAndContentArrive) {
  ScriptedServer server(echo);
  MapCache cache;
  Client client(options_for(server), cache);
  std::string all;
  for (int c = 1; c < 128; ++c) all += static_cast<char>(c);
  for (const std::string& text : {std::string(3'000'000, 'x'), all, std::string("日本語 \U0001F600"), std::string()}) {
    client.submit(ask(text), [&, text](const Reply& r) { EXPECT_EQ(r.text, "re: " + text); });
  }
  client.run();
  EXPECT_EQ(client.totals().answered, 4U);
}

TEST(Client, InterruptedBeforeAnythingIsSentItSendsNothing) {
  const InterruptGuard guard;
  ScriptedServer server(echo);
  MapCache cache;
  Client client(options_for(server), cache);
  int done = 0;
  client.submit(ask("hello"), [&](const Reply&) { ++done; });
  set_interrupted(true);
  EXPECT_EQ(error_of([&] { client.run(); }, ErrorKind::interrupted),
            "interrupted\nhint: the same command goes on from here: what was answered is kept");
  EXPECT_EQ(server.count(), 0U);
  EXPECT_EQ(done, 0);
  set_interrupted(false);
  client.run();
  EXPECT_EQ(done, 1);
}

TEST(Client, InterruptedItStoresWhatIsInFlightAndSendsNoMore) {
  const InterruptGuard guard;
  ScriptedServer server([](const Received& r, std::size_t n) {
    Answer answer = echo(r, n);
    if (n == 5) set_interrupted(true);
    answer.delay = milliseconds(50);
    return answer;
  });
  MapCache cache;
  ClientOptions o = options_for(server);
  o.in_flight = 4;
  int done = 0;
  {
    Client client(o, cache);
    for (int i = 0; i < 40; ++i) client.submit(ask(std::to_string(i)), [&](const Reply& r) { done += r.ok() ? 1 : 0; });
    error_of([&] { client.run(); }, ErrorKind::interrupted);
  }
  const std::size_t sent = server.count();
  EXPECT_GE(sent, 6U);
  EXPECT_LE(sent, 8U);
  EXPECT_EQ(cache.replies.size(), sent);  // nothing that was paid for is lost
  EXPECT_EQ(static_cast<std::size_t>(done), sent);

  set_interrupted(false);
  Client client(o, cache);
  for (int i = 0; i < 40; ++i) client.submit(ask(std::to_string(i)), [&](const Reply& r) { EXPECT_TRUE(r.ok()); });
  client.run();
  EXPECT_EQ(server.count(), 40U);  // nothing is sent twice
  EXPECT_EQ(client.totals().cached, sent);
}

TEST(Client, InterruptedItWaitsForASlowServerOnlySoLong) {
  const InterruptGuard guard;
  ScriptedServer server([](const Received& r, std::size_t n) {
    Answer answer = echo(r, n);
    set_interrupted(true);
    answer.delay = std::chrono::seconds(30);
    return answer;
  });
  MapCache cache;
  ClientOptions o = options_for(server);
  o.drain_ms = 100;
  Client client(o, cache);
  client.submit(ask("hello"), [](const Reply&) { ADD_FAILURE() << "answered"; });
  const auto begin = std::chrono::steady_clock::now();
  error_of([&] { client.run(); }, ErrorKind::interrupted);
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(60)) << "it waited out the whole pause";
}

TEST(Client, InterruptedWhileItPausesItEndsAtOnce) {
  const InterruptGuard guard;
  ScriptedServer server([](const Received&, std::size_t) {
    set_interrupted(true);
    Answer answer = error_answer(429, "slow down");
    answer.headers = {{"Retry-After", "60"}};
    return answer;
  });
  MapCache cache;
  Client client(options_for(server), cache);
  client.submit(ask("hello"), [](const Reply&) { ADD_FAILURE() << "answered"; });
  const auto begin = std::chrono::steady_clock::now();
  error_of([&] { client.run(); }, ErrorKind::interrupted);
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(60)) << "it waited out the whole pause";
  EXPECT_EQ(server.count(), 1U);
}

TEST(Client, InterruptedWhileItStartsItEnds) {
  const InterruptGuard guard;
  ScriptedServer server(echo);
  std::atomic<int> asked = 0;
  server.set_models_script([&asked](const Received&, std::size_t) {
    ++asked;
    set_interrupted(true);
    Answer answer;
    answer.delay = std::chrono::seconds(30);
    return answer;
  });
  MapCache cache;
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_THAT(error_of([&] { Client(options_for(server), cache); }, ErrorKind::interrupted), HasSubstr("interrupted"));
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(30)) << "it waited for the whole answer";
  EXPECT_EQ(asked, 1) << "it asked again after the interrupt";
}

TEST(Client, OptionsThatMakeNoSenseAreUsageErrors) {
  ScriptedServer server(echo);
  MapCache cache;
  const auto message = [&](auto change) {
    ClientOptions o = options_for(server);
    change(o);
    return error_of([&] { Client(o, cache); }, ErrorKind::usage);
  };
  EXPECT_EQ(message([](ClientOptions& o) { o.in_flight = 0; }),
            "LLM client: requests in flight is 0, wanted 1 to 4096");
  EXPECT_EQ(message([](ClientOptions& o) { o.attempts = 0; }), "LLM client: attempts is 0, wanted 1 to 100");
  EXPECT_EQ(message([](ClientOptions& o) { o.timeout_ms = 0; }),
            "LLM client: timeout in ms is 0, wanted 1 to 86400000");
  const std::string key = message([](ClientOptions& o) { o.api_key = "sk-secret\r\nX-Evil: 1"; });
  EXPECT_THAT(key, HasSubstr("LLM API key: holds a space, a line break or a letter outside ASCII"));
  EXPECT_THAT(key, Not(HasSubstr("secret")));
}

TEST(Client, UrlsThatAreNoneAreUsageErrors) {
  MapCache cache;
  const std::pair<const char*, const char*> faults[] = {
      {"", "LLM URL: is not a URL"},
      {"::::", "LLM URL: is not a URL"},
      {"ftp://host/v1", "LLM URL: its scheme is 'ftp', wanted http or https"},
      {"file:///etc/passwd", "LLM URL: its scheme is 'file', wanted http or https"},
      {"http://me:pass@host/v1", "http://host: the LLM URL holds a user name, password, query or fragment"},
      {"http://host/v1?key=pass", "http://host: the LLM URL holds a user name, password, query or fragment"},
  };
  for (const auto& [url, message] : faults) {
    ClientOptions o;
    o.url = url;
    const std::string got = error_of([&] { Client(o, cache); }, ErrorKind::usage);
    EXPECT_THAT(got, HasSubstr(message));
    EXPECT_THAT(got, Not(HasSubstr("pass@")));
    EXPECT_THAT(got, Not(HasSubstr("key=")));
  }
}

}  // namespace
}  // namespace gloss::llm
