#include "gloss/llm/protocol.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "gloss/base/error.h"
#include "gloss/llm/client_testing.h"

namespace gloss::llm {
namespace {

using testing::HasSubstr;

Request small_request() { return {{{"system", "be exact"}, {"user", "hello"}}, 16, 0.0}; }

TEST(ChatBody, IsCanonicalJson) {
  EXPECT_EQ(chat_body(small_request(), "m"),
            R"({"max_tokens":16,"messages":[{"content":"be exact","role":"system"},{"content":"hello","role":"user"}],)"
            R"("model":"m","temperature":0.0})");
}

TEST(ChatBody, ReplacesIllFormedBytesInsteadOfFailing) {
  Request request;
  request.messages = {{"user",
                       "a\xff"
                       "b\n\"\x01"}};
  EXPECT_THAT(chat_body(request, "m"), HasSubstr("\"a\uFFFDb\\n\\\"\\u0001\""));
}

TEST(ChatBody, HashTellsApartWhatAModelWouldAnswerDifferently) {
  const std::string hash = hash_of_body(chat_body(small_request(), "m"));
  EXPECT_EQ(hash.size(), 32U);
  EXPECT_EQ(hash, hash_of_body(chat_body(small_request(), "m")));
  EXPECT_NE(hash, hash_of_body(chat_body(small_request(), "n")));
  Request other = small_request();
  other.max_tokens = 17;
  EXPECT_NE(hash, hash_of_body(chat_body(other, "m")));
  other = small_request();
  other.messages[1].role = "assistant";
  EXPECT_NE(hash, hash_of_body(chat_body(other, "m")));
}

TEST(ReadCompletion, TakesTextAndTokenCounts) {
  const Outcome o = read_completion(200, R"({"choices":[{"message":{"content":"hi"},"finish_reason":"stop"}],
      "usage":{"prompt_tokens":12,"completion_tokens":99999999999}})");
  EXPECT_EQ(o.ending, Ending::answered);
  EXPECT_TRUE(o.reply.ok());
  EXPECT_EQ(o.reply.text, "hi");
  EXPECT_EQ(o.reply.prompt_tokens, 12U);
  EXPECT_EQ(o.reply.completion_tokens, 4294967295U);  // bounded, not wrapped
}

TEST(ReadCompletion, JoinsTextParts) {
  const Outcome o = read_completion(
      200,
      R"({"choices":[{"message":{"content":[{"type":"text","text":"a"},{"type":"x"},7,{"type":"text","text":"b"}]}}]})");
  EXPECT_EQ(o.ending, Ending::answered);
  EXPECT_EQ(o.reply.text, "ab");
}

TEST(ReadCompletion, SaysWhatIsWrongAndWhetherToTryAgain) {
  const ReadFault faults[] = {
      {200, "", Ending::try_again, "the reply of 0 bytes is not JSON"},
      {200, R"({"choices":[{"mess)", Ending::try_again, "the reply of 18 bytes is not JSON"},
      {200, "<html>busy</html>", Ending::try_again, "the reply of 17 bytes is not JSON"},
      {200, "{\"choices\":\"\xff\"}", Ending::try_again, "the reply of 15 bytes is not JSON"},
      {200, "[]", Ending::failed, "the reply holds no list of choices"},
      {200, R"({"choices":null})", Ending::failed, "the reply holds no list of choices"},
      {200, R"({"choices":[]})", Ending::failed, "the reply's list of choices is empty"},
      {200, R"({"choices":[3]})", Ending::failed, "the reply's first choice holds no message"},
      {200, R"({"choices":[{"message":{"content":null},"finish_reason":"content_filter"}]})", Ending::failed,
       "the reply has no content (finish_reason content_filter)", true},
      {200, R"({"choices":[{"message":{"content":" \n"},"finish_reason":"length"}]})", Ending::failed,
       "the reply has no content (finish_reason length)", true},
      {200, R"({"choices":[{"message":{"content":{"a":1}}}]})", Ending::failed,
       "the reply has no content (finish_reason not given)", true},
      {200, R"({"choices":[{"message":{"content":null,"refusal":"I will not"}}]})", Ending::failed,
       "the model refused: I will not", true},
      {200, R"({"error":{"message":"upstream","code":502}})", Ending::try_again,
       "the server answered 200 with an error: upstream"},
      {200, R"({"error":"out of credit"})", Ending::failed, "the server answered 200 with an error: out of credit"},
      {400, R"({"error":{"message":"too many tokens"}})", Ending::failed, "the server answered 400: too many tokens"},
      {404, R"({"detail":"Not Found"})", Ending::failed, "the server answered 404: Not Found"},
      {413, "", Ending::failed, "the server answered 413"},
      {422, "bad\r\n\tbody", Ending::failed, "the server answered 422: bad body"},
      {302, "", Ending::failed, "the server answered 302"},
      {401, R"({"message":"no key"})", Ending::key_refused, "the server answered 401: no key"},
      {403, R"({"error":"forbidden"})", Ending::key_refused, "the server answered 403: forbidden"},
      {429, R"({"object":"error","message":"slow down"})", Ending::try_again, "the server answered 429: slow down"},
      {503, "", Ending::try_again, "the server answered 503"},
      {501, "", Ending::failed, "the server answered 501"},
  };
  for (const ReadFault& f : faults) {
    const Outcome o = read_completion(f.status, f.body);
    EXPECT_EQ(o.ending, f.ending) << f.status << " " << f.body;
    EXPECT_EQ(o.reply.failure, f.failure) << f.status << " " << f.body;
    EXPECT_EQ(o.reply.refused, f.refused) << f.status << " " << f.body;
    EXPECT_EQ(o.reply.text, "") << f.body;
  }
}

TEST(ReadCompletion, EveryTruncationIsTriedAgain) {
  const std::string good = R"({"choices":[{"message":{"content":"hi"}}],"usage":{"prompt_tokens":1}})";
  ASSERT_EQ(read_completion(200, good).ending, Ending::answered);
  for (std::size_t n = 0; n < good.size(); ++n) {
    EXPECT_EQ(read_completion(200, good.substr(0, n)).ending, Ending::try_again) << "cut at byte " << n;
  }
}

TEST(ReadCompletion, SurvivesDeepNesting) {
  const std::string deep(1'000'000, '[');
  EXPECT_EQ(read_completion(200, deep).ending, Ending::try_again);
  EXPECT_EQ(read_completion(200, deep + std::string(1'000'000, ']')).ending, Ending::failed);
  EXPECT_EQ(read_completion(400, deep + std::string(1'000'000, ']')).ending, Ending::failed);
}

TEST(WorthRetrying, AreTheStatusesThatPass) {
  for (const long status : {408, 409, 425, 429, 500, 502, 503, 504, 529})
    EXPECT_TRUE(is_worth_retrying(status)) << status;
  for (const long status : {0, 200, 301, 400, 401, 403, 404, 405, 413, 422, 501, 505, 600}) {
    EXPECT_FALSE(is_worth_retrying(status)) << status;
  }
}

TEST(ServerMessage, IsOneShortPrintableLine) {
  EXPECT_EQ(server_message(std::string(1000, 'x')), std::string(300, 'x') + "...");
  EXPECT_EQ(server_message("a\x1b[31m\n\nb\xff"), "a [31m b\uFFFD");
  EXPECT_EQ(server_message(R"({"unknown":1})"), R"({"unknown":1})");
}

TEST(ReadModels, GivesTheIds) {
  EXPECT_EQ(read_models(R"({"data":[{"id":"a"},{"name":"x"},{"id":""},{"id":"b"}]})", "u"),
            (std::vector<std::string>{"a", "b"}));
}

TEST(ReadModels, WhatIsNoListFails) {
  for (const char* body : {"", "[]", "{\"data\":{}}", "<html>"}) {
    try {
      read_models(body, "http://x/v1/models");
      FAIL() << "accepted " << body;
    } catch (const Error& e) {
      EXPECT_EQ(e.kind(), ErrorKind::bad_input);
      EXPECT_THAT(e.what(), HasSubstr("http://x/v1/models: answered with"));
      EXPECT_THAT(e.what(), HasSubstr("that are no list of models"));
    }
  }
}

}  // namespace
}  // namespace gloss::llm
