#pragma once
/// What the stages after the cache read of a run: tokens, tokenizer, indexes.
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "gloss/app/run_folder.h"
#include "gloss/examples/examples.h"
#include "gloss/index/latent_weights.h"
#include "gloss/index/reader.h"
#include "gloss/score/judge.h"
#include "gloss/store/store.h"
#include "gloss/text/token_file.h"
#include "gloss/text/tokenizer.h"

namespace gloss::app {

/// Opened once, shared by all threads.
struct RunData {
  /// Made when first wanted (app/semantic_stage.h).
  struct Semantic {
    std::shared_ptr<const examples::SemanticPool> pool;
  };

  RunFolder run;
  text::Tokenizer tokenizer;
  text::TokenFile tokens;
  std::shared_ptr<Semantic> semantic = std::make_shared<Semantic>();

  /// Errors: bad_input when the run has no finished cache.
  static RunData open(const RunFolder& run);
  /// Errors: bad_input when the index belongs to other tokens.
  index::Reader index(const std::string& hookpoint) const;
  /// Nothing when the run has none (an older gloss, --no-weights). Errors: bad_input when they belong to other tokens,
  /// or have not as many latents as the index.
  std::optional<index::LatentWeightsReader> weights(const std::string& hookpoint) const;
};

/// How windows are drawn; kept in the store, so that a scorer draws the very split the explainer left for it.
struct ExampleSettings {
  examples::Options options;
  float tau = 0.3F;
  index::WeightList neighbours = index::WeightList::decoder_neighbours;  // of negatives that neighbours give
  std::string embedding_model;                                           // folder; "" = none
  std::uint32_t semantic_pool = 20'000;                                  // candidates of negatives near in meaning
};
/// Keeps the settings, or checks them against those kept before. Errors: bad_input naming what differs.
void keep_example_settings(store::Store& store, const RunFolder& run, const ExampleSettings& settings);
/// The settings kept; those that gloss explain has by default where explanations were only imported. Errors: bad_input
/// when there are none of either kind.
ExampleSettings kept_example_settings(const store::Store& store, const RunFolder& run);

/// The same, kept from here on: whoever explains or scores later has them too.
ExampleSettings settle_example_settings(store::Store& store, const RunFolder& run);
/// Whether there are any: something was explained, here or elsewhere.
bool has_example_settings(const store::Store& store);

/// Keeps the fingerprint of what an explainer or judge does (model, prompts), or checks it against the one kept:
/// results of two methods must not be mixed under one name. Errors: bad_input when it differs, unless `redo`.
void keep_method(store::Store& store, const RunFolder& run, const std::string& name, const std::string& fingerprint,
                 bool redo);

/// How scorers make questions of those windows.
score::QuestionOptions question_options(const ExampleSettings& settings);

}  // namespace gloss::app
