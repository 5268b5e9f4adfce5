/// Against whole passes of the same model, one prompt at a time: what is shared, batched and kept must change nothing.
#include "gloss/llm/native_model.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>

#include "gloss/base/error.h"
#include "gloss/base/interrupt.h"
#include "gloss/base/output_file.h"
#include "gloss/base/testing.h"
#include "gloss/llm/chat_template.h"
#include "gloss/llm/client_testing.h"
#include "gloss/model/subject_model.h"
#include "gloss/text/tokenizer.h"

namespace gloss::llm {
namespace {

using testing::error_of;
using ::testing::HasSubstr;
using testing::TemporaryFolder;
namespace fs = std::filesystem;

constexpr double kNear = 2e-5;  // of probabilities: rounding of f32 logits

/// small-model, told that it may read longer texts than it was trained on: what it says is nonsense all the same.
class Native : public ::testing::Test {
 protected:
  Native() {
    const fs::path small = fs::path(GLOSS_SOURCE_DIR) / "small-model/model";
    nlohmann::json config = nlohmann::json::parse(read_file(small / "config.json"));
    config["max_position_embeddings"] = 1024;
    write_file(folder_.path() / "config.json", config.dump());
    for (const char* file : {"model.safetensors", "tokenizer.json"})
      fs::create_symlink(small / file, folder_.path() / file);
  }

  NativeOptions options() const { return {.folder = folder_.path()}; }
  static Request ask(std::string text) {
    Request request;
    request.messages = {
        {"system", "You check descriptions of what a unit responds to. Answer with 0 or 1 and nothing else."},
        {"user", std::move(text)}};
    request.max_tokens = 20;
    return request;
  }
  static Request judge(int explanation, int window) {
    Request request =
        ask(fmt::format("Description: the word number {}, as in the first of them\nExcerpt: \"he went {} times\"",
                        explanation, window * 7));
    request.choices = {"0", "1"};
    return request;
  }
  /// All replies, in the order of the requests.
  static std::vector<Reply> run(NativeModel& model, const std::vector<Request>& requests) {
    std::vector<Reply> replies(requests.size());
    for (std::size_t i = 0; i < requests.size(); ++i)
      model.submit(requests[i], [&replies, i](Reply reply) { replies[i] = std::move(reply); });
    model.run();
    return replies;
  }
  Reply alone(const Request& request) {
    MapCache cache;
    NativeModel model(options(), cache);
    return run(model, {request}).front();
  }

  // The slow way: whole passes.
  std::vector<float> last_logits(const std::vector<TokenId>& tokens) {
    const std::vector<float> all = model::to_host(reference().logits(tokens, 1));
    return {all.end() - reference().config().vocabulary, all.end()};
  }
  const model::SubjectModel& reference() {
    if (!reference_) reference_ = model::SubjectModel::load(folder_.path());
    return *reference_;
  }
  std::vector<TokenId> encode(const std::string& text) { return text::Tokenizer::load(folder_.path()).encode(text); }
  /// P(text goes on with `more`), token by token.
  double probability(const std::string& text, const std::string& more) {
    std::vector<TokenId> tokens = encode(text);
    const std::vector<TokenId> whole = encode(text + more);
    EXPECT_TRUE(std::equal(tokens.begin(), tokens.end(), whole.begin())) << "this tokenizer joins nothing here";
    double log_p = 0.0;
    while (tokens.size() < whole.size()) {
      const std::vector<float> logits = last_logits(tokens);
      double sum = 0.0;
      for (const float l : logits) sum += std::exp(double{l});
      log_p += logits[to_index(whole[tokens.size()])] - std::log(sum);
      tokens.push_back(whole[tokens.size()]);
    }
    return std::exp(log_p);
  }

