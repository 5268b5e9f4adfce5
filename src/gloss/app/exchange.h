#pragma once
/// What the formats of `gloss export` and `gloss import` share. The table of formats: cmd_exchange.cpp.
#include <cstdint>
#include <string>
#include <vector>

#include "gloss/app/command.h"

namespace gloss::app {

struct ExchangeOptions {
  CommonOptions common;
  std::string run, other, format, tokenizer, model_name, explainer;
  std::string latents = "alive", sae_set = "gloss";
  std::vector<std::string> files;  // to import
  std::vector<std::string> hookpoints;
  std::uint32_t splits = 5;
  std::uint64_t memory = std::uint64_t{1} << 30;
};

/// Of a run: a folder of batch files a hookpoint. Of a batch file: another one, of the latents chosen.
int export_sae_dashboard(const ExchangeOptions& o, Context& context);

}  // namespace gloss::app
