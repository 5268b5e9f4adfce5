#pragma once
/// Running the subject model again after the cache: on texts written for a latent, on scrambled ones, and with a
/// latent's direction turned up.
#include <CLI/CLI.hpp>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "gloss/app/coder_input.h"
#include "gloss/app/run_data.h"
#include "gloss/base/reporter.h"
#include "gloss/dashboard/live_model.h"
#include "gloss/index/scrambled.h"
#include "gloss/model/steering.h"
#include "gloss/model/subject_model.h"
#include "gloss/score/generation.h"
#include "gloss/score/intervention.h"

namespace gloss::app {

struct SubjectOptions {
  std::string model;  // "" = as the run was cached
  CoderInput coder;   // no folder = as the run was cached
  std::string device = "cpu";
  std::uint32_t controls = 10;       // latents of the same density that generation compares with
  std::uint32_t text_tokens = 64;    // of a written text that are read
  std::uint32_t prompts = 10;        // of intervention, drawn from the run's contexts
  std::uint32_t prompt_tokens = 32;  // of each
  model::SteeringOptions steering;
};
/// Declares --model, --sae and what belongs to the coder, and --subject-device.
void add_subject_source(CLI::App& cli, SubjectOptions& options);
/// These, and the counts of generation and intervention.
void add_subject(CLI::App& cli, SubjectOptions& options);

/// The model and coders that a run was cached with. Threads: one call at a time.
class Subject {
 public:
  /// Errors: usage when neither flags nor the run say where the model or the coders are; bad_input when they are not
  /// those of the run; those of loading.
  Subject(const SubjectOptions& options, const RunData& data, std::uint64_t seed, std::size_t threads,
          Reporter& report);

  /// Which hookpoint is meant from now on. Errors: bad_input when its coder is not that of the run.
  void select(const std::string& hookpoint);
  /// The latent, and others drawn from the 50 nearest in density that fire at all.
  std::vector<score::Watched> watch(LatentId latent) const;
  /// The largest activation of each latent in each text, special tokens left aside. Texts begin as the run's contexts
  /// do and are cut to `text_tokens`. Shapes: [texts][latents]. Errors: those of the tokenizer and the model.
  std::vector<std::vector<float>> fire(const std::vector<std::string>& texts,
                                       std::span<const score::Watched> latents) const;
  /// Which latents fire in texts of kScrambledTokens ids, behind the token that the run's contexts begin with, which is
  /// left aside. Shapes: ids [texts * kScrambledTokens]. Errors: those of the model.
  std::vector<index::ScrambledFirings> fire(std::span<const TokenId> ids) const;
  /// What fires in a text of one's own, read as the run's contexts begin, at each token but that beginning; nothing at
  /// special tokens. Texts are cut to `most` tokens. Errors: those of the tokenizer and the model.
  dashboard::TextReading read(const std::string& text, std::size_t most) const;
  /// The prompt continued by `tokens` most probable tokens, without and with `strength` times the latent's largest
  /// activation times its decoder row added at every token. Errors: bad_input when the coder has no decoder; usage when
  /// the texts do not fit the model's context, or there is no token.
  dashboard::SteeredText continued(const std::string& prompt, LatentId latent, double strength,
                                   std::uint32_t tokens) const;
  /// Why latents of this hookpoint promote no tokens; "" = they do.
  std::string why_promotes_nothing() const;
  /// The tokens of the n largest logit weights of each latent, best first, [F, n]; index::kNoEntry where there are
  /// fewer. Requires: why_promotes_nothing() is empty.
  std::vector<std::uint32_t> promoted(std::size_t n, std::size_t threads) const;
  /// Logits of the token after the prompt, for each latent with `factor` times the largest activation of any latent at
  /// the prompt's last token (of any of its tokens, where none fires at the last) times the latent's decoder row added
  /// there. Shapes: [latents, V]. Errors: bad_input when the coder has no decoder, or nothing fires on the prompt.
  std::vector<float> turned_up(const std::string& prompt, std::span<const LatentId> latents, double factor) const;
  /// Fingerprints of model and coder.
  std::string model_fingerprint() const { return model_.fingerprint(); }
  std::string coder_fingerprint() const { return place_->coder.fingerprint(); }
  /// Tokens that are not special and that both the tokenizer and the model have.
  std::vector<TokenId> ordinary_tokens() const;
  /// Errors: bad_input when the coder has no decoder.
  score::SteeredTexts steer(LatentId latent);
  /// Hash of what, besides the run's model and coders, the texts depend on.
  std::string fingerprint() const;

 private:
  struct Place {
    std::string hookpoint;
    index::Reader reader;
    sparse::Coder coder;
    model::Hookpoint reads, reconstructs;
    std::vector<LatentId> by_density;  // those that fire
    std::unique_ptr<model::Steering> steering;
    std::map<LatentId, score::SteeredTexts> steered;
  };
  model::Steering& steering();
  std::vector<TokenId> beginning(const std::string& text) const;
  std::span<const float> decoder_of(const char* what) const;
  std::vector<TokenId> prompt_tokens() const;
  std::vector<std::string> texts_of(const model::Continuations& tokens) const;

  SubjectOptions options_;
  const RunData* data_;
  std::uint64_t seed_;
  Reporter* report_;
  model::SubjectModel model_;
  std::optional<TokenId> bos_;
  std::vector<bool> special_;
  std::optional<Place> place_;
};

}  // namespace gloss::app
