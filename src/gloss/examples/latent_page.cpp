#include "gloss/examples/latent_page.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>
#include <span>

#include "gloss/base/random.h"
#include "gloss/base/utf8.h"
#include "gloss/examples/active_windows.h"

namespace gloss::examples {
namespace {

std::string token_text(const text::Tokenizer& tokenizer, TokenId id) {
  if (to_index(id) >= tokenizer.vocabulary_size()) return "<|outofrange|>";
  return replace_invalid_utf8(tokenizer.token_bytes(id));
}

std::vector<std::pair<std::string, double>> listed_tokens(const index::LatentWeightsReader& weights,
                                                          index::WeightList list, LatentId latent, std::size_t most,
                                                          const text::Tokenizer& tokenizer) {
  std::vector<std::pair<std::string, double>> tokens;
  for (const index::WeightEntry& entry : weights.entries(list, latent)) {
    if (tokens.size() == most) break;
    tokens.emplace_back(token_text(tokenizer, TokenId{entry.id}), entry.value);
  }
  return tokens;
}

void fill_histogram(LatentPage& page, const std::vector<float>& values, std::uint32_t bins) {
  if (values.empty() || bins == 0) return;
  const auto [low, high] = std::minmax_element(values.begin(), values.end());
  const double begin = *low;
  const double width = (static_cast<double>(*high) - begin) / bins;
  page.histogram_heights.assign(bins, 0);
  for (const float value : values) {
    const double bin = width > 0 ? (value - begin) / width : 0.0;
    ++page.histogram_heights[std::min<std::size_t>(static_cast<std::size_t>(bin), bins - 1)];
  }
  for (std::uint32_t i = 0; i < bins; ++i) page.histogram_values.push_back(begin + (i + 0.5) * width);
}

/// Makes sequences of one latent's firings.
class Sequences {
 public:
  Sequences(const index::Firings& firings, const text::TokenFile& tokens, const text::Tokenizer& tokenizer)
      : firings_(firings), tokens_(tokens), tokenizer_(tokenizer) {}

  /// Of a firing's context, shown for that token.
  PageSequence of_firing(std::size_t firing) const {
    const std::uint32_t position = firings_.position[firing];
    return of_token(position / tokens_.ctx_len(), position % tokens_.ctx_len());
  }
  PageSequence of_token(std::uint32_t context, std::size_t own) const {
    PageSequence sequence;
    const std::span<const TokenId> ids = tokens_.context(context);
    const std::vector<float> activation = activations_in(firings_, context * tokens_.ctx_len(), tokens_.ctx_len());
    std::size_t begin = 0;
    while (begin < own && is_special(ids[begin])) ++begin;
    for (std::size_t i = begin; i < ids.size(); ++i) {
      sequence.tokens.push_back(token_text(tokenizer_, ids[i]));
      sequence.values.push_back(activation[i]);
    }
    sequence.at = static_cast<std::int64_t>(own - begin);
    return sequence;
  }

 private:
  bool is_special(TokenId id) const { return to_index(id) < tokenizer_.vocabulary_size() && tokenizer_.is_special(id); }

