#include "gloss/exchange/explanation_lines.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "gloss/base/output_file.h"
#include "gloss/base/testing.h"
#include "gloss/score/judge.h"

namespace gloss::exchange {
namespace {

using gloss::testing::error_of;
using gloss::testing::TemporaryFolder;
using ::testing::HasSubstr;

class Lines : public ::testing::Test {
 protected:
  std::vector<GivenExplanation> read(const std::string& text) {
    write_file(folder_.path() / "x.jsonl", text);
    std::vector<GivenExplanation> lines;
    left_out_ =
        each_explanation_line(folder_.path() / "x.jsonl", [&](const GivenExplanation& l) { lines.push_back(l); });
    return lines;
  }
  std::vector<GivenExplanation> read_neuronpedia(const std::string& text) {
    write_file(folder_.path() / "n.jsonl", text);
    std::vector<GivenExplanation> lines;
    left_out_ = each_neuronpedia_line(folder_.path() / "n.jsonl", "layers.5",
                                      [&](const GivenExplanation& l) { lines.push_back(l); });
    return lines;
  }
  TemporaryFolder folder_;
  LeftOut left_out_;
};

TEST_F(Lines, OfAStoreComeBackAsTheyWere) {
  store::Store store(folder_.path() / "results.db");
  for (const std::uint32_t f : {3U, 7U}) {
    store::ExplanationRow row{"layers.2", "pattern", {}};
    row.explanation.latent = LatentId{f};
    row.explanation.text = "the token \"</script>\"\nand \\";
    row.explanation.program = "[1]";
    store.put_explanation(row);
    row.explainer = "shuffled:pattern";
    store.put_explanation(row);
  }
  store::ExplanationRow failed{"layers.2", "default", {}};
  failed.explanation.latent = LatentId{3};
  failed.explanation.failure = "no answer";
  store.put_explanation(failed);
  std::string text;
  EXPECT_EQ(write_explanation_lines(store, {"layers.2"}, [&](std::string_view line) { text += line; }), 3U);
  const std::vector<GivenExplanation> lines = read(text);
  ASSERT_EQ(lines.size(), 2U);
  EXPECT_EQ(left_out_.explanations, 1U);
  EXPECT_EQ(lines[1].row.explanation.latent, LatentId{7});
  EXPECT_EQ(lines[1].row.explainer, "pattern");
  EXPECT_EQ(lines[1].row.explanation.text, "the token \"</script>\"\nand \\");
  EXPECT_EQ(lines[1].row.explanation.program, "[1]");
}

TEST_F(Lines, FaultsNameFileAndLine) {
  const std::string good = R"({"hookpoint":"h","latent":1,"explainer":"e","explanation":"t"})";
  EXPECT_EQ(read(good + "\n\n" + good + "\n").size(), 2U);
  for (const auto& [bad, message] : std::vector<std::pair<std::string, std::string>>{
           {R"({"hookpoint":"h","latent":-1,"explainer":"e","explanation":"t"})",
            "line 2: -1 is not a latent's number"},
           {R"({"hookpoint":"h","latent":4294967296,"explainer":"e","explanation":"t"})", "is not a latent's number"},
           {R"({"hookpoint":"h","explainer":"e","explanation":"t"})", "line 2"},
           {R"({"hookpoint":"h","latent":1,"explainer":"e","explanation":" "})", "line 2: the explanation is empty"},
           {R"({"hookpoint":7,"latent":1,"explainer":"e","explanation":"t"})", "line 2"},
           {"[1]", "line 2"},
           {R"({"hookpoint")", "line 2"}})
    EXPECT_THAT(error_of([&, text = good + "\n" + bad] { read(text); }), HasSubstr(message)) << bad;
}

TEST_F(Lines, NeuronpediasExplanationsAreOfTheirTypeAndModel) {
  const auto lines = read_neuronpedia(
      R"({"id":"a","modelId":"gpt2-small","layer":"5-res-jb","index":"12","authorId":"x","description":" dogs","embedding":null,"typeName":"oai_token-act-pair","explanationModelName":"gpt-4o-mini"})"
      "\n"
      R"({"index":13,"description":"cats","typeName":null,"explanationModelName":null})"
      "\n"
      R"({"index":"14","description":"","typeName":"human"})");
  ASSERT_EQ(lines.size(), 2U);
  EXPECT_EQ(left_out_.explanations, 1U);
  EXPECT_EQ(lines[0].row.hookpoint, "layers.5");
  EXPECT_EQ(lines[0].row.explainer, "neuronpedia:oai_token-act-pair:gpt-4o-mini");
  EXPECT_EQ(lines[0].row.explanation.latent, LatentId{12});
  EXPECT_EQ(lines[1].row.explainer, "neuronpedia:unknown");
  EXPECT_THAT(error_of([&] { read_neuronpedia(R"({"index":"x1","description":"d"})"); }), HasSubstr("latent's number"));
  EXPECT_THAT(error_of([&] { read_neuronpedia(R"({"index":"1"})"); }), HasSubstr("description"));
}

TEST_F(Lines, ScoresComeBackAsTheyWere) {
  store::Store store(folder_.path() / "results.db");
  store::ExplanationRow row{"h", "e", {}};
  row.explanation.latent = LatentId{3};
  row.explanation.text = "dogs";
  store.put_explanation(row);
  score::LatentScore fuzz;
  fuzz.latent = LatentId{3};
  fuzz.tp = 3;
  fuzz.fn = 1;
  fuzz.tn = 6;
  score::add_rates(fuzz);
  fuzz.auc = 0.875;
  fuzz.per_quantile = {score::wilson(1, 2), score::wilson(2, 2)};
  fuzz.measures.push_back({"kappa", {0.5, std::nan(""), std::nan("")}});
  store.put_score({"h", "e", "fuzz", "llm:a", fuzz}, {});
  std::string text;
  write_explanation_lines(store, {"h"}, [&](std::string_view line) { text += line; });
  const std::vector<GivenExplanation> lines = read(text);
  ASSERT_EQ(lines.size(), 1U);
  ASSERT_EQ(lines[0].scores.size(), 1U);
  const score::LatentScore& s = lines[0].scores[0].score;
  EXPECT_EQ(lines[0].scores[0].scorer, "fuzz");
  EXPECT_EQ(lines[0].scores[0].judge, "llm:a");
  EXPECT_EQ(s.tp, 3U);
  EXPECT_EQ(s.balanced_accuracy.value, 0.875);
  EXPECT_EQ(s.auc, 0.875);
  ASSERT_EQ(s.per_quantile.size(), 2U);
  EXPECT_EQ(s.per_quantile[0].value, 0.5);
  EXPECT_EQ(s.per_quantile[1].high, 1.0);
  ASSERT_EQ(s.measures.size(), 1U);
  EXPECT_EQ(s.measures[0].name, "kappa");
  EXPECT_EQ(s.measures[0].value.value, 0.5);
  EXPECT_TRUE(std::isnan(s.measures[0].value.low));
  const std::string begin = R"({"hookpoint":"h","latent":1,"explainer":"e","explanation":"t","scores":)";
  EXPECT_EQ(read(begin + R"([{"scorer":"new","judge":"j"}]})").at(0).scores.size(), 0U);
  EXPECT_EQ(left_out_.scores, 1U);
  for (const auto& [bad, message] : std::vector<std::pair<std::string, std::string>>{
           {R"({}})", "'scores' is object"},
           {R"([{"scorer":"fuzz"}]})", "scores 0"},
           {R"([{"scorer":"fuzz","judge":""}]})", "names no judge"},
           {R"([{"scorer":"fuzz","judge":"j","score":{"value":2}}]})", "balanced accuracy 2"},
           {R"([{"scorer":"simulation","judge":"j","score":{"value":-2}}]})", "correlation -2"},
           {R"([{"scorer":"fuzz","judge":"j","tp":-1}]})", "tp"}})
    EXPECT_THAT(error_of([&, text = begin + bad] { read(text); }), HasSubstr(message)) << bad;
}

}  // namespace
}  // namespace gloss::exchange
