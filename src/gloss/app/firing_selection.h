#pragma once
/// Which firings `gloss cache` keeps: --threshold and --latents, and never those at special tokens.
#include <CLI/CLI.hpp>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "gloss/base/ids.h"
#include "gloss/index/writer.h"
#include "gloss/sparse/encoded.h"

namespace gloss::app {

struct FiringSelection {
  double threshold = 0.0;       // activations above it are kept
  std::string latents = "all";  // as --latents of the other commands
};
/// Declares --threshold and --latents.
void add_firing_selection(CLI::App& cli, FiringSelection& selection);

/// What is kept of one hookpoint.
class KeptFirings {
 public:
  /// Errors: usage: a threshold that is no number from 0, latents that cannot be read or are not there.
  KeptFirings(const FiringSelection& selection, const std::string& hookpoint, std::uint32_t latent_count,
              std::uint64_t seed);

  /// [F], 1 for latents that are kept; empty when all are.
  const std::vector<std::uint8_t>& latents() const { return latents_; }
  /// Whether no latent of this hookpoint is.
  bool none() const { return kept_ == 0; }
  /// What to write down of it, in metadata and in manifests: `threshold`, `latents`, `latents_chosen` (a fingerprint of
  /// their numbers). Empty by default.
  const std::map<std::string, std::string>& settings() const { return settings_; }

  /// Splits the firings of a batch that begins at `first_position`, from `resume_position` on, into those to keep and
  /// those at special tokens. Shapes: encoded and ids [N]; special [V].
  void collect(const sparse::Encoded& encoded, std::span<const TokenId> ids, const std::vector<bool>& special,
               std::uint64_t first_position, std::uint64_t resume_position, std::vector<index::Firing>& kept,
               std::vector<index::Firing>& at_special) const;

 private:
  std::vector<std::uint8_t> latents_;
  std::size_t kept_ = 0;
  float threshold_ = 0.0F;
  std::map<std::string, std::string> settings_;
};

}  // namespace gloss::app