  const index::Firings& firings_;
  const text::TokenFile& tokens_;
  const text::Tokenizer& tokenizer_;
};

}  // namespace

LatentPage latent_page(const index::Reader& reader, const text::TokenFile& tokens, const text::Tokenizer& tokenizer,
                       const index::LatentWeightsReader* weights, LatentId latent, const PageOptions& options) {
  ActiveWindows active(reader, tokens.ctx_len());
  active.find(latent);  // checks the positions
  const index::Firings& firings = active.firings();
  LatentPage page;
  page.latent = latent;
  page.density = reader.density(latent);
  if (weights != nullptr) {
    page.promoted = listed_tokens(*weights, index::WeightList::promoted, latent, options.tokens, tokenizer);
    page.suppressed = listed_tokens(*weights, index::WeightList::suppressed, latent, options.tokens, tokenizer);
    page.neighbours = weights->entries(index::WeightList::decoder_neighbours, latent);
    if (const auto histogram = weights->histogram(latent)) {
      const auto width = (histogram->high - histogram->low) / static_cast<double>(histogram->counts.size());
      for (std::size_t i = 0; i < histogram->counts.size(); ++i)
        page.logit_values.push_back(histogram->low + (static_cast<double>(i) + 0.5) * width);
      page.logit_heights.assign(histogram->counts.begin(), histogram->counts.end());
    }
  }
  std::vector<float> values(firings.size());
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = firings.value(i);
  // Of the activations as stored, which may be rounded above the index's maximum, so that the intervals hold them all.
  if (!values.empty()) page.max = *std::max_element(values.begin(), values.end());
  fill_histogram(page, values, options.bins);

  const Sequences sequences(firings, tokens, tokenizer);
  std::vector<std::size_t> order(values.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return values[a] > values[b]; });
  for (std::size_t r = 0; r < std::min<std::size_t>(options.top, order.size()); ++r) {
    page.sequences.push_back(sequences.of_firing(order[r]));
    page.sequences.back().bin_max = page.max;
  }
  Random random = Random::for_latent(options.seed, reader.hookpoint(), latent, "page-intervals");
  const auto all_tokens = static_cast<double>(reader.token_count() - reader.excluded_token_count());
  for (std::uint32_t i = options.intervals; i > 0; --i) {
    const double low = page.max * (i - 1) / options.intervals;
    const double high = page.max * i / options.intervals;
    const auto from = std::partition_point(order.begin(), order.end(), [&](std::size_t f) { return values[f] > high; });
    const auto to = std::partition_point(from, order.end(), [&](std::size_t f) { return values[f] >= low; });
    const auto inside = static_cast<std::uint64_t>(to - from);
    const double silent = i == 1 ? all_tokens - static_cast<double>(values.size()) : 0.0;
    for (const std::uint64_t chosen : random.sample(inside, options.each)) {
      PageSequence sequence = sequences.of_firing(from[static_cast<std::ptrdiff_t>(chosen)]);
      sequence.bin_min = low;
      sequence.bin_max = high;
      sequence.bin_contains = (static_cast<double>(inside) + silent) / all_tokens;
      page.sequences.push_back(std::move(sequence));
    }
  }
  return page;
}

LatentContexts latent_contexts(const index::Reader& reader, const text::TokenFile& tokens,
                               const text::Tokenizer& tokenizer, LatentId latent, std::uint32_t count,
                               std::uint64_t seed) {
  ActiveWindows active(reader, tokens.ctx_len());
  active.find(latent);
  const Sequences sequences(active.firings(), tokens, tokenizer);
  const auto of_context = [&](std::uint32_t context) {
    PageSequence sequence = sequences.of_token(context, tokens.ctx_len() - 1);
    sequence.at = -1;
    return sequence;
  };
  LatentContexts contexts;
  std::vector<std::uint32_t> starts;
  active.rank(starts);
  starts.resize(std::min<std::size_t>(starts.size(), count));
  for (const std::uint32_t start : starts) contexts.strongest.push_back(of_context(start / tokens.ctx_len()));
  Random random = Random::for_latent(seed, reader.hookpoint(), latent, "record-contexts");
  for (const std::uint64_t context : random.sample(tokens.context_count(), count))
    contexts.random.push_back(of_context(static_cast<std::uint32_t>(context)));

  const auto n = static_cast<double>(reader.token_count() - reader.excluded_token_count());
  const index::Firings& firings = active.firings();
  double sum = 0;
  for (std::size_t i = 0; i < firings.size(); ++i) sum += double{firings.value(i)};
  contexts.mean = sum / n;
  const double silent = n - static_cast<double>(firings.size());
  std::array<double, 5> central{};  // sums of powers of the distance from the mean
  const auto add = [&](double value, double times) {
    double power = times;
    for (double& moment : central) {
      moment += power;
      power *= value - contexts.mean;
    }
  };
  add(0.0, silent);
  for (std::size_t i = 0; i < firings.size(); ++i) add(double{firings.value(i)}, 1.0);
  contexts.variance = central[2] / n;
  contexts.skewness = central[3] / n / std::pow(contexts.variance, 1.5);
  contexts.kurtosis = central[4] / n / (contexts.variance * contexts.variance);
  return contexts;
}

}  // namespace gloss::examples
