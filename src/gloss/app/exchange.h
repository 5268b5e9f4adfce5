#pragma once
/// What the formats of `gloss export` and `gloss import` share. The table of formats: cmd_exchange.cpp.
#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "gloss/app/command.h"
#include "gloss/app/run_folder.h"
#include "gloss/base/ids.h"
#include "gloss/index/reader.h"

namespace gloss::app {

struct ExchangeOptions {
  CommonOptions common;
  std::string run, other, format, tokenizer, model_name, explainer, judge;
  std::string latents = "alive", sae_set = "gloss";
  std::string creator = "clkht01d40000jv08hvalcvly";  // the account of Neuronpedia's own bulk imports
  std::vector<std::string> files;                     // to import
  std::vector<std::string> hookpoints;
  bool no_scores = false;  // to import explanations alone
  std::uint32_t splits = 5;
  std::uint64_t memory = std::uint64_t{1} << 30;
};

/// Of a run: a folder of batch files a hookpoint. Of a batch file: another one, of the latents chosen.
int export_sae_dashboard(const ExchangeOptions& o, Context& context);
/// Neuronpedia's bulk files, a folder a hookpoint.
int export_neuronpedia(const ExchangeOptions& o, Context& context);

/// Explanations with their scores, in one file or in one of each latent.
int export_lines(const ExchangeOptions& o, Context& context);
int export_csv(const ExchangeOptions& o, Context& context);
int export_parquet(const ExchangeOptions& o, Context& context);
int export_openai(const ExchangeOptions& o, Context& context);
int export_delphi_explanations(const ExchangeOptions& o, Context& context);
int export_saebench(const ExchangeOptions& o, Context& context);

/// Explanations and scores of others into a run: all of the files or, at the first fault, nothing of them.
int import_lines(const ExchangeOptions& o, Context& context);
int import_csv(const ExchangeOptions& o, Context& context);
int import_parquet(const ExchangeOptions& o, Context& context);
int import_neuronpedia(const ExchangeOptions& o, Context& context);
int import_openai(const ExchangeOptions& o, Context& context);
int import_saebench(const ExchangeOptions& o, Context& context);
int import_delphi_explanations(const ExchangeOptions& o, Context& context);

/// "" when it is not there.
std::string value_of(const std::map<std::string, std::string>& metadata, const std::string& key);
/// Errors: bad_input when something is there: nothing is replaced.
void must_not_be(const std::filesystem::path& path);
/// Those that --latents chooses of a run's hookpoint. Errors: usage, as examples::LatentSpec.
std::vector<LatentId> chosen_latents(const ExchangeOptions& o, const RunFolder& run, const index::Reader& reader);

}  // namespace gloss::app
