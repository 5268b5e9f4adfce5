#include "gloss/exchange/openai_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>
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
using Json = nlohmann::json;

class OpenAi : public ::testing::Test {
 protected:
  std::vector<GivenExplanation> read(const std::string& text) {
    write_file(folder_.path() / "o.jsonl", text);
    std::vector<GivenExplanation> given;
    reading_ = each_openai_line(folder_.path() / "o.jsonl", "layers.5",
                                [&](const GivenExplanation& e) { given.push_back(e); });
    return given;
  }
  /// A neuron whose explanation has this simulation.
  static std::string neuron(const std::string& simulation) {
    return R"({"neuron_id":{"layer_index":5,"neuron_index":12},"scored_explanations":[{"explanation":"dogs","scored_simulation":)" +
           simulation + "}]}";
  }
  static std::string sequence(const std::string& expected, const std::string& activations, const char* more = "") {
    return R"({"true_activations":)" + activations + R"(,"simulation":{"expected_activations":)" + expected + more +
           "}}";
  }
  static double correlation(const GivenExplanation& given) {
    return score::headline("simulation", given.scores.at(0).score).value.value;
  }
  TemporaryFolder folder_;
  OpenAiReading reading_;
};

TEST_F(OpenAi, ExplanationsAreNumberedByNeuron) {
  const auto lines = read(
      R"({"dataclass_name":"NeuronSimulationResults","neuron_id":{"dataclass_name":"NeuronId","layer_index":5,"neuron_index":12},)"
      R"("scored_explanations":[{"explanation":" dogs","scored_simulation":null},{"explanation":" "},{"explanation":"cats"}]})");
  ASSERT_EQ(lines.size(), 2U);
  EXPECT_EQ(reading_.left_out.explanations, 1U);
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
    EXPECT_THAT(error_of([&, text = bad] { read(text); }), HasSubstr(message)) << bad;
}

TEST_F(OpenAi, TheCorrelationIsOfAllTokensTogether) {
  // Worked by hand: levels 0 10 0 2, activations 0 4 0 0: Sxx = 104 - 36, Syy = 16 - 4, Sxy = 40 - 12.
  const auto lines = read(neuron(R"({"ev_correlation_score":0.5,"scored_sequence_simulations":[)" +
                                 sequence("[0,10]", "[0,4]") + "," + sequence("[0,2]", "[0,0]") + "]}"));
  ASSERT_EQ(lines.size(), 1U);
  EXPECT_EQ(lines[0].scores.at(0).judge, "openai");
  EXPECT_NEAR(correlation(lines[0]), 28.0 / std::sqrt(68.0 * 12.0), 1e-6);
  const score::LatentScore& s = lines[0].scores[0].score;
  EXPECT_EQ(s.tp, 1U);
  EXPECT_EQ(s.fp, 1U);  // level 2 where the neuron is silent
  EXPECT_EQ(reading_.simulated, 1U);
  EXPECT_EQ(reading_.differing, 1U);  // the file says 0.5
}

TEST_F(OpenAi, CalibratedLevelsAreReadBeforeCalibration) {
  const std::string before = R"(,"uncalibrated_simulation":{"expected_activations":[0,10,5]})";
  const auto lines =
      read(neuron(R"({"scored_sequence_simulations":[)" + sequence("[7,7,7]", "[0,2,1]", before.c_str()) + "]}"));
  EXPECT_NEAR(correlation(lines.at(0)), 1.0, 1e-6);
  // In the neuron's unit, 0..10 is 0..the largest activation: 0.02 of 0.1 is level 2.
  const auto own = read(neuron(R"({"scored_sequence_simulations":[)" +
                               sequence("[0,0.02]", "[0,0.1]", R"(,"activation_scale":"neuron_activations")") + "]}"));
  EXPECT_EQ(own.at(0).scores.at(0).score.tp, 1U);
}

TEST_F(OpenAi, WithoutSequencesTheFilesNumberIsTaken) {
  EXPECT_EQ(correlation(read(neuron(R"({"ev_correlation_score":0.5,"scored_sequence_simulations":[]})")).at(0)), 0.5);
  EXPECT_EQ(reading_.simulated, 0U);
  EXPECT_TRUE(read(neuron(R"({"ev_correlation_score":null,"scored_sequence_simulations":[]})")).at(0).scores.empty());
  for (const auto& [bad, message] : std::vector<std::pair<std::string, std::string>>{
           {R"({"ev_correlation_score":2,"scored_sequence_simulations":[]})", "correlation 2"},
           {R"({"scored_sequence_simulations":7})", "wanted a list"},
           {R"({"scored_sequence_simulations":[)" + sequence("[0]", "[0,1]") + "]}", "1 expected activations of 2"},
           {R"({"scored_sequence_simulations":[)" + sequence("[]", "[]") + "]}", "0 expected activations of 0"},
           {R"({"scored_sequence_simulations":[)" + sequence("[null]", "[1]") + "]}", "wanted numbers"}})
    EXPECT_THAT(error_of([&, text = bad] { read(neuron(text)); }), HasSubstr(message)) << bad;
}

TEST_F(OpenAi, WhatIsWrittenIsReadBack) {
  const auto lines = read(openai_results(5, LatentId{7}, {{"cats \"and\"\n", 0.25}, {"dogs", std::nan("")}}));
  ASSERT_EQ(lines.size(), 2U);
  EXPECT_EQ(lines[0].row.explanation.latent, LatentId{7});
  EXPECT_EQ(lines[0].row.explanation.text, "cats \"and\"\n");
  EXPECT_EQ(correlation(lines[0]), 0.25);
  EXPECT_TRUE(lines[1].scores.empty());
  examples::LatentContexts contexts;
  contexts.strongest.push_back({-1, 0, -1, {"a", "b"}, {0.0, 2.5}, 1});
  contexts.mean = 1.25;
  contexts.kurtosis = std::nan("");
  const Json record = Json::parse(openai_record(5, LatentId{7}, contexts));
  EXPECT_EQ(record["dataclass_name"], "NeuronRecord");
  EXPECT_EQ(record["neuron_id"]["layer_index"], 5);
  EXPECT_EQ(record["neuron_id"]["neuron_index"], 7);
  EXPECT_EQ(record["most_positive_activation_records"][0]["tokens"], Json({"a", "b"}));
  EXPECT_EQ(record["most_positive_activation_records"][0]["activations"], Json({0.0, 2.5}));
  EXPECT_EQ(record["mean"], 1.25);
  EXPECT_TRUE(record["kurtosis"].is_null());
}

}  // namespace
}  // namespace gloss::exchange
