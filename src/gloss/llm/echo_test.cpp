// What completions that repeat their prompt say of it, as real servers write them, and what is no such answer.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "gloss/llm/client_testing.h"
#include "gloss/llm/protocol.h"

namespace gloss::llm {
namespace {

using nlohmann::json;
using testing::ElementsAre;
using testing::HasSubstr;

const Dialect& completions() { return find_dialect("openai-completions"); }

/// Its prompt is "User: x\n\nAssistant:", 19 bytes.
Request reading(std::string text) {
  Request request = ask("x");
  request.choices = {std::move(text)};
  request.per_token = true;
  return request;
}
const std::string kPrompt = "User: x\n\nAssistant:";

json echoed(const std::string& text, const json& tokens, const json& values) {
  return {{"text", text}, {"logprobs", {{"tokens", tokens}, {"token_logprobs", values}}}};
}

Outcome read(const Request& request, const json& choice) {
  const json body{{"choices", {choice}}, {"usage", {{"prompt_tokens", 9}, {"completion_tokens", 1}}}};
  return completions().read(200, body.dump(), request);
}

TEST(Echo, AsksForThePromptItself) {
  const json body = json::parse(completions().body(reading(" a dog"), "m"));
  EXPECT_EQ(body, json({{"echo", true},
                        {"logprobs", 1},
                        {"max_tokens", 1},
                        {"model", "m"},
                        {"prompt", kPrompt + " a dog"},
                        {"temperature", 0.0}}));
}

TEST(Echo, TheTextsTokensCountAlone) {
  // The token that begins texts is not shown, the one behind the text is what the model wrote.
  const Outcome o = read(reading(" a dog"), echoed(kPrompt + " a dog.", {"<s>", kPrompt, " a", " dog", "."},
                                                   {nullptr, -9.0, -1.0, -2.0, -7.0}));
  ASSERT_EQ(o.ending, Ending::answered) << o.reply.failure;
  ASSERT_EQ(o.reply.probabilities.size(), 1U);
  EXPECT_NEAR(std::log(o.reply.probabilities[0]), -1.5, 1e-12);
  EXPECT_EQ(o.reply.text, " a dog");
  EXPECT_EQ(o.reply.prompt_tokens, 9U);
}

TEST(Echo, ATokenAcrossTheBoundaryIsTheTexts) {
  const Outcome o = read(reading("s and"), echoed(kPrompt + "s and!", {kPrompt.substr(0, 18), ":s", " and", "!"},
                                                  {nullptr, -3.0, -1.0, -7.0}));
  ASSERT_EQ(o.ending, Ending::answered) << o.reply.failure;
  EXPECT_NEAR(std::log(o.reply.probabilities.at(0)), -2.0, 1e-12);
}

TEST(Echo, HalfCharactersArePlacedByTheirOffsets) {
  // llama-cpp-python 0.3 writes the bytes of a character that is two tokens as two empty texts.
  json choice =
      echoed(kPrompt + " d\u00F6ge", {kPrompt, " d", "", "", "g", "e"}, {nullptr, -1.0, -2.0, -3.0, -6.0, -9.0});
  choice["logprobs"]["text_offset"] = {0, 19, 21, 21, 22, 23};
  const Outcome o = read(reading(" d\u00F6g"), choice);
  ASSERT_EQ(o.ending, Ending::answered) << o.reply.failure;
  // The first of the two stands at the place of the second, and has no length of its own there.
  EXPECT_NEAR(std::log(o.reply.probabilities.at(0)), -(1.0 + 2.0 + 3.0 + 6.0) / 4.0, 1e-12);
}

TEST(Echo, ValuesAtPlacesAreThoseAmongTheMostProbableTokens) {
  Request request = reading("a\t0\nb\t7\n");
  request.per_token = false;
  request.places = {2, 6};
  request.values = {"0", "7"};
  const json body = json::parse(completions().body(request, "m"));
  EXPECT_EQ(body["logprobs"], 20);
  const json tops = {nullptr,        json::object(), {{"0", std::log(0.6)}, {"7", std::log(0.2)}, {"x", std::log(0.2)}},
                     json::object(), json::object(), {{"9", -0.1}},
                     json::object(), json::object()};
  json choice = echoed(kPrompt + "a\t0\nb\t7\n!", {kPrompt, "a\t", "0", "\n", "b\t", "7", "\n", "!"},
                       {nullptr, -1.0, -1.0, -1.0, -1.0, -1.0, -1.0, -1.0});
  choice["logprobs"]["top_logprobs"] = tops;
  const Outcome o = read(request, choice);
  ASSERT_EQ(o.ending, Ending::answered) << o.reply.failure;
  ASSERT_EQ(o.reply.probabilities.size(), 4U);
  EXPECT_NEAR(o.reply.probabilities[0], 0.75, 1e-12);
  EXPECT_NEAR(o.reply.probabilities[1], 0.25, 1e-12);
  EXPECT_THAT(std::vector<double>(o.reply.probabilities.begin() + 2, o.reply.probabilities.end()), ElementsAre(0, 0));
}

TEST(Echo, WhatIsNoneIsAFailureWithItsReason) {
  const std::string text = kPrompt + " a dog.";
  const json tokens = {kPrompt, " a", " dog", "."};
  const struct {
    json choice;
    const char* reason;
  } cases[] = {
      {{{"text", "."}, {"logprobs", {{"tokens", {"."}}, {"token_logprobs", {-1}}}}}, "does not repeat"},
      {{{"text", text}}, "gives no log-probabilities"},
      {{{"text", text}, {"logprobs", nullptr}}, "gives no log-probabilities"},
      {echoed(text, tokens, {nullptr, -1.0}), "gives no log-probabilities"},
      {echoed(text, {kPrompt, "?", "?", "."}, {nullptr, -1.0, -1.0, -1.0}), "do not spell the text"},
      {echoed(text, {kPrompt, 3, "?", "."}, {nullptr, -1.0, -1.0, -1.0}), "do not spell the text"},
      {echoed(text, tokens, {nullptr, nullptr, "x", -1.0}), "no token of the text"},
  };
  for (const auto& c : cases) {
    const Outcome o = read(reading(" a dog"), c.choice);
    EXPECT_EQ(o.ending, Ending::failed) << c.choice;
    EXPECT_THAT(o.reply.failure, HasSubstr(c.reason)) << c.choice;
  }
  json far = echoed(text, {kPrompt, "?", "?", "."}, {nullptr, -1.0, -1.0, -1.0});
  for (const json& offsets :
       {json({0, 19, 21, 999}), json({0, 21, 19, 25}), json({0, 1}), json({0, -1, 2, 3}), json(3)}) {
    far["logprobs"]["text_offset"] = offsets;
    EXPECT_THAT(read(reading(" a dog"), far).reply.failure, HasSubstr("do not spell the text")) << offsets;
  }
}

TEST(Echo, NumbersOfAnotherPlaceAreNotTaken) {
  json choice = echoed(kPrompt + " a dog.", {kPrompt, " a", " dog", "."}, {nullptr, -1.0, -2.0, -0.5});
  choice["logprobs"]["top_logprobs"] = {nullptr, {{" the", -0.7}}, {{" cat", -0.3}}, {{".", -0.5}, {"!", -1.5}}};
  ASSERT_EQ(read(reading(" a dog"), choice).ending, Ending::answered);
  // What was written at temperature 0 would have been "!".
  choice["logprobs"]["token_logprobs"][3] = -4.0;
  choice["logprobs"]["top_logprobs"][3] = {{"!", -0.5}, {".", -4.0}};
  const Outcome o = read(reading(" a dog"), choice);
  EXPECT_EQ(o.ending, Ending::failed);
  EXPECT_THAT(o.reply.failure, HasSubstr("not those of the places"));
  choice = echoed(kPrompt + " a dog.", {kPrompt, " a", " dog"}, {nullptr, -1.0, -2.0});
  choice["logprobs"]["text_offset"] = {0, 19, 21};
  EXPECT_THAT(read(reading(" a dog"), choice).reply.failure, HasSubstr("not those of the places")) << "one is missing";
  choice["text"] = kPrompt + " a dog";
  EXPECT_EQ(read(reading(" a dog"), choice).ending, Ending::answered) << "nothing was written";
  choice = echoed(kPrompt + " a dog.", {kPrompt, " a", " dog", "."}, {nullptr, -1.0, -2.0, -0.5});
  // One that tells no others cannot be checked.
  EXPECT_EQ(read(reading(" a dog"), choice).ending, Ending::answered);
}

TEST(Echo, AServerIsAskedOnceWhetherItCan) {
  for (const bool repeats : {true, false}) {
    const ScriptedServer server([&](const Received& r, std::size_t) {
      const std::string prompt = json::parse(r.body)["prompt"];
      json choice = echoed(prompt + ".", {prompt.substr(0, 10), prompt.substr(10), "."}, {nullptr, -1.0, -2.0});
      if (!repeats) choice["text"] = ".";
      return raw(json{{"choices", {choice}}}.dump());
    });
    MapCache cache;
    ClientOptions o = options_for(server);
    o.dialect = "openai-completions";
    for (int command = 0; command < 2; ++command) {
      Client client(o, cache);
      EXPECT_EQ(client.reads_texts(), repeats);
    }
    o.dialect = "openai-chat";
    Client chat(o, cache);
    EXPECT_FALSE(chat.reads_texts());
    EXPECT_EQ(server.count(), repeats ? 1U : 2U) << "what it could not do is asked again by the next command";
  }
}

TEST(Embeddings, AreAskedForAndScaledToUnitNorm) {
  const Dialect& dialect = find_dialect("openai-embeddings");
  EXPECT_STREQ(dialect.path, "/embeddings");
  EXPECT_EQ(dialect.body(embedding_request("a \"dog\""), "m"),
            R"({"encoding_format":"float","input":"a \"dog\"","model":"m"})");
  const Outcome o = dialect.read(200, R"({"data":[{"embedding":[3,-4.0],"index":0}],"usage":{"prompt_tokens":4}})", {});
  ASSERT_EQ(o.ending, Ending::answered);
  EXPECT_THAT(embedding_of(o.reply), ElementsAre(0.6F, -0.8F));
  EXPECT_EQ(o.reply.prompt_tokens, 4U);
  for (const char* body :
       {R"({"data":[]})", R"({"data":[{}]})", R"({"data":[{"embedding":"AAAA"}]})", R"({"data":[{"embedding":[]}]})",
        R"({"data":[{"embedding":[0,0]}]})", R"({"data":[{"embedding":[1,null]}]})",
        R"({"data":[{"embedding":[1e308,1e308]}]})", R"({"choices":[]})"})
    EXPECT_EQ(dialect.read(200, body, {}).ending, Ending::failed) << body;
}

}  // namespace
}  // namespace gloss::llm
