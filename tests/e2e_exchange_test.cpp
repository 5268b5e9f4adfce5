// Other tools' files, in and out, and caches that are made in parts.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <zlib.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "shared_run.h"

namespace {

namespace fs = std::filesystem;
using gloss::testing::cache_command;
using gloss::testing::cached_run;
using gloss::testing::content;
using gloss::testing::kIndex;
using gloss::testing::kModel;
using gloss::testing::Outcome;
using gloss::testing::run_gloss;
using gloss::testing::TemporaryFolder;
using ::testing::HasSubstr;

TEST(Delphi, ACacheGoesOutComesBackAndIsExplained) {
  const TemporaryFolder folder("delphi");
  const std::string out = (folder.path() / "out").string(), back = (folder.path() / "back").string();
  Outcome outcome = run_gloss({"export", cached_run().string(), out, "--format", "delphi", "--splits", "3"});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_THAT(outcome.err, HasSubstr("not in delphi's cache: firings at special tokens"));
  EXPECT_TRUE(fs::exists(out + "/latents/layers.2/config.json"));
  outcome = run_gloss({"export", cached_run().string(), out, "--format", "delphi"});
  EXPECT_EQ(outcome.code, 3);
  EXPECT_THAT(outcome.err, HasSubstr("is there already"));

  const std::vector<std::string> import = {"import", back, out, "--format", "delphi", "--tokenizer", kModel};
  outcome = run_gloss(import);
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_THAT(run_gloss(import).err, HasSubstr("already imported"));
  EXPECT_EQ(run_gloss({"check", back}).code, 0);
  // The same firings: exported again they are the same files.
  const std::string again = (folder.path() / "again").string();
  ASSERT_EQ(run_gloss({"export", back, again, "--format", "delphi", "--splits", "3"}).code, 0);
  for (const auto& entry : fs::directory_iterator(out + "/latents/layers.2")) {
    if (entry.path().extension() != ".safetensors") continue;
    EXPECT_TRUE(content(entry.path()) == content(again + "/latents/layers.2/" + entry.path().filename().string()))
        << entry.path();
  }
  ASSERT_EQ(run_gloss({"explain", back, "--latents", "random:10"}).code, 0);
  outcome = run_gloss({"score", back, "--json"});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_EQ(nlohmann::json::parse(outcome.out)["scores"][0]["latents"], 10);
}

TEST(Explanations, GoOutComeBackUnderAnotherNameAndScoreTheSame) {
  const TemporaryFolder folder("lines");
  const std::string run = gloss::testing::copy_of_run(folder).string();
  const std::string file = (folder.path() / "x.jsonl").string();
  ASSERT_EQ(run_gloss({"explain", run, "--latents", "random:8"}).code, 0);
  ASSERT_EQ(run_gloss({"score", run, "--shuffled", "none"}).code, 0);
  Outcome outcome = run_gloss({"export", run, file, "--format", "jsonl"});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_THAT(run_gloss({"export", run, file, "--format", "jsonl"}).err, HasSubstr("is there already"));
  outcome = run_gloss({"import", run, file, "--format", "jsonl"});
  EXPECT_THAT(outcome.err, HasSubstr("8 were there already"));
  outcome = run_gloss({"import", run, file, "--format", "jsonl", "--explainer", "theirs", "--no-scores"});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_THAT(outcome.err, HasSubstr("8 explanations by 'theirs'"));
  outcome = run_gloss({"score", run, "--explainer", "theirs", "--shuffled", "none", "--json"});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  const auto scores = nlohmann::json::parse(outcome.out)["scores"];
  ASSERT_EQ(scores.size(), 4U);
  for (const auto& own : scores) {
    for (const auto& other : scores) {
      if (own["scorer"] == other["scorer"]) {
        EXPECT_EQ(own["score"], other["score"]);
      }
    }
  }
  EXPECT_EQ(run_gloss({"check", run}).code, 0);
}

TEST(SaeDashboard, LatentsGoOutAreShownAndAreWrittenAgain) {
  const TemporaryFolder folder("dashboard");
  const std::string out = (folder.path() / "out").string(), again = (folder.path() / "again.json").string();
  const std::vector<std::string> command = {"export",           cached_run().string(), out,
                                            "--format",         "sae-dashboard",       "--latents",
                                            "alive,random:150", "--sae-set",           "res"};
  Outcome outcome = run_gloss(command);
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_THAT(outcome.err, HasSubstr("150 latents written to 2 files"));
  EXPECT_THAT(outcome.err, HasSubstr("not in sae-dashboard's files: explanations, scores"));
  EXPECT_THAT(run_gloss(command).err, HasSubstr("is there already"));
  const std::string file = out + "/layers.2/batch-1.json";
  const auto batch = nlohmann::json::parse(content(file));
  ASSERT_EQ(batch["features"].size(), 22U);
  EXPECT_EQ(batch["layer"], 2);
  const auto& feature = batch["features"][0];
  EXPECT_EQ(feature["pos_str"].size(), 10U);
  std::size_t tokens = 0;  // of a vocabulary of 1,024
  for (const auto& height : feature["logits_hist_data_bar_heights"]) tokens += height.get<std::size_t>();
  EXPECT_EQ(tokens, 1024U);
  EXPECT_EQ(feature["logits_hist_data_bar_values"].size(), 50U);
  EXPECT_LT(feature["logits_hist_data_bar_values"][49], feature["pos_values"][0]);
  const auto& strongest = feature["activations"][0];
  const auto at = strongest["qualifying_token_index"].get<std::size_t>();
  EXPECT_EQ(strongest["values"][at], strongest["bin_max"]);
  EXPECT_GT(strongest["bin_max"], 0.0);

  const std::string latent = feature["feature_index"].dump();
  outcome = run_gloss({"show", file, latent});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_THAT(outcome.out, HasSubstr(": latent " + latent + "\n"));
  EXPECT_THAT(outcome.out, HasSubstr(">>"));
  ASSERT_EQ(run_gloss({"export", file, again, "--format", "sae-dashboard"}).code, 0);
  EXPECT_EQ(nlohmann::json::parse(content(again)), batch);
  const auto one = nlohmann::json::parse(run_gloss({"show", file, latent, "--json"}).out);
  EXPECT_EQ(one["features"], nlohmann::json::array({feature}));
  EXPECT_EQ(run_gloss({"show", file, "999999"}).code, 3);
  EXPECT_EQ(run_gloss({"show", file, "x"}).code, 2);
}

TEST(Csv, ATableGoesOutAndComesBackUnderAnotherName) {
  const TemporaryFolder folder("csv");
  const std::string run = gloss::testing::copy_of_run(folder).string();
  const std::string file = (folder.path() / "x.csv").string(), again = (folder.path() / "again.csv").string();
  ASSERT_EQ(run_gloss({"explain", run, "--latents", "random:8"}).code, 0);
  ASSERT_EQ(run_gloss({"score", run, "--shuffled", "none"}).code, 0);
  Outcome outcome = run_gloss({"export", run, file, "--format", "csv"});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_THAT(outcome.err, HasSubstr("8 explanations written"));
  EXPECT_THAT(content(file), ::testing::StartsWith("hookpoint,latent,explainer,explanation,"));
  EXPECT_THAT(run_gloss({"export", run, file, "--format", "csv"}).err, HasSubstr("is there already"));
  EXPECT_THAT(run_gloss({"import", run, file, "--format", "csv"}).err, HasSubstr("8 were there already"));
  outcome = run_gloss({"import", run, file, "--format", "csv", "--explainer", "theirs"});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_THAT(outcome.err, HasSubstr("8 explanations by 'theirs'"));
  EXPECT_THAT(outcome.err, HasSubstr("scores by the judge 'imported:pattern'"));
  EXPECT_THAT(run_gloss({"import", run, file, "--format", "csv", "--explainer", "theirs"}).err,
              HasSubstr("scores were there already"));
  ASSERT_EQ(run_gloss({"score", run, "--explainer", "theirs", "--shuffled", "none"}).code, 0);
  // Scored by the same judge on the same windows, theirs have the rows of ours under another name, and so have those
  // that came with the file.
  ASSERT_EQ(run_gloss({"export", run, again, "--format", "csv"}).code, 0);
  std::string judged, imported;
  std::istringstream rows(content(again));
  for (std::string row; std::getline(rows, row);) {
    const auto at = row.find(",theirs,");
    if (at != std::string::npos) row.replace(at, 8, ",pattern,");
    const std::string judge = ",imported:pattern,";
    const auto of_file = row.find(judge);
    if (of_file != std::string::npos) row.replace(of_file, judge.size(), ",pattern,");
    const bool heading = row.rfind("hookpoint", 0) == 0;
    if (heading || (at != std::string::npos && of_file == std::string::npos)) judged += row + "\n";
    if (heading || of_file != std::string::npos) imported += row + "\n";
  }
  EXPECT_EQ(judged, content(file));
  EXPECT_EQ(imported, content(file));
  ASSERT_EQ(run_gloss({"report", run}).code, 0);  // imported scores have no judgements
  const Outcome parquet = run_gloss({"export", run, (folder.path() / "x.parquet").string(), "--format", "parquet"});
  if (parquet.code != 0) {
    EXPECT_THAT(parquet.err, HasSubstr("./setup --arrow"));
  }
}

TEST(Csv, SomebodyElsesExplanationsAreJudgedInARunThatExplainedNothing) {
  const TemporaryFolder folder("labels");
  const std::string run = gloss::testing::copy_of_run(folder).string();
  const std::string file = (folder.path() / "x.csv").string(), again = (folder.path() / "again.csv").string();
  ASSERT_EQ(run_gloss({"explain", run, "--latents", "random:4"}).code, 0);
  ASSERT_EQ(run_gloss({"score", run, "--shuffled", "none"}).code, 0);
  ASSERT_EQ(run_gloss({"export", run, file, "--format", "csv"}).code, 0);
  const std::string other = (folder.path() / "other").string();
  fs::copy(cached_run(), other, fs::copy_options::recursive);
  EXPECT_THAT(run_gloss({"score", other}).err, HasSubstr("nothing was explained yet"));
  ASSERT_EQ(run_gloss({"import", other, file, "--format", "csv", "--no-scores"}).code, 0);
  const Outcome outcome = run_gloss({"score", other, "--shuffled", "none"});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  ASSERT_EQ(run_gloss({"export", other, again, "--format", "csv"}).code, 0);
  EXPECT_EQ(content(again), content(file));  // on the windows that explaining here would have left for it
  ASSERT_EQ(run_gloss({"report", other}).code, 0);
  ASSERT_EQ(run_gloss({"explain", other, "--latents", "random:4"}).code, 0);
}

TEST(OpenAi, ExplanationsOfNeuronsAreTaken) {
  const TemporaryFolder folder("openai");
  const std::string run = gloss::testing::copy_of_run(folder).string();
  ASSERT_EQ(run_gloss({"explain", run, "--latents", "alive,random:2"}).code, 0);
  const std::string lines = (folder.path() / "x.jsonl").string(), file = (folder.path() / "7.jsonl").string();
  ASSERT_EQ(run_gloss({"export", run, lines, "--format", "jsonl"}).code, 0);
  const auto first = nlohmann::json::parse(content(lines).substr(0, content(lines).find('\n')));
  nlohmann::json record = {{"neuron_id", {{"layer_index", 2}, {"neuron_index", first["latent"]}}}};
  record["scored_explanations"] = {{{"explanation", "dogs"}}};
  std::ofstream(file) << record.dump() << "\n";
  std::vector<std::string> import = {"import", run, file, "--format", "openai"};
  EXPECT_EQ(run_gloss(import).code, 2);  // whose latents they are is not said
  import.insert(import.end(), {"--hookpoint", "layers.2"});
  Outcome outcome = run_gloss(import);
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_THAT(outcome.err, HasSubstr("1 explanations by 'openai'"));
  EXPECT_THAT(run_gloss(import).err, HasSubstr("1 were there already"));
}

TEST(OpenAi, ARunIsWrittenAsNeuronRecordsAndResults) {
  const TemporaryFolder folder("openai-out");
  const std::string run = gloss::testing::copy_of_run(folder).string(), out = (folder.path() / "out").string();
  ASSERT_EQ(run_gloss({"explain", run, "--latents", "alive,random:3"}).code, 0);
  ASSERT_EQ(run_gloss({"score", run, "--scorer", "simulation", "--shuffled", "none"}).code, 0);
  const std::string lines = (folder.path() / "x.jsonl").string();
  ASSERT_EQ(run_gloss({"export", run, lines, "--format", "jsonl"}).code, 0);
  std::istringstream rows(content(lines));
  std::string row, list;
  std::vector<nlohmann::json> wanted;
  while (std::getline(rows, row)) wanted.push_back(nlohmann::json::parse(row));
  for (const auto& one : wanted) list += (list.empty() ? "" : ",") + one["latent"].dump();
  const std::vector<std::string> command = {"export", run, out, "--format", "openai", "--latents", list};
  const Outcome outcome = run_gloss(command);
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_THAT(outcome.err, HasSubstr("3 neuron records and 3 files of explanations"));
  EXPECT_EQ(run_gloss(command).code, 3);  // is there already
  const std::string other = (folder.path() / "other").string();
  fs::copy(gloss::testing::cached_run(), other, fs::copy_options::recursive);
  for (const auto& one : wanted) {
    const std::string name = one["latent"].dump();
    const fs::path record_file = fs::path(out) / "collated-activations/2" / (name + ".json");
    const fs::path results_file = fs::path(out) / "explanations/2" / (name + ".jsonl");
    const auto record = nlohmann::json::parse(content(record_file));
    const auto& strongest = record["most_positive_activation_records"][0];
    double largest = 0;
    for (const auto& value : strongest["activations"]) largest = std::max(largest, value.get<double>());
    EXPECT_NEAR(largest, one["max_activation"].get<double>(), 1e-3 * largest);
    EXPECT_EQ(strongest["tokens"].size(), strongest["activations"].size());
    const Outcome import = run_gloss({"import", other, results_file.string(), "--format", "openai", "--hookpoint",
                                      "layers.2", "--explainer", "pattern"});
    ASSERT_EQ(import.code, 0) << import.err;
  }
  const std::string back = (folder.path() / "back.jsonl").string();
  ASSERT_EQ(run_gloss({"export", other, back, "--format", "jsonl"}).code, 0);
  std::istringstream again(content(back));
  for (const auto& one : wanted) {
    ASSERT_TRUE(std::getline(again, row));
    const auto found = nlohmann::json::parse(row);
    EXPECT_EQ(found["explanation"], one["explanation"]);
    const auto& value = one["scores"][0]["score"]["value"];
    if (value.is_null()) continue;  // a constant side has no correlation
    EXPECT_EQ(found["scores"][0]["judge"], "imported:openai");
    EXPECT_EQ(found["scores"][0]["score"]["value"], value);
  }
}

TEST(SaeBench, AResultGoesOutAndComesBackWithTheSameCounts) {
  const TemporaryFolder folder("saebench");
  const std::string run = gloss::testing::copy_of_run(folder).string(), out = (folder.path() / "out").string();
  ASSERT_EQ(run_gloss({"explain", run, "--latents", "alive,random:5"}).code, 0);
  EXPECT_THAT(run_gloss({"export", run, out, "--format", "saebench"}).err, HasSubstr("has no scores by detection"));
  ASSERT_EQ(run_gloss({"score", run}).code, 0);
  const Outcome outcome = run_gloss({"export", run, out, "--format", "saebench", "--sae-set", "small"});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  const std::string file = out + "/autointerp/small_layers.2_eval_results.json";
  const auto json = nlohmann::json::parse(content(file));
  EXPECT_EQ(json["eval_result_unstructured"].size(), 5U);
  const Outcome import =
      run_gloss({"import", run, file, "--format", "saebench", "--hookpoint", "layers.2", "--explainer", "pattern"});
  ASSERT_EQ(import.code, 0) << import.err;
  EXPECT_THAT(import.err, HasSubstr("5 were there already"));
  EXPECT_THAT(import.err, HasSubstr("5 scores were there already"));  // the same counts by the same judge
}

TEST(DelphiExplanations, AreTakenWithTheirJudgements) {
  const TemporaryFolder folder("delphi-explanations");
  const std::string run = gloss::testing::copy_of_run(folder).string();
  const fs::path theirs = folder.path() / "theirs";
  fs::create_directories(theirs / "explanations");
  fs::create_directories(theirs / "scores/detection");
  std::ofstream(theirs / "explanations/layers.2_latent5.txt") << "\"dogs\"";
  std::ofstream(theirs / "scores/detection/layers.2_latent5.txt")
      << R"([{"activating":true,"prediction":true,"distance":0},{"activating":false,"prediction":false,"distance":-1}])";
  const Outcome outcome = run_gloss({"import", run, theirs.string(), "--format", "delphi-explanations"});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_THAT(outcome.err, HasSubstr("1 explanations by 'delphi'"));
  EXPECT_THAT(outcome.err, HasSubstr("1 scores by the judge 'imported:delphi'"));
  const std::string lines = (folder.path() / "x.jsonl").string();
  ASSERT_EQ(run_gloss({"export", run, lines, "--format", "jsonl"}).code, 0);
  const auto kept = nlohmann::json::parse(content(lines));
  EXPECT_EQ(kept["explanation"], "dogs");
  EXPECT_EQ(kept["scores"][0]["tp"], 1);
  EXPECT_EQ(kept["scores"][0]["tn"], 1);
}

TEST(DelphiExplanations, GoOutAndComeBackWithTheSameCounts) {
  const TemporaryFolder folder("delphi-out");
  const std::string run = gloss::testing::copy_of_run(folder).string(), out = (folder.path() / "out").string();
  ASSERT_EQ(run_gloss({"explain", run, "--latents", "alive,random:4"}).code, 0);
  ASSERT_EQ(run_gloss({"score", run, "--shuffled", "none"}).code, 0);
  const std::vector<std::string> command = {"export", run, out, "--format", "delphi-explanations"};
  const Outcome outcome = run_gloss(command);
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_THAT(outcome.err, HasSubstr("4 explanations and 8 files of judgements"));
  EXPECT_EQ(run_gloss(command).code, 3);  // is there already
  std::size_t strongest = 0;
  for (const auto& file : fs::directory_iterator(out + "/scores/detection")) {
    for (const auto& one : nlohmann::json::parse(content(file.path()))) {
      ASSERT_EQ(one["str_tokens"].size(), 32U);
      double largest = 0;
      for (const auto& value : one["activations"]) largest = std::max(largest, value.get<double>());
      EXPECT_EQ(one["activating"], largest > 0);
      EXPECT_EQ(one["distance"] >= 0, one["activating"]);
      strongest += one["distance"] == 0 ? 1 : 0;
    }
  }
  EXPECT_GT(strongest, 0U);
  const Outcome import = run_gloss({"import", run, out, "--format", "delphi-explanations", "--explainer", "pattern"});
  ASSERT_EQ(import.code, 0) << import.err;
  EXPECT_THAT(import.err, HasSubstr("4 were there already"));
  EXPECT_THAT(import.err, HasSubstr("8 scores by the judge 'imported:delphi'"));
  const std::string lines = (folder.path() / "x.jsonl").string();
  ASSERT_EQ(run_gloss({"export", run, lines, "--format", "jsonl"}).code, 0);
  std::istringstream rows(content(lines));
  for (std::string row; std::getline(rows, row);) {
    const auto scores = nlohmann::json::parse(row)["scores"];
    ASSERT_EQ(scores.size(), 4U);  // detection and fuzz, by each judge
    for (std::size_t i = 0; i < scores.size(); i += 2) {
      EXPECT_EQ(scores[i]["scorer"], scores[i + 1]["scorer"]);
      for (const char* key : {"tp", "fp", "tn", "fn", "failed", "auc", "per_decile"})
        EXPECT_EQ(scores[i].value(key, nlohmann::json()).dump(), scores[i + 1].value(key, nlohmann::json()).dump())
            << key;
    }
  }
}

/// The lines of a gzip file, parsed.
std::vector<nlohmann::json> packed_lines(const std::string& file) {
  gzFile in = gzopen(file.c_str(), "rb");
  EXPECT_NE(in, nullptr) << file;
  std::string text;
  std::vector<char> block(std::size_t{1} << 16);
  for (int n = 0; in != nullptr && (n = gzread(in, block.data(), static_cast<unsigned>(block.size()))) > 0;)
    text.append(block.data(), static_cast<std::size_t>(n));
  if (in != nullptr) {
    EXPECT_EQ(gzclose(in), Z_OK);
  }
  std::vector<nlohmann::json> lines;
  std::istringstream all(text);
  for (std::string line; std::getline(all, line);) lines.push_back(nlohmann::json::parse(line));
  return lines;
}

/// Every line has the keys of the first, whose columns Neuronpedia's import takes for all.
void expect_same_keys(const std::vector<nlohmann::json>& lines) {
  ASSERT_FALSE(lines.empty());
  for (const nlohmann::json& line : lines) {
    ASSERT_EQ(line.size(), lines.front().size());
    for (const auto& [key, value] : lines.front().items()) ASSERT_TRUE(line.contains(key)) << key;
  }
}

TEST(Neuronpedia, BulkFilesGoOutAndTheirExplanationsComeBack) {
  const TemporaryFolder folder("neuronpedia");
  const std::string run = gloss::testing::copy_of_run(folder).string();
  const std::string out = (folder.path() / "out").string(), source = out + "/v1/small/2-res/";
  ASSERT_EQ(run_gloss({"explain", run, "--latents", "random:8"}).code, 0);
  const std::vector<std::string> command = {"export",       run,    out, "--format", "neuronpedia", "--sae-set", "Res",
                                            "--model-name", "Small"};
  Outcome outcome = run_gloss(command);
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_THAT(outcome.err, HasSubstr("8 explanations written"));
  EXPECT_THAT(outcome.err, HasSubstr("not in Neuronpedia's bulk files: scores"));
  EXPECT_THAT(run_gloss(command).err, HasSubstr("is there already"));

  const auto features = packed_lines(source + "features/batch-0.jsonl.gz");
  const auto activations = packed_lines(source + "activations/batch-0.jsonl.gz");
  const auto explanations = packed_lines(source + "explanations/batch-0.jsonl.gz");
  for (const auto& lines : {features, activations, explanations}) expect_same_keys(lines);
  EXPECT_EQ(explanations.size(), 8U);
  std::map<std::string, double> largest;
  std::set<std::string> ids;
  for (const auto& row : activations) {
    EXPECT_EQ(row["tokens"].size(), row["values"].size());
    EXPECT_EQ(row["values"][row["maxValueTokenIndex"].get<std::size_t>()], row["maxValue"]);
    EXPECT_EQ(row["layer"], "2-res");
    ids.insert(row["id"]);
    double& most = largest[row["index"]];
    most = std::max(most, row["maxValue"].get<double>());
  }
  EXPECT_EQ(ids.size(), activations.size());
  ASSERT_EQ(features.size(), largest.size());
  for (const auto& row : features) EXPECT_EQ(row["maxActApprox"], largest[row["index"]]) << row["index"];
  EXPECT_EQ(features[0]["hookName"], "blocks.2.hook_resid_post");
  EXPECT_EQ(features[0]["pos_str"].size(), 10U);
  EXPECT_EQ(features[0]["logits_hist_data_bar_heights"].size(), 50U);
  EXPECT_EQ(nlohmann::json::parse(content(source + "source.jsonl"))["setName"], "res");
  EXPECT_EQ(nlohmann::json::parse(content(out + "/v1/config/explanation_type.jsonl"))["name"], "gloss_pattern");

  // The same texts come back as an explainer of their own, and go out again under their own type.
  const std::string packed = source + "explanations/batch-0.jsonl.gz";
  outcome = run_gloss({"import", run, packed, "--format", "neuronpedia", "--hookpoint", "layers.2"});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_THAT(outcome.err, HasSubstr("8 explanations by 'neuronpedia:gloss_pattern'"));
  const std::string again = (folder.path() / "again").string();
  ASSERT_EQ(run_gloss({"export", run, again, "--format", "neuronpedia", "--model-name", "small"}).code, 0);
  const auto both = packed_lines(again + "/v1/small/2-gloss/explanations/batch-0.jsonl.gz");
  ASSERT_EQ(both.size(), 16U);
  for (std::size_t i = 0; i < both.size(); i += 2) {
    EXPECT_EQ(both[i]["description"], both[i + 1]["description"]);
    EXPECT_EQ(both[i]["description"], explanations[i / 2]["description"]);
    EXPECT_EQ(both[i]["typeName"], both[i + 1]["typeName"]);
    EXPECT_NE(both[i]["id"], both[i + 1]["id"]);
  }
}

TEST(Neuronpedia, NamesThatAreNoFoldersAreRefused) {
  const TemporaryFolder folder("neuronpedia-names");
  const std::string out = (folder.path() / "out").string();
  const Outcome outcome =
      run_gloss({"export", cached_run().string(), out, "--format", "neuronpedia", "--model-name", "a/b"});
  EXPECT_EQ(outcome.code, 3);
  EXPECT_THAT(outcome.err, HasSubstr("a/b: cannot be the model's id"));
  EXPECT_FALSE(fs::exists(out));
}

TEST(Delphi, WhatIsMissingIsNamed) {
  const TemporaryFolder folder("delphi-faults");
  Outcome outcome = run_gloss(
      {"import", (folder.path() / "x").string(), cached_run().string(), "--format", "delphi", "--tokenizer", kModel});
  EXPECT_EQ(outcome.code, 3);
  EXPECT_THAT(outcome.err, HasSubstr("holds no delphi cache"));
  outcome = run_gloss({"import", (folder.path() / "x").string(), cached_run().string(), "--format", "delphi"});
  EXPECT_EQ(outcome.code, 2);
  EXPECT_THAT(outcome.err, HasSubstr("--tokenizer DIR"));
  outcome = run_gloss({"export", cached_run().string(), (folder.path() / "x").string(), "--format", "delhpi"});
  EXPECT_EQ(outcome.code, 2);
  EXPECT_THAT(outcome.err, HasSubstr("did you mean 'delphi'?"));
}

TEST(Merge, ShardsWithAThresholdAndAFilterGiveTheBytesOfOneCache) {
  const TemporaryFolder folder("filtered-shards");
  const auto command = [&](const std::string& name, const std::vector<std::string>& more) {
    std::vector<std::string> all = cache_command((folder.path() / name).string(), "20k");
    all.insert(all.end(), {"--threshold", "0.5", "--latents", "0-99,200", "--no-weights"});
    all.insert(all.end(), more.begin(), more.end());
    return all;
  };
  std::vector<std::string> merge{"merge", (folder.path() / "whole").string()};
  for (const std::string part : {"1/2", "2/2"}) {
    const Outcome outcome = run_gloss(command("part" + part.substr(0, 1), {"--shard", part}));
    ASSERT_EQ(outcome.code, 0) << outcome.err;
    merge.push_back((folder.path() / ("part" + part.substr(0, 1))).string());
  }
  ASSERT_EQ(run_gloss(command("one", {})).code, 0);
  const Outcome outcome = run_gloss(merge);
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  const std::string whole = content(folder.path() / "whole" / kIndex);
  EXPECT_GT(whole.size(), 1000U);
  EXPECT_TRUE(whole == content(folder.path() / "one" / kIndex));
  EXPECT_TRUE(content(folder.path() / "whole/latents/layers.2/statistics.safetensors") ==
              content(folder.path() / "one/latents/layers.2/statistics.safetensors"));
}

}  // namespace
