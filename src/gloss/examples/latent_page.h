#pragma once
/// What dashboards of other tools show of one latent: its tokens, a histogram, its strongest contexts and some of each
/// interval. Source: jbloomAus/SAEDashboard, sequence_data_generator.py and utils_fns.py.
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "gloss/index/latent_weights.h"
#include "gloss/index/reader.h"
#include "gloss/text/token_file.h"
#include "gloss/text/tokenizer.h"

namespace gloss::examples {

/// A context shown for one of its tokens.
struct PageSequence {
  double bin_min = -1, bin_max = 0;  // the interval of that token's activation; -1 and the maximum: a strongest one
  double bin_contains = -1;          // share of all tokens in the interval, 0 to 1; -1: a strongest one
  std::vector<std::string> tokens;   // [T], valid UTF-8
  std::vector<double> values;        // [T], 0 where the latent is silent
  std::int64_t at = -1;              // the token it is shown for, from 0; -1 = not said

  bool is_top() const { return bin_contains < 0; }
};

struct LatentPage {
  LatentId latent{};
  double density = 0, max = 0;  // fraction of tokens; the largest activation as stored
  std::vector<std::pair<std::string, double>> promoted, suppressed;
  std::vector<index::WeightEntry> neighbours;    // nearest decoder rows and their cosines
  std::vector<double> histogram_values;          // middles of equal bins over the activations
  std::vector<std::uint64_t> histogram_heights;  // firings in each
  std::vector<double> logit_values;              // the same of its logit weights, where the run has their histogram
  std::vector<std::uint64_t> logit_heights;      // tokens in each, of those that were counted
  std::vector<PageSequence> sequences;           // the strongest first, then by interval from the highest
};

struct PageOptions {
  std::uint32_t top = 20;       // contexts of the strongest firings
  std::uint32_t intervals = 5;  // of equal width from 0 to the maximum
  std::uint32_t each = 5;       // contexts of each interval, at random
  std::uint32_t tokens = 10;    // promoted and suppressed
  std::uint32_t bins = 50;      // of the histogram
  std::uint64_t seed = 1;
};

/// Sequences are whole contexts without the special tokens they begin with. Intervals draw of the firings in them, and
/// one without firings has no sequence; bin_contains counts the silent tokens in the lowest. `weights`: null leaves
/// out tokens and neighbours.
/// Requires: latent below the index's latent count; tokens are the index's. Errors: bad_input: the index is damaged.
LatentPage latent_page(const index::Reader& reader, const text::TokenFile& tokens, const text::Tokenizer& tokenizer,
                       const index::LatentWeightsReader* weights, LatentId latent, const PageOptions& options);

/// Whole contexts of one latent, and the moments of its activations over all tokens that are not special, silent ones
/// as 0: skewness and kurtosis are the third and fourth standardized central moments (a normal one has kurtosis 3), NaN
/// where the variance is 0.
struct LatentContexts {
  std::vector<PageSequence> strongest, random;  // by their largest activation; whatever the latent does
  double mean = 0, variance = 0, skewness = 0, kurtosis = 0;
};
/// At most `count` of each, those at random without regard to the strongest. Requires and errors: as latent_page().
LatentContexts latent_contexts(const index::Reader& reader, const text::TokenFile& tokens,
                               const text::Tokenizer& tokenizer, LatentId latent, std::uint32_t count,
                               std::uint64_t seed);

}  // namespace gloss::examples
