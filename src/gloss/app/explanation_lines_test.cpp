#include "gloss/app/explanation_lines.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "gloss/base/output_file.h"
#include "gloss/base/testing.h"

namespace gloss::app {
namespace {

using gloss::testing::error_of;
using gloss::testing::TemporaryFolder;
using ::testing::HasSubstr;

class Lines : public ::testing::Test {
 protected:
  std::vector<ExplanationLine> read(const std::string& text) {
    write_file(folder_.path() / "x.jsonl", text);
    std::vector<ExplanationLine> lines;
    left_out_ =
        each_explanation_line(folder_.path() / "x.jsonl", [&](const ExplanationLine& l) { lines.push_back(l); });
    return lines;
  }
  std::vector<ExplanationLine> read_neuronpedia(const std::string& text) {
    write_file(folder_.path() / "n.jsonl", text);
    std::vector<ExplanationLine> lines;
    left_out_ = each_neuronpedia_line(folder_.path() / "n.jsonl", "layers.5",
                                      [&](const ExplanationLine& l) { lines.push_back(l); });
    return lines;
  }
  TemporaryFolder folder_;
  std::size_t left_out_ = 0;
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
  const std::vector<ExplanationLine> lines = read(text);
  ASSERT_EQ(lines.size(), 2U);
  EXPECT_EQ(left_out_, 1U);
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
    EXPECT_THAT(error_of([&, text = bad] { read(good + "\n" + text); }), HasSubstr(message)) << bad;
}

TEST_F(Lines, NeuronpediasExplanationsAreOfTheirTypeAndModel) {
  const auto lines = read_neuronpedia(
      R"({"id":"a","modelId":"gpt2-small","layer":"5-res-jb","index":"12","authorId":"x","description":" dogs","embedding":null,"typeName":"oai_token-act-pair","explanationModelName":"gpt-4o-mini"})"
      "\n"
      R"({"index":13,"description":"cats","typeName":null,"explanationModelName":null})"
      "\n"
      R"({"index":"14","description":"","typeName":"human"})");
  ASSERT_EQ(lines.size(), 2U);
  EXPECT_EQ(left_out_, 1U);
  EXPECT_EQ(lines[0].row.hookpoint, "layers.5");
  EXPECT_EQ(lines[0].row.explainer, "neuronpedia:oai_token-act-pair:gpt-4o-mini");
  EXPECT_EQ(lines[0].row.explanation.latent, LatentId{12});
  EXPECT_EQ(lines[1].row.explainer, "neuronpedia:unknown");
  EXPECT_THAT(error_of([&] { read_neuronpedia(R"({"index":"x1","description":"d"})"); }), HasSubstr("latent's number"));
  EXPECT_THAT(error_of([&] { read_neuronpedia(R"({"index":"1"})"); }), HasSubstr("description"));
}

TEST_F(Lines, OpenAisExplanationsAreNumberedByNeuron) {
  const auto read_openai = [&](const std::string& text) {
    write_file(folder_.path() / "o.jsonl", text);
    std::vector<ExplanationLine> lines;
    left_out_ =
        each_openai_line(folder_.path() / "o.jsonl", "layers.5", [&](const ExplanationLine& l) { lines.push_back(l); });
    return lines;
  };
  const auto lines = read_openai(
      R"({"dataclass_name":"NeuronSimulationResults","neuron_id":{"dataclass_name":"NeuronId","layer_index":5,"neuron_index":12},)"
      R"("scored_explanations":[{"explanation":" dogs","scored_simulation":null},{"explanation":" "},{"explanation":"cats"}]})");
  ASSERT_EQ(lines.size(), 2U);
  EXPECT_EQ(left_out_, 1U);
  EXPECT_EQ(lines[0].row.hookpoint, "layers.5");
  EXPECT_EQ(lines[0].row.explainer, "openai");
  EXPECT_EQ(lines[0].row.explanation.latent, LatentId{12});
  EXPECT_EQ(lines[0].row.explanation.text, " dogs");
  EXPECT_EQ(lines[1].row.explainer, "openai:3");
  for (const auto& [bad, message] : std::vector<std::pair<std::string, std::string>>{
           {R"({"neuron_id":{"layer_index":4,"neuron_index":1},"scored_explanations":[]})", "layer_index 4, wanted 5"},
           {R"({"neuron_id":{"layer_index":5},"scored_explanations":[]})", "neuron_index"},
           {R"({"neuron_id":{"layer_index":5,"neuron_index":-1},"scored_explanations":[]})", "latent's number"},
           {R"({"neuron_id":{"layer_index":5,"neuron_index":1},"scored_explanations":{}})", "wanted a list"},
           {R"({"neuron_id":{"layer_index":5,"neuron_index":1},"scored_explanations":[{}]})", "scored_explanations 0"},
           {R"({"scored_explanations":[]})", "neuron_id"}})
    EXPECT_THAT(error_of([&, text = bad] { read_openai(text); }), HasSubstr(message)) << bad;
}

}  // namespace
}  // namespace gloss::app
