// Each dialect: what is sent, byte for byte where it matters, and what answers mean.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "gloss/base/error.h"
#include "gloss/llm/client_testing.h"
#include "gloss/llm/protocol.h"

namespace gloss::llm {
namespace {

using nlohmann::json;
using testing::ElementsAre;
using testing::HasSubstr;

const std::vector<std::string> kChoices = {"0", "1"};

Request few_shot() {
  return {{{"system", "be exact"}, {"user", "first"}, {"assistant", "1"}, {"user", "second"}}, 16, 0.0};
}

Request with_choices() {
  Request request = few_shot();
  request.max_tokens = 1;
  request.choices = kChoices;
  return request;
}

TEST(Dialect, UnknownNamesListTheKnown) {
  try {
    find_dialect("antropic");
    FAIL() << "no error";
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), ErrorKind::usage);
    EXPECT_THAT(e.what(), HasSubstr("openai-chat, openai, openai-completions, anthropic"));
    EXPECT_THAT(e.what(), HasSubstr("did you mean 'anthropic'?"));
  }
}

TEST(Dialect, HashesTellPathsApart) {
  EXPECT_NE(find_dialect("openai-chat").hash("{}"), find_dialect("openai-completions").hash("{}"));
  EXPECT_EQ(find_dialect("openai-chat").hash("{}"), hash_of_body("{}"));
}

TEST(Dialect, KeysGoIntoTheHeaderOfTheDialect) {
  EXPECT_THAT(find_dialect("openai-chat").headers("k"), ElementsAre("Authorization: Bearer k"));
  EXPECT_TRUE(find_dialect("openai-chat").headers("").empty());
  EXPECT_THAT(find_dialect("anthropic").headers("k"), ElementsAre("anthropic-version: 2023-06-01", "x-api-key: k"));
}

TEST(OpenAiChat, ChoicesAskForOneTokenAndTheTopOnes) {
  const json body = json::parse(chat_body(with_choices(), "m"));
  EXPECT_EQ(body["logprobs"], true);
  EXPECT_EQ(body["top_logprobs"], 20);
  EXPECT_EQ(body["max_tokens"], 1);
  const json newer = json::parse(find_dialect("openai").body(with_choices(), "m"));
  EXPECT_EQ(newer["max_completion_tokens"], 1);
  EXPECT_FALSE(newer.contains("max_tokens"));
}

TEST(OpenAiChat, SeedGoesWithSamplingAlone) {
  Request request = few_shot();
  request.seed = 5;
  request.stop = {"\n"};
  EXPECT_FALSE(json::parse(chat_body(request, "m")).contains("seed"));
  request.temperature = 0.7;
  EXPECT_EQ(json::parse(chat_body(request, "m"))["seed"], 5);
  EXPECT_EQ(json::parse(chat_body(request, "m"))["stop"], json({"\n"}));
}

std::string chat_answer(const json& top) {
  return json{
      {"choices", {{{"message", {{"content", "1"}}}, {"logprobs", {{"content", {{{"top_logprobs", top}}}}}}}}},
      {"usage", {{"prompt_tokens", 90}, {"completion_tokens", 1}, {"prompt_tokens_details", {{"cached_tokens", 64}}}}}}
      .dump();
}

TEST(OpenAiChat, ProbabilitiesAreThoseOfTheChoicesWithOrWithoutASpace) {
  const json top = {{{"token", "1"}, {"logprob", std::log(0.5)}},
                    {{"token", " 1"}, {"logprob", std::log(0.1)}},
                    {{"token", "0"}, {"logprob", std::log(0.2)}},
                    {{"token", "Yes"}, {"logprob", std::log(0.2)}}};
  const Outcome o = read_completion(200, chat_answer(top), with_choices());
  EXPECT_EQ(o.ending, Ending::answered);
  ASSERT_EQ(o.reply.probabilities.size(), 2U);
  EXPECT_NEAR(o.reply.probabilities[0], 0.25, 1e-12);
  EXPECT_NEAR(o.reply.probabilities[1], 0.75, 1e-12);
  EXPECT_EQ(o.reply.text, "1");
  EXPECT_EQ(o.reply.prompt_tokens, 90U);
  EXPECT_EQ(o.reply.cached_tokens, 64U);
}

TEST(OpenAiChat, WithoutUsableProbabilitiesTheTextStands) {
  const json tops[] = {
      json::array(), json(3), {{{"token", "Yes"}, {"logprob", -0.1}}}, {{{"token", "1"}, {"logprob", "x"}}}};
  for (const json& top : tops) {
    const Outcome o = read_completion(200, chat_answer(top), with_choices());
    EXPECT_EQ(o.ending, Ending::answered) << top;
    EXPECT_TRUE(o.reply.probabilities.empty()) << top;
    EXPECT_EQ(o.reply.text, "1");
  }
}

