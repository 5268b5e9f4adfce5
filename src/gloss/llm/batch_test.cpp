#include "gloss/llm/batch.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>

#include "gloss/base/error.h"
#include "gloss/base/testing.h"
#include "gloss/llm/client_testing.h"

namespace gloss::llm {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;

class Batch : public ::testing::Test {
 protected:
  static Request ask(const std::string& text, bool choices = false) {
    Request request;
    request.messages = {{"system", "be exact"}, {"user", text}};
    request.max_tokens = 9;
    request.latent = 17;
    if (choices) request.choices = {"0", "1"};
    return request;
  }
  std::vector<json> lines(const std::filesystem::path& file) const {
    std::ifstream in(file);
    std::vector<json> all;
    for (std::string line; std::getline(in, line);) all.push_back(json::parse(line));
    return all;
  }
  /// Writes requests; gives the lines of the file and how many replies were good.
  std::vector<json> write(const char* dialect, const std::vector<Request>& requests, int good) {
    BatchWriter writer(folder_ / "out.jsonl", find_dialect(dialect), "m", cache_);
    int answered = 0;
    for (const Request& r : requests) writer.submit(r, [&](const Reply& reply) { answered += reply.ok() ? 1 : 0; });
    EXPECT_EQ(answered, 0) << "called from within run()";
    writer.run();
    EXPECT_EQ(answered, good);
    const auto count = writer.finish();
    const std::vector<json> all = lines(folder_ / "out.jsonl");
    EXPECT_EQ(all.size(), count);
    return all;
  }
  BatchRead read(const char* dialect, const std::string& text) {
    std::ofstream(folder_ / "in.jsonl") << text;
    Prices prices = parse_prices("1,1,4");
    return read_batch(folder_ / "in.jsonl", find_dialect(dialect), prices, "there", cache_);
  }
  std::string fault(const std::string& text) {
    try {
      read("openai", text);
    } catch (const Error& e) {
      EXPECT_EQ(e.kind(), ErrorKind::bad_input);
      return e.what();
    }
    return "no error";
  }

  const ::gloss::testing::TemporaryFolder temporary_;
  const std::filesystem::path& folder_ = temporary_.path();
  MapCache cache_;
};

TEST_F(Batch, OpenAiRequestsGoOutOnceAndTheirRepliesAreFoundPaid) {
  const std::vector<Request> requests = {ask("a"), ask("b", true), ask("a")};
  const std::vector<json> out = write("openai", requests, 0);
  ASSERT_EQ(out.size(), 2U);
  EXPECT_EQ(out[0]["method"], "POST");
  EXPECT_EQ(out[0]["url"], "/v1/chat/completions");
  EXPECT_EQ(out[0]["body"]["max_completion_tokens"], 9);
  EXPECT_EQ(out[0]["custom_id"].get<std::string>().substr(32), "-17");
  EXPECT_EQ(out[1]["custom_id"].get<std::string>().substr(32), "-17-0-1");

  std::string results;
  for (const json& line : out) {
    const json top = {{{"token", "1"}, {"logprob", std::log(0.9)}}, {{"token", "0"}, {"logprob", std::log(0.1)}}};
    const json body = {
        {"choices", {{{"message", {{"content", "1"}}}, {"logprobs", {{"content", {{{"top_logprobs", top}}}}}}}}},
        {"usage", {{"prompt_tokens", 100}, {"completion_tokens", 10}}}};
    results =
        json{{"custom_id", line["custom_id"]}, {"response", {{"status_code", 200}, {"body", body}}}, {"error", nullptr}}
            .dump() +
        "\n" + results;
  }
  const BatchRead got = read("openai", results);
  EXPECT_EQ(got.answered, 2U);
  EXPECT_EQ(got.failed, 0U);
  EXPECT_NEAR(got.totals.dollars, 2 * (100 * 1 + 10 * 4) / 1e6 / 2, 1e-12) << "half price";
  EXPECT_EQ(read("openai", results).known, 2U);

  EXPECT_TRUE(write("openai", requests, 3).empty()) << "nothing is left to ask";
  int with_probabilities = 0;
  for (const auto& [hash, reply] : cache_.replies) {
    EXPECT_EQ(reply.latent, 17);
    EXPECT_EQ(reply.provider, "there");
    with_probabilities += reply.probabilities.size() == 2 ? 1 : 0;
  }
  EXPECT_EQ(with_probabilities, 1);
}

TEST_F(Batch, AnthropicRequestsAndEveryKindOfResult) {
  const std::vector<json> out = write("anthropic", {ask("a"), ask("b"), ask("c")}, 0);
  ASSERT_EQ(out.size(), 3U);
  EXPECT_EQ(out[0]["params"]["max_tokens"], 9);
  const json good = {
      {"custom_id", out[0]["custom_id"]},
      {"result", {{"type", "succeeded"}, {"message", {{"content", {{{"type", "text"}, {"text", "hi"}}}}}}}}};
  const json bad = {{"custom_id", out[1]["custom_id"]},
                    {"result", {{"type", "errored"}, {"error", {{"error", {{"message", "too long"}}}}}}}};
  const json late = {{"custom_id", out[2]["custom_id"]}, {"result", {{"type", "expired"}}}};
  const BatchRead got = read("anthropic", bad.dump() + "\n\n" + good.dump() + "\n" + late.dump());
  EXPECT_EQ(got.answered, 1U);
  EXPECT_EQ(got.failed, 2U);
  EXPECT_EQ(got.first_failure, "too long");
  EXPECT_EQ(write("anthropic", {ask("a"), ask("b"), ask("c")}, 1).size(), 2U) << "what failed is asked again";
}

TEST_F(Batch, FaultsSayTheirLine) {
  const std::string id(32, 'a');
  EXPECT_THAT(fault("{}\n"), HasSubstr("in.jsonl:1: its custom_id is none that gloss writes"));
  EXPECT_THAT(fault(R"({"custom_id":"request-1"})"), HasSubstr("custom_id"));
  EXPECT_THAT(fault("\n{\"custom_id\":\"" + id + "-3\"}"), HasSubstr("in.jsonl:2: holds no result"));
  EXPECT_THAT(fault("{\"custom_id\":\"" + id + "-3\",\"resp"), HasSubstr("in.jsonl:1: is no JSON"));
  EXPECT_THROW(BatchWriter(folder_ / "x", find_dialect("openai"), "", cache_), Error);
  EXPECT_THROW(BatchWriter(folder_ / "no/such", find_dialect("openai"), "m", cache_), Error);
}

}  // namespace
}  // namespace gloss::llm
