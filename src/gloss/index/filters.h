#pragma once
/// Kinds of latents that are told apart before anything is explained, by numbers gathered while caching and by what a
/// latent writes. Arithmetic only; what the kinds are for: docs/methods.md 13.
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "gloss/index/statistics.h"

namespace gloss::index {

enum class LatentKind : std::uint8_t {
  positional,
  unigram,
  previous_token,
  dense,
  dead,
  single_document,
  special,
  writes_few,
  output,
  unigram_checked,
  previous_token_checked,
  input_score,
  output_score
};
inline constexpr std::size_t kLatentKinds = 13;

/// A kind: its name, as --latents and the store have it, and what is measured of a latent. A latent is of the kind when
/// its number is above the threshold, or not above it where few_is_it.
struct KindInfo {
  LatentKind kind{};
  std::string_view name, measure;
  double threshold = 0.0;  // unless another is given
  bool few_is_it = false;
  std::span<const double> table;  // thresholds that a table shows, ascending
};
std::span<const KindInfo> latent_kinds();
const KindInfo& info(LatentKind kind);
/// Nothing when there is no such kind.
std::optional<LatentKind> find_kind(std::string_view name);
bool is_of_kind(const KindInfo& kind, double value, double threshold);

/// What is known of a latent; what is not has no value.
struct LatentFacts {
  const LatentStatistics* statistics = nullptr;  // required
  double density = 0.0;                          // fraction of indexed tokens
  std::optional<double> kurtosis;                // of its logit weights
  std::optional<double> balanced_accuracy;       // of detection, the best of its explanations
  std::optional<double> input, output;           // scores of index/input_output.h
};
/// The number by which a kind is told. Nothing where it cannot be: a latent that was not cached, that never fires, or
/// too rarely for the tests of tokens to fail; what is not known; kinds that want the model run again.
std::optional<double> measure(LatentKind kind, const LatentFacts& facts);

/// Balanced accuracy of detection below which a latent that writes few tokens is an output latent.
inline constexpr double kPoorDetection = 0.6;

/// -p ln p - (1-p) ln(1-p), nats; 0 at p = 0 and 1.
double binary_entropy(double p);
/// What position_information comes to on average for a latent that fires without regard to position, nats.
/// Source: the bias of mutual information of a variable of T values and one of 2, (T-1) / (2 N), N = contexts * T
/// samples (Miller 1955, "Note on the bias of information estimates").
double position_bias(std::uint64_t contexts, std::uint32_t ctx_len);

/// How many latents of a hookpoint pass each threshold of a kind's table.
class KindTally {
 public:
  explicit KindTally(std::span<const double> thresholds, bool few_is_it)
      : thresholds_(thresholds.begin(), thresholds.end()), few_is_it_(few_is_it), count_(thresholds.size(), 0) {}
  void add(double value);
  std::uint64_t measured() const { return measured_; }  // latents that were given
  std::span<const std::uint64_t> counts() const { return count_; }
  std::span<const double> thresholds() const { return thresholds_; }

 private:
  std::vector<double> thresholds_;
  bool few_is_it_;
  std::vector<std::uint64_t> count_;
  std::uint64_t measured_ = 0;
};

}  // namespace gloss::index
