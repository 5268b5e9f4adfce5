#pragma once
/// Is a latent known by what it reads or by what it writes? An input score and an output score of each latent.
/// Arithmetic and file; the model is run by others. Source: Arad, Mueller and Belinkov 2025, "SAEs Are Good for
/// Steering - If You Select the Right Features" (arXiv 2505.20063), section 3; docs/methods.md 13. Bytes on disk:
/// docs/formats/input-output.md.
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "gloss/base/ids.h"
#include "gloss/index/reader.h"

namespace gloss::index {

inline constexpr std::size_t kReadWrittenTokens = 20;     // tokens of the largest logit weights that both scores go by
inline constexpr std::uint32_t kMostInputContexts = 100;  // the strongest of those in which the latent fires
inline constexpr std::uint32_t kLeastInputContexts = 10;  // with fewer there is no input score

/// In how many of a latent's strongest contexts the strongest token is one that it promotes.
struct InputCount {
  std::uint32_t hits = 0, contexts = 0;
};
/// Of the contexts in which `f` fires the kMostInputContexts of the largest maximum, the earlier of equal ones; the
/// strongest token of each, the first of equal ones. Shapes: tokens [tokens of the index]; promoted: token ids,
/// kNoEntry for none.
InputCount count_input(const Reader& reader, std::span<const TokenId> tokens, LatentId f,
                       std::span<const std::uint32_t> promoted);

/// (1 - rank / V) p: p is the probability of the most probable of the promoted tokens, rank how many tokens are more
/// probable than it; 0 when nothing is promoted. Shapes: logits [V] of the next token; promoted: ids below V, or
/// kNoEntry. Requires: logits are finite.
double output_score(std::span<const float> logits, std::span<const std::uint32_t> promoted);

/// Of all F latents of a hookpoint. NaN and 0 contexts = not measured.
struct InputOutput {
  std::vector<float> input, output;         // [F] each, in [0, 1]
  std::vector<std::uint32_t> contexts;      // [F], the denominator of input
  std::map<std::string, std::string> made;  // what the scores were made from

  static InputOutput empty(std::uint32_t latents);
  std::optional<double> input_of(LatentId f) const;
  std::optional<double> output_of(LatentId f) const;
};

/// In one step. Errors: failed, as OutputFile.
void write_input_output(const std::filesystem::path& path, const InputOutput& scores);
/// Errors: bad_input: missing, cut, not such a file, arrays that disagree, a value that cannot be.
InputOutput read_input_output(const std::filesystem::path& path);

}  // namespace gloss::index
