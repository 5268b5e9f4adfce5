// What the client spends and finds out: budgets, accounts, pace, the question whether a server gives probabilities.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <map>
#include <set>
#include <string>

#include "gloss/base/error.h"
#include "gloss/llm/client.h"
#include "gloss/llm/client_testing.h"
#include "gloss/llm/scripted_server.h"

namespace gloss::llm {
namespace {

using testing::HasSubstr;

/// An answer that was charged for with 100 tokens of prompt, 60 of them cached, and 10 of reply.
Answer charged() {
  return raw(R"({"choices":[{"message":{"content":"yes"}}],"usage":{"prompt_tokens":100,"completion_tokens":10,)"
             R"("prompt_tokens_details":{"cached_tokens":60}}})");
}

TEST(ClientBudget, RepliesCarryWhatTheyCost) {
  ScriptedServer server([](const Received&, std::size_t) { return charged(); });
  MapCache cache;
  ClientOptions o = options_for(server);
  o.prices = parse_prices("1,0.5,4");
  o.provider = "here";
  Client client(o, cache);
  Request request = ask("hello");
  request.latent = 17;
  client.submit(request, [](const Reply&) {});
  client.run();
  ASSERT_EQ(cache.replies.size(), 1U);
  const Reply& kept = cache.replies.begin()->second;
  EXPECT_NEAR(kept.dollars, (40 * 1 + 60 * 0.5 + 10 * 4) / 1e6, 1e-12);
  EXPECT_EQ(kept.provider, "here");
  EXPECT_EQ(kept.latent, 17);
  EXPECT_EQ(kept.cached_tokens, 60U);
  EXPECT_NEAR(client.totals().dollars, kept.dollars, 1e-15);
  EXPECT_EQ(client.totals().cached_tokens, 60U);
}

/// Asks 40 things, a command at a time, until all are answered; gives the number of commands.
int commands_until_done(const ClientOptions& o, MapCache& cache, double* most_dollars, std::uint64_t* most_tokens) {
  for (int commands = 1; commands < 100; ++commands) {
    Client client(o, cache);
    int done = 0;
    for (int i = 0; i < 40; ++i) {
      client.submit(ask(std::to_string(i) + std::string(200, 'x')), [&](const Reply& r) { done += r.ok() ? 1 : 0; });
    }
    bool stopped = false;
    try {
      client.run();
    } catch (const Error& e) {
      EXPECT_EQ(e.kind(), ErrorKind::interrupted);
      EXPECT_THAT(e.what(), HasSubstr("are spent, and the next request may take "));
      stopped = true;
    }
    *most_dollars = std::max(*most_dollars, client.totals().dollars);
    *most_tokens = std::max(*most_tokens, client.totals().prompt_tokens + client.totals().completion_tokens);
    if (!stopped) {
      EXPECT_EQ(done, 40);
      return commands;
    }
    EXPECT_LT(done, 40);
  }
  ADD_FAILURE() << "never done";
  return 0;
}

TEST(ClientBudget, IsNeverPassedAndNothingIsPaidTwice) {
  for (const bool by_dollars : {true, false}) {
    std::set<std::string> bodies;
    ScriptedServer server([&](const Received& r, std::size_t) {
      EXPECT_TRUE(bodies.insert(r.body).second) << "paid twice";
      return charged();
    });
    MapCache cache;
    ClientOptions o = options_for(server);
    o.in_flight = 8;
    o.prices = parse_prices("1,1,4");
    if (by_dollars)
      o.most_dollars = 0.0016;  // a request costs 0.00014 dollars
    else
      o.most_tokens = 1200;  // a request takes 110
    double dollars = 0.0;
    std::uint64_t tokens = 0;
    const int commands = commands_until_done(o, cache, &dollars, &tokens);
    EXPECT_GE(commands, 4);
    EXPECT_LE(commands, 8);
    EXPECT_EQ(server.count(), 40U);
    if (by_dollars)
      EXPECT_LE(dollars, o.most_dollars);
    else
      EXPECT_LE(tokens, o.most_tokens);
  }
}

TEST(ClientBudget, ARequestThatIsTooDearIsNotSent) {
  ScriptedServer server([](const Received&, std::size_t) { return charged(); });
  MapCache cache;
  ClientOptions o = options_for(server);
  o.most_tokens = 10;
  Client client(o, cache);
  client.submit(ask("hello"), [](const Reply&) { ADD_FAILURE() << "answered"; });
  EXPECT_THROW(client.run(), Error);
  EXPECT_EQ(server.count(), 0U);
}

TEST(ClientBudget, ARefusalThatWasPaidForIsCountedAndAskedAgain) {
  ScriptedServer server([](const Received&, std::size_t n) {
    return n > 0
               ? charged()
               : raw(R"({"choices":[{"message":{"refusal":"no"}}],"usage":{"prompt_tokens":50,"completion_tokens":1}})");
  });
  MapCache cache;
  for (int command = 0; command < 2; ++command) {
    Client client(options_for(server), cache);
    client.submit(ask("hello"), [&](const Reply& r) { EXPECT_EQ(r.ok(), command == 1); });
    client.run();
    EXPECT_EQ(client.totals().prompt_tokens, command == 0 ? 50U : 100U);
    EXPECT_EQ(cache.replies.begin()->second.prompt_tokens, command == 0 ? 50U : 100U);
  }
}

TEST(ClientPace, GivesWayToABusyServerAndComesBack) {
  // Every other one of the first 40 is refused.
  std::atomic<int> refused{0};
  ScriptedServer server([&](const Received& r, std::size_t n) {
    if (n < 40 && n % 2 == 1) {
      ++refused;
      return error_answer(n % 4 == 1 ? 429 : 503, "busy");
    }
    Answer answer = completion(last_message(r));
    answer.delay = std::chrono::milliseconds(2);
    return answer;
  });
  MapCache cache;
  ClientOptions o = options_for(server);
  o.in_flight = 32;
  o.attempts = 50;
  Client client(o, cache);
  int done = 0;
  for (int i = 0; i < 1200; ++i) {
    client.submit(ask(std::to_string(i)), [&](const Reply& r) {
      EXPECT_TRUE(r.ok()) << r.failure;
      ++done;
    });
  }
  client.run();
  EXPECT_EQ(done, 1200);
  EXPECT_EQ(refused, 20);
  EXPECT_GE(client.slowdowns(), 1U);
  EXPECT_GT(client.pace(), 24U) << "it grew again";
  EXPECT_EQ(client.totals().slowdowns, client.slowdowns());
  EXPECT_EQ(client.totals().slowed_to, client.pace() < o.in_flight ? client.pace() : 0U);
  EXPECT_EQ(server.count(), 1220U);
}

TEST(ClientDeadline, NoTryBeginsAfterIt) {
  ScriptedServer server([](const Received&, std::size_t) {
    Answer answer = error_answer(500, "oops");
    answer.delay = std::chrono::milliseconds(60);
    return answer;
  });
  MapCache cache;
  ClientOptions o = options_for(server);
  o.attempts = 100;
  o.deadline_ms = 200;
  Client client(o, cache);
  Reply got;
  client.submit(ask("hello"), [&](const Reply& r) { got = r; });
  client.run();
  EXPECT_THAT(got.failure, testing::StartsWith("the server answered 500: oops ("));
  EXPECT_THAT(got.failure, HasSubstr("tries in the 0.2 s allowed)"));
  EXPECT_GE(server.count(), 2U);
  EXPECT_LE(server.count(), 5U);
}

TEST(ClientProbe, IsAskedOnceAndKept) {
  const std::string with = R"({"choices":[{"message":{"content":"1"},"logprobs":{"content":[{"top_logprobs":[)"
                           R"({"token":"1","logprob":-0.1}]}]}}]})";
  for (const bool gives : {true, false}) {
    ScriptedServer server([&](const Received&, std::size_t) { return gives ? raw(with) : completion("1"); });
    MapCache cache;
    for (int command = 0; command < 2; ++command) {
      Client client(options_for(server), cache);
      EXPECT_EQ(client.tells_probabilities(), gives);
      EXPECT_EQ(client.tells_probabilities(), gives);
      EXPECT_EQ(server.count(), 1U);
    }
  }
}

TEST(ClientProbe, AServerThatRefusesTheQuestionHasNone) {
  ScriptedServer server([](const Received&, std::size_t) { return error_answer(400, "logprobs is not supported"); });
  MapCache cache;
  Client client(options_for(server), cache);
  EXPECT_FALSE(client.tells_probabilities());
  ScriptedServer messages([](const Received&, std::size_t) { return completion("1"); });
  ClientOptions o = options_for(messages);
  o.dialect = "anthropic";
  Client anthropic(o, cache);
  EXPECT_FALSE(anthropic.tells_probabilities());
  EXPECT_EQ(messages.count(), 0U) << "it is known without asking";
}

TEST(ClientProbe, SchemasAreFollowedWhereTheReplyShowsIt) {
  for (const bool follows : {true, false}) {
    ScriptedServer server([&](const Received& r, std::size_t) {
      EXPECT_THAT(r.body, HasSubstr(R"("response_format":{"json_schema":{"name":"answer","schema":{)"));
      return completion(follows ? R"({"answers":[0,1,0]})" : "Hello!");
    });
    MapCache cache;
    for (int command = 0; command < 2; ++command) {
      Client client(options_for(server), cache);
      EXPECT_EQ(client.follows_schemas(), follows);
      EXPECT_EQ(server.count(), 1U);
    }
  }
}

TEST(ClientDialects, AreSpokenWithTheirPathsAndHeaders) {
  const char* answers[] = {R"({"content":[{"type":"text","text":"hi"}]})", R"({"choices":[{"text":"hi"}]})"};
  const char* names[] = {"anthropic", "openai-completions"};
  const char* paths[] = {"/v1/messages", "/v1/completions"};
  for (int i = 0; i < 2; ++i) {
    ScriptedServer server([&](const Received&, std::size_t) { return raw(answers[i]); });
    MapCache cache;
    ClientOptions o = options_for(server);
    o.dialect = names[i];
    o.model = "test-model";
    o.api_key = "sk-secret-0123456789";
    Client client(o, cache);
    Reply got;
    client.submit(ask("hello"), [&](const Reply& r) { got = r; });
    client.run();
    EXPECT_EQ(got.text, "hi") << got.failure;
    ASSERT_EQ(server.requests().size(), 1U);
    const Received seen = server.requests().front();
    EXPECT_EQ(seen.path, paths[i]);
    EXPECT_EQ(seen.headers.count("x-api-key"), i == 0 ? 1U : 0U);
    EXPECT_EQ(seen.headers.count("authorization"), i == 0 ? 0U : 1U);
    EXPECT_EQ(seen.headers.count("anthropic-version"), i == 0 ? 1U : 0U);
  }
}

}  // namespace
}  // namespace gloss::llm
