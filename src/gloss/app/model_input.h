#pragma once
/// Model and text, as `cache` and `train-sae` take them: which tokens the model will see.
#include <CLI/CLI.hpp>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "gloss/app/command.h"
#include "gloss/app/run_folder.h"
#include "gloss/text/token_file.h"
#include "gloss/text/tokenizer.h"

namespace gloss::app {

struct ModelInput {
  std::string model;
  std::vector<std::string> text;
  std::string text_field = "text";
  std::uint64_t tokens = 10'000'000;
  std::uint32_t ctx_len = 256;
  std::string packing = "joined";
  std::string bos = "auto";
  bool shuffle = false;
};
/// Declares --model, --text, --text-field, --shuffle, --packing, --bos, --ctx-len and, when `with_tokens`, --tokens.
void add_model_input(CLI::App& cli, ModelInput& input, bool with_tokens = true);

/// The tokens of RUN/tokens.safetensors, made from the text when they are not there. Also puts tokenizer.json beside
/// them. Errors: bad_input when they are there and were made from other text or settings, or when the text is empty.
text::TokenFile tokens_of_run(const ModelInput& input, const CommonOptions& common, const RunFolder& run,
                              Reporter& reporter);

/// Which token ids are special (never in the index). Shapes: [vocabulary].
std::vector<bool> special_tokens(const text::Tokenizer& tokenizer, std::uint32_t vocabulary);

}  // namespace gloss::app