TEST(OpenAiCompletions, SendsThePlainConversationAndReadsTextAndTopTokens) {
  const Dialect& dialect = find_dialect("openai-completions");
  EXPECT_STREQ(dialect.path, "/completions");
  const json body = json::parse(dialect.body(with_choices(), "m"));
  EXPECT_EQ(body["prompt"], "System: be exact\n\nUser: first\n\nAssistant: 1\n\nUser: second\n\nAssistant:");
  EXPECT_EQ(body["logprobs"], 5);
  EXPECT_EQ(body["stop"], json({"\n\nUser:"}));
  const std::string answer =
      json{{"choices",
            {{{"text", " 0"}, {"logprobs", {{"top_logprobs", {{{" 0", std::log(0.6)}, {" 1", std::log(0.2)}}}}}}}}},
           {"usage", {{"prompt_tokens", 20}, {"completion_tokens", 1}}}}
          .dump();
  const Outcome o = dialect.read(200, answer, with_choices());
  ASSERT_EQ(o.reply.probabilities.size(), 2U);
  EXPECT_NEAR(o.reply.probabilities[0], 0.75, 1e-12);
  EXPECT_EQ(o.reply.text, "0");
  EXPECT_EQ(dialect.read(200, answer, {}).reply.text, " 0");
  EXPECT_TRUE(dialect.read(200, R"({"choices":[{"text":" ","finish_reason":"length"}]})", {}).reply.refused);
}

TEST(Anthropic, TellsTheCacheWhereTheSharedPartEnds) {
  const Dialect& dialect = find_dialect("anthropic");
  EXPECT_STREQ(dialect.path, "/messages");
  const json body = json::parse(dialect.body(few_shot(), "m"));
  const json cache = {{"type", "ephemeral"}};
  EXPECT_EQ(body["system"], json({{{"type", "text"}, {"text", "be exact"}}}));
  ASSERT_EQ(body["messages"].size(), 3U);
  EXPECT_EQ(body["messages"][1]["content"][0]["cache_control"], cache);
  EXPECT_FALSE(body["messages"][2]["content"][0].contains("cache_control"));
  EXPECT_EQ(body["max_tokens"], 16);
  Request one = few_shot();
  one.messages = {{"system", "be exact"}, {"user", "only"}};
  EXPECT_EQ(json::parse(dialect.body(one, "m"))["system"][0]["cache_control"], cache);
  one.messages = {{"user", "only"}};
  EXPECT_THAT(dialect.body(one, "m"), testing::Not(HasSubstr("cache_control")));
}

TEST(Anthropic, TakesTextAndAllKindsOfTokens) {
  const Outcome o = find_dialect("anthropic")
                        .read(200, R"({"content":[{"type":"thinking","thinking":"x"},
      {"type":"text","text":"a"},{"type":"text","text":"b"}],"stop_reason":"end_turn",
      "usage":{"input_tokens":10,"cache_read_input_tokens":300,"cache_creation_input_tokens":40,"output_tokens":7}})",
                              {});
  EXPECT_EQ(o.ending, Ending::answered);
  EXPECT_EQ(o.reply.text, "ab");
  EXPECT_EQ(o.reply.prompt_tokens, 350U);
  EXPECT_EQ(o.reply.cached_tokens, 300U);
  EXPECT_EQ(o.reply.kept_tokens, 40U);
  EXPECT_EQ(o.reply.completion_tokens, 7U);
}

TEST(Anthropic, SaysWhatIsWrongAndWhetherToTryAgain) {
  const ReadFault faults[] = {
      {200, "", Ending::try_again, "the reply of 0 bytes is not JSON"},
      {200, "[]", Ending::failed, "the reply holds no list of content"},
      {200, R"({"content":[]})", Ending::failed, "the reply has no content (finish_reason not given)", true},
      {200, R"({"content":[{"type":"tool_use"}],"stop_reason":"tool_use"})", Ending::failed,
       "the reply has no content (finish_reason tool_use)", true},
      {200, R"({"content":[],"stop_reason":"refusal"})", Ending::failed, "the model refused", true},
      {200, R"({"content":[{"type":"text","text":"No."}],"stop_reason":"refusal"})", Ending::failed,
       "the model refused: No.", true},
      {200, R"({"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}})", Ending::try_again,
       "the server answered 200 with an error: Overloaded"},
      {529, R"({"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}})", Ending::try_again,
       "the server answered 529: Overloaded"},
      {400, R"({"type":"error","error":{"type":"invalid_request_error","message":"max_tokens"}})", Ending::failed,
       "the server answered 400: max_tokens"},
      {401, R"({"type":"error","error":{"type":"authentication_error","message":"invalid x-api-key"}})",
       Ending::key_refused, "the server answered 401: invalid x-api-key"},
  };
  for (const ReadFault& f : faults) {
    const Outcome o = find_dialect("anthropic").read(f.status, f.body, {});
    EXPECT_EQ(o.ending, f.ending) << f.body;
    EXPECT_EQ(o.reply.failure, f.failure) << f.body;
    EXPECT_EQ(o.reply.refused, f.refused) << f.body;
  }
}

TEST(Dialects, AnAnswerCutAtAnyByteIsNeverTakenForOne) {
  const std::string answers[] = {
      chat_answer({{{"token", "1"}, {"logprob", -0.1}}}), R"({"choices":[{"text":"hi"}]})",
      R"({"content":[{"type":"text","text":"a"}],"stop_reason":"end_turn","usage":{"input_tokens":1}})"};
  const char* names[] = {"openai-chat", "openai-completions", "anthropic"};
  for (std::size_t i = 0; i < 3; ++i) {
    const Dialect& dialect = find_dialect(names[i]);
    EXPECT_EQ(dialect.read(200, answers[i], with_choices()).ending, Ending::answered);
    for (std::size_t n = 0; n < answers[i].size(); ++n)
      EXPECT_EQ(dialect.read(200, answers[i].substr(0, n), with_choices()).ending, Ending::try_again)
          << names[i] << " " << n;
  }
}

}  // namespace
}  // namespace gloss::llm
