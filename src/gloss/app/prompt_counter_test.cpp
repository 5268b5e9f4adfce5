#include "gloss/app/prompt_counter.h"

#include <gtest/gtest.h>

namespace gloss::app {
namespace {

/// A token a byte.
text::Tokenizer bytes() {
  std::string vocab;
  for (char c = 'a'; c <= 'z'; ++c)
    vocab += std::string(vocab.empty() ? "" : ",") + "\"" + c + "\":" + std::to_string(c - 'a');
  return text::Tokenizer::parse(
      R"({"model":{"type":"BPE","vocab":{)" + vocab + R"(,"\n":26,"?":27},"merges":[],"unk_token":"?"}})", "bytes");
}

llm::Request ask(std::int64_t latent, const std::string& text) {
  llm::Request request;
  request.messages = {{"system", "abcd"}, {"user", text}};
  request.latent = latent;
  return request;
}

TEST(PromptCounter, TellsSharedFromOwnTokensByLatent) {
  PromptCounter counter(
      bytes(), "m", [](const llm::Request& r) { return r.messages.back().content == "xpaid"; }, 0);
  int failed = 0;
  for (const auto& [latent, text] :
       std::vector<std::pair<std::int64_t, std::string>>{{7, "xaaab"}, {7, "xaaacc"}, {9, "xdd"}, {11, "xpaid"}})
    counter.submit(ask(latent, text), [&](const llm::Reply& reply) { failed += reply.ok() ? 0 : 1; });
  counter.run();
  EXPECT_EQ(failed, 4);
  const std::vector<llm::LatentCost> costs = counter.take(3.0);
  ASSERT_EQ(costs.size(), 2U) << "what is paid costs nothing";
  // All begin with "abcd\nx", 6 tokens; each ends with a line break.
  EXPECT_EQ(costs[0].calls, 2);
  EXPECT_EQ(costs[0].shared, 6 + (6 + 3)) << "the second shares aaa with the one before it";
  EXPECT_EQ(costs[0].own, 5 + 3);
  EXPECT_EQ(costs[0].output, 6);
  EXPECT_EQ(costs[1].shared, 6);
  EXPECT_EQ(costs[1].own, 3);
  EXPECT_TRUE(counter.take(3.0).empty());
}

}  // namespace
}  // namespace gloss::app
