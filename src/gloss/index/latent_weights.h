#pragma once
/// What the stages after the cache want of a coder's weights: tokens each latent promotes and suppresses, and its
/// nearest latents. Written by `gloss cache`; bytes on disk: docs/formats/latent-weights.md.
#include <array>
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "gloss/base/ids.h"
#include "gloss/formats/safetensors.h"

namespace gloss::index {

enum class WeightList : std::uint8_t { promoted, suppressed, decoder_neighbours, encoder_neighbours, cooccurring };
inline constexpr std::size_t kWeightLists = 5;
/// "promoted", as the file names the ids; and "promoted_weight", as it names their values.
std::string_view name_of(WeightList list);
std::string_view value_name_of(WeightList list);

/// Id where a list has no more entries.
inline constexpr std::uint32_t kNoEntry = 0xFFFFFFFF;

/// One list of all latents, as it is written. Shapes: id, value [F, n] row-major; both empty = left out.
struct WeightArrays {
  std::vector<std::uint32_t> id;
  std::vector<float> value;
};

struct LatentWeights {
  std::uint32_t latents = 0, entries = 0;  // F, n
  std::uint32_t vocabulary = 0;            // token ids are below this
  std::array<WeightArrays, kWeightLists> lists;
  std::vector<float> logit_moments;            // [F, 4], or empty
  std::vector<std::uint16_t> logit_histogram;  // [F, bins], or empty: between the ends of suppressed and promoted
  std::uint32_t histogram_bins = 0;
  std::map<std::string, std::string> metadata;  // whatever else is to be known of it

  WeightArrays& of(WeightList list) { return lists.at(static_cast<std::size_t>(list)); }
};

/// Writes the file in one step. Requires: arrays of the shapes said. Errors: failed, as OutputFile.
void write_latent_weights(const std::filesystem::path& path, const LatentWeights& weights);

/// Of one latent's V logit weights; kurtosis is 3 for a normal distribution.
struct LogitMoments {
  float mean = 0, deviation = 0, skewness = 0, kurtosis = 0;
};
/// How many of the tokens that were counted have a logit weight in each of the bins, which are of equal width.
struct LogitHistogram {
  double low = 0, high = 0;           // the latent's smallest and largest weight
  std::vector<std::uint16_t> counts;  // [bins]
};
struct WeightEntry {
  std::uint32_t id = 0;  // a token or a latent
  float value = 0;
};

/// Immutable and memory-mapped; copies share the mapping; any thread may use any copy without locks.
class LatentWeightsReader {
 public:
  /// Maps `file` and checks names, types and shapes. Errors: bad_input: missing, cut, not such a file, arrays that
  /// disagree (names array and both shapes).
  static LatentWeightsReader open(const std::filesystem::path& file);
  static LatentWeightsReader parse(MappedFile file);

  std::uint32_t latent_count() const { return latents_; }
  std::uint32_t vocabulary() const { return vocabulary_; }
  const std::map<std::string, std::string>& metadata() const { return file_.metadata(); }
  const std::string& file_name() const { return file_.file_name(); }

  bool has(WeightList list) const { return !ids_.at(static_cast<std::size_t>(list)).empty(); }
  /// Up to n entries, best first; {} when the file does not have the list. Errors: bad_input: f is not below
  /// latent_count(); an id or value that cannot be (names array, latent and what it is).
  std::vector<WeightEntry> entries(WeightList list, LatentId f) const;
  /// Nothing when the file has no logit weights. Errors: bad_input, as entries().
  std::optional<LogitMoments> moments(LatentId f) const;
  /// Nothing when the file has no histograms, as those of an older gloss, or the latent writes nothing. Errors: as
  /// entries().
  std::optional<LogitHistogram> histogram(LatentId f) const;

 private:
  void read_lists();
  void check_latent(LatentId f) const;

  formats::SafeTensors file_;
  std::array<std::span<const std::uint32_t>, kWeightLists> ids_;  // [F, n] each
  std::array<std::span<const float>, kWeightLists> values_;
  std::span<const float> moments_;
  std::span<const std::uint16_t> histogram_;
  std::uint64_t bins_ = 0;
  std::uint32_t latents_ = 0, entries_ = 0, vocabulary_ = 0;
};

}  // namespace gloss::index