  TemporaryFolder folder_;
  std::optional<model::SubjectModel> reference_;
};

TEST_F(Native, ProbabilitiesOfChoicesAreThoseOfTheirTokensOneAfterTheOther) {
  MapCache cache;
  NativeModel model(options(), cache);
  Request numbers = ask("Is it so?"), words = ask("Where is it?");
  numbers.choices = {"0", "1"};
  words.choices = {"the river", "nowhere", "a boat by the shore"};
  const std::vector<Reply> replies = run(model, {numbers, words});
  for (const auto& [request, reply] : {std::pair(numbers, replies[0]), std::pair(words, replies[1])}) {
    ASSERT_TRUE(reply.ok()) << reply.failure;
    ASSERT_EQ(reply.probabilities.size(), request.choices.size());
    const std::string prompt = ChatTemplate::plain().render(request.messages);
    std::vector<double> wanted;
    double total = 0.0;
    for (const std::string& choice : request.choices) {
      wanted.push_back(probability(prompt, choice) + probability(prompt, " " + choice));
      total += wanted.back();
    }
    for (std::size_t i = 0; i < wanted.size(); ++i) EXPECT_NEAR(reply.probabilities[i], wanted[i] / total, kNear);
    const auto best = std::max_element(wanted.begin(), wanted.end()) - wanted.begin();
    EXPECT_EQ(reply.text, request.choices[static_cast<std::size_t>(best)]);
    EXPECT_EQ(reply.completion_tokens, 0U);
  }
  EXPECT_EQ(model.totals().completion_tokens, 0U);
}

TEST_F(Native, LossOfAGivenReplyIsThatOfItsTokens) {
  Request request = ask("Where is it?");
  request.choices = {"a boat by the shore"};
  request.per_token = true;
  const Reply reply = alone(request);
  ASSERT_EQ(reply.probabilities.size(), 1U) << reply.failure;
  const std::string prompt = ChatTemplate::plain().render(request.messages);
  const std::size_t tokens = encode(prompt + request.choices[0]).size() - encode(prompt).size();
  ASSERT_GT(tokens, 2U);
  const double whole = probability(prompt, request.choices[0]);
  EXPECT_NEAR(-std::log(reply.probabilities[0]), -std::log(whole) / static_cast<double>(tokens), 1e-4);
}

TEST_F(Native, ValuesAtPlacesHaveTheProbabilitiesOfWholePasses) {
  Request request = ask("Where is it?");
  request.choices = {"river\t?\nboat\t?\n"};
  request.values = {"a", "b", "no single token"};
  for (std::size_t at = request.choices[0].find('?'); at != std::string::npos;
       at = request.choices[0].find('?', at + 1))
    request.places.push_back(at);
  const Reply reply = alone(request);
  ASSERT_EQ(reply.probabilities.size(), 6U) << reply.failure;
  const std::string prompt = ChatTemplate::plain().render(request.messages);
  const text::Tokenizer tokenizer = text::Tokenizer::load(folder_.path());
  for (std::size_t p = 0; p < 2; ++p) {
    const std::vector<TokenId> before = encode(prompt + request.choices[0].substr(0, request.places[p]));
    const std::vector<TokenId> whole = encode(prompt + request.choices[0]);
    if (!std::equal(before.begin(), before.end(), whole.begin())) {
      EXPECT_EQ(reply.probabilities[3 * p], 0.0) << "no token begins there";
      continue;
    }
    const std::vector<float> logits = last_logits(before);
    const double a = std::exp(logits[to_index(*tokenizer.id_of("a"))]),
                 b = std::exp(logits[to_index(*tokenizer.id_of("b"))]);
    EXPECT_NEAR(reply.probabilities[3 * p], a / (a + b), kNear);
    EXPECT_NEAR(reply.probabilities[3 * p + 1], b / (a + b), kNear);
    EXPECT_EQ(reply.probabilities[3 * p + 2], 0.0);
  }
}

TEST_F(Native, GreedyRepliesAreThoseOfWholePasses) {
  const Request request = ask("Tell me of the river and the boat.");
  std::vector<TokenId> tokens = encode(ChatTemplate::plain().render(request.messages));
  const std::size_t prompt = tokens.size();
  const text::Tokenizer tokenizer = text::Tokenizer::load(folder_.path());
  std::string wanted;
  while (tokens.size() < prompt + request.max_tokens) {
    const std::vector<float> logits = last_logits(tokens);
    const TokenId best{static_cast<std::uint32_t>(std::max_element(logits.begin(), logits.end()) - logits.begin())};
    if (to_index(best) == 0) break;
    tokens.push_back(best);
    wanted += tokenizer.token_bytes(best);
  }
  const Reply reply = alone(request);
  EXPECT_EQ(reply.text, wanted);
  EXPECT_EQ(reply.prompt_tokens, prompt);
  EXPECT_EQ(reply.completion_tokens, tokens.size() - prompt);
}

TEST_F(Native, WhatElseIsQueuedAndInWhichOrderChangesNothing) {
  std::vector<Request> requests;
  for (int explanation = 0; explanation < 3; ++explanation)
    for (int window = 0; window < 6; ++window) requests.push_back(judge(explanation, window));
  for (int i = 0; i < 5; ++i) {
    requests.push_back(ask(fmt::format("Go on from {}.", i)));
    requests.back().max_tokens = 5 + 6 * static_cast<std::uint32_t>(i);
  }
  requests.push_back(ask("Draw."));
  requests.back().temperature = 1.0;
  std::vector<Reply> wanted;
  std::uint64_t tokens = 0;
  for (const Request& request : requests) {
    wanted.push_back(alone(request));
    ASSERT_TRUE(wanted.back().ok()) << wanted.back().failure;
    tokens += wanted.back().prompt_tokens + wanted.back().completion_tokens;
  }
  for (int way = 0; way < 4; ++way) {
    NativeOptions with = options();
    if (way == 1) with.batch = 2;
    if (way == 2) with.memory_bytes = 1 << 10;  // nothing is kept, one reply at a time
    MapCache cache;
    NativeModel model(with, cache);
    std::vector<Request> asked = requests;
    if (way == 3) std::reverse(asked.begin(), asked.end());
    std::vector<Reply> replies = run(model, asked);
    if (way == 3) std::reverse(replies.begin(), replies.end());
    for (std::size_t i = 0; i < requests.size(); ++i) {
      EXPECT_EQ(replies[i].text, wanted[i].text) << i;
      EXPECT_EQ(replies[i].hash, wanted[i].hash);
      EXPECT_EQ(replies[i].completion_tokens, wanted[i].completion_tokens);
      ASSERT_EQ(replies[i].probabilities.size(), wanted[i].probabilities.size());
      for (std::size_t c = 0; c < wanted[i].probabilities.size(); ++c)
        EXPECT_NEAR(replies[i].probabilities[c], wanted[i].probabilities[c], kNear) << i;
    }
    const Totals t = model.totals();
    EXPECT_EQ(t.requests, requests.size());
    EXPECT_EQ(t.answered, requests.size());
    EXPECT_LT(t.computed_tokens, tokens * 2 / 3) << "way " << way << ": of " << tokens;
  }
}

TEST_F(Native, WhatWasSharedIsKeptForLaterRequests) {
  MapCache cache;
  NativeModel model(options(), cache);
  const std::vector<Reply> first = run(model, {judge(1, 1), judge(1, 2)});
  const std::uint64_t before = model.totals().computed_tokens;
  const std::vector<Reply> second = run(model, {judge(1, 3)});
  const std::uint64_t own = model.totals().computed_tokens - before;
  EXPECT_LT(own, 25U) << "of a prompt of " << second[0].prompt_tokens;
  EXPECT_GT(second[0].prompt_tokens, 60U);
  EXPECT_NEAR(second[0].probabilities[1], alone(judge(1, 3)).probabilities[1], kNear);
}

TEST_F(Native, ARepliedRequestIsNotComputedAgain) {
  MapCache cache;
  NativeModel model(options(), cache);
  const std::vector<Request> requests = {judge(1, 1), ask("Say it."), judge(1, 1)};
  const std::vector<Reply> first = run(model, requests);
  EXPECT_EQ(cache.replies.size(), 2U);
  EXPECT_EQ(first[2].probabilities, first[0].probabilities);
  EXPECT_TRUE(first[2].from_cache);
  NativeModel again(options(), cache);
  const std::vector<Reply> second = run(again, requests);
  EXPECT_EQ(again.totals().computed_tokens, 0U);
  EXPECT_EQ(again.totals().cached, 3U);
  for (std::size_t i = 0; i < requests.size(); ++i) {
    EXPECT_EQ(second[i].text, first[i].text);
    EXPECT_EQ(second[i].probabilities, first[i].probabilities);
  }
  Request other = requests[1];
  other.stop = {"x"};
  run(again, {other});
  EXPECT_EQ(cache.replies.size(), 3U) << "another stop text is another request";
}

TEST_F(Native, SampledRepliesDependOnTheSeedAlone) {
  Request request = ask("Once upon");
  request.temperature = 1.5;
  const std::string first = alone(request).text;
  EXPECT_EQ(alone(request).text, first);
  request.seed = 8;
  EXPECT_NE(alone(request).text, first);
  request.temperature = 1e-6;
  Request greedy = request;
  greedy.temperature = 0.0;
  EXPECT_EQ(alone(request).text, alone(greedy).text);
}

TEST_F(Native, RepliesEndAtStopTextsAndAtTheirLength) {
  Request request = ask("Tell me of the river and the boat.");
  const Reply whole = alone(request);
  ASSERT_GT(whole.text.size(), 12U);
  request.stop = {"never said", whole.text.substr(9, 3)};
  EXPECT_EQ(alone(request).text, whole.text.substr(0, whole.text.find(request.stop[1])));
  request.stop.clear();
  request.max_tokens = 3;
  const Reply shorter = alone(request);
  EXPECT_EQ(shorter.completion_tokens, 3U);
  EXPECT_TRUE(whole.text.starts_with(shorter.text));
}

TEST_F(Native, WhatCannotBeReadFailsAlone) {
  MapCache cache;
  NativeModel model(options(), cache);
  std::string text;
  for (int i = 0; i < 2000; ++i) text += fmt::format("{} ", i);
  Request nothing = ask("x");
  nothing.max_tokens = 0;
  const std::vector<Reply> replies = run(model, {ask(text), judge(1, 1), nothing});
  EXPECT_THAT(replies[0].failure,
              ::testing::MatchesRegex("the prompt has [0-9]+ tokens, and the model's context is 1024"));
  EXPECT_TRUE(replies[1].ok());
  EXPECT_EQ(replies[2].failure, "asks for a reply of 0 tokens");
  EXPECT_EQ(model.totals().failed, 2U);
  EXPECT_EQ(cache.replies.size(), 1U);
}

TEST_F(Native, AChatTemplateThatRefusesTheMessagesFailsTheRequest) {
  write_file(folder_.path() / "chat_template.jinja", "\n{{ raise_exception('nothing at all') }}");
  EXPECT_THAT(alone(ask("x")).failure, HasSubstr("chat_template.jinja, line 2: refuses the messages: nothing at all"));
}

TEST_F(Native, CallbacksMaySubmitMore) {
  MapCache cache;
  NativeModel model(options(), cache);
  int answered = 0;
  std::function<void(int)> next = [&](int i) {
    model.submit(i % 2 == 0 ? judge(i, 1) : ask(fmt::format("Number {}", i)), [&, i](const Reply& reply) {
      EXPECT_TRUE(reply.ok() || reply.refused) << reply.failure;
      ++answered;
      if (i < 9) next(i + 1);
    });
  };
  next(0);
  model.run();
  EXPECT_EQ(answered, 10);
  EXPECT_THROW(
      {
        model.submit(judge(77, 1), [&](const Reply&) { model.run(); });
        model.run();
      },
      std::logic_error);
}

TEST_F(Native, AnInterruptKeepsWhatIsQueuedAndTheNextRunGoesOn) {
  MapCache cache;
  NativeModel model(options(), cache);
  std::vector<std::string> texts(4);
  for (int i = 0; i < 4; ++i) {
    model.submit(ask(fmt::format("Number {}", i)), [&, i](const Reply& reply) {
      texts[static_cast<std::size_t>(i)] = reply.text + reply.failure;
      set_interrupted(true);
    });
  }
  int rounds = 0;
  for (bool open = true; open; ++rounds) {
    set_interrupted(false);
    const std::string error = error_of([&] {
      model.run();
      throw Error(ErrorKind::failed, "", "done");
    });
    open = error != "done";
    EXPECT_THAT(error, open ? HasSubstr("interrupted") : HasSubstr("done"));
    ASSERT_LT(rounds, 10);
  }
  set_interrupted(false);
  EXPECT_GT(rounds, 1);
  for (int i = 0; i < 4; ++i) {
    const Reply reply = alone(ask(fmt::format("Number {}", i)));
    EXPECT_EQ(texts[static_cast<std::size_t>(i)], reply.text + reply.failure);
  }
}

TEST_F(Native, IsNamedByFolderAndFingerprint) {
  MapCache cache;
  NativeModel model({.folder = folder_.path() / ""}, cache);
  EXPECT_EQ(model.model(),
            fmt::format("{}@{}", folder_.path().filename().string(), reference().fingerprint().substr(0, 8)));
  EXPECT_THAT(error_of([&] { NativeModel({.folder = "/no/such/folder"}, cache); }), HasSubstr("/no/such/folder"));
  EXPECT_THAT(error_of([&] { NativeModel({.folder = folder_.path(), .batch = 0}, cache); }),
              HasSubstr("a batch of 0, wanted 1 to 4096"));
}

}  // namespace
}  // namespace gloss::llm
