#include "gloss/index/filters.h"

#include <algorithm>
#include <cmath>
#include <stdexcept>

#include "gloss/index/statistics_count.h"

namespace gloss::index {
namespace {

constexpr std::array kInformation{0.01, 0.02, 0.05, 0.1, 0.2};
constexpr std::array kTokens{1.0, 2.0, 5.0, 10.0, 20.0};
constexpr std::array kDensities{0.01, 0.1, 0.5};
constexpr std::array kHalves{0.5, 0.7, 0.9};
constexpr std::array kOnce{0.0};
constexpr std::array kKurtoses{5.0, 10.0, 20.0, 50.0};
constexpr std::array kShares{0.5, 0.6, 0.7, 0.8, 0.9};

constexpr std::array kInputScores{0.1, 0.2, 0.5, 0.8};
constexpr std::array kOutputScores{0.001, 0.01, 0.1, 0.5};

constexpr std::array<KindInfo, kLatentKinds> kKinds{
    {{LatentKind::positional, "positional", "information of position, nats", 0.05, false, kInformation},
     {LatentKind::unigram, "unigram", "different tokens of the strongest 80 % of firings", kListedTokens, true,
      kTokens},
     {LatentKind::previous_token, "previous-token", "different tokens before the strongest 80 % of firings",
      kListedTokens, true, kTokens},
     {LatentKind::dense, "dense", "share of tokens at which it fires", 0.1, false, kDensities},
     {LatentKind::dead, "dead", "firings", 0.0, true, kOnce},
     {LatentKind::single_document, "single-document", "share of firings in one document", 0.5, false, kHalves},
     {LatentKind::special, "special", "share of firings at special tokens", 0.5, false, kHalves},
     {LatentKind::writes_few, "writes-few", "kurtosis of logit weights", 10.0, false, kKurtoses},
     {LatentKind::output, "output", "kurtosis of logit weights where detection is poor", 10.0, false, kKurtoses},
     {LatentKind::unigram_checked, "unigram-checked", "share of scrambled texts with its token last that fire there",
      0.5, false, kShares},
     {LatentKind::previous_token_checked, "previous-token-checked",
      "share of scrambled texts with its token last but one that fire at the last", 0.5, false, kShares},
     {LatentKind::input_score, "input-score", "share of its strongest contexts whose strongest token it promotes", 0.5,
      false, kInputScores},
     {LatentKind::output_score, "output-score",
      "probability of what it promotes when it is turned up, discounted by rank", 0.01, false, kOutputScores}}};

/// Different tokens, unless so few firings count that there can be no more.
std::optional<double> different(const LatentStatistics& s, const TokenList& list) {
  if (strongest(s.count) <= kListedTokens) return {};
  return list.different;
}

}  // namespace

std::span<const KindInfo> latent_kinds() { return kKinds; }

const KindInfo& info(LatentKind kind) { return kKinds.at(static_cast<std::size_t>(kind)); }

std::optional<LatentKind> find_kind(std::string_view name) {
  const auto* at = std::find_if(kKinds.begin(), kKinds.end(), [&](const KindInfo& k) { return k.name == name; });
  return at == kKinds.end() ? std::nullopt : std::optional(at->kind);
}

bool is_of_kind(const KindInfo& kind, double value, double threshold) {
  return kind.few_is_it ? value <= threshold : value > threshold;
}

std::optional<double> measure(LatentKind kind, const LatentFacts& facts) {
  const LatentStatistics& s = *facts.statistics;
  if (!s.cached) return {};
  const auto count = static_cast<double>(s.count);
  switch (kind) {
    case LatentKind::dead:
      return count;
    case LatentKind::dense:
      return facts.density;
    case LatentKind::special:
      if (!s.special_count || s.count + *s.special_count == 0) return {};
      return static_cast<double>(*s.special_count) / static_cast<double>(s.count + *s.special_count);
    case LatentKind::writes_few:
      return facts.kurtosis;
    case LatentKind::output:
      return facts.balanced_accuracy && *facts.balanced_accuracy < kPoorDetection ? facts.kurtosis : std::nullopt;
    case LatentKind::input_score:
      return facts.input;
    case LatentKind::output_score:
      return facts.output;
    case LatentKind::unigram_checked:
    case LatentKind::previous_token_checked:
      return {};
    default:
      break;
  }
  if (s.count == 0) return {};
  switch (kind) {
    case LatentKind::positional:
      return s.position_information;
    case LatentKind::unigram:
      return different(s, s.tokens);
    case LatentKind::previous_token:
      return different(s, s.previous);
    case LatentKind::single_document:
      return s.largest_document_count / count;
    default:
      throw std::logic_error("a kind of latents that nothing measures");
  }
}

double binary_entropy(double p) {
  if (!(p > 0.0) || p >= 1.0) return 0.0;
  return -p * std::log(p) - (1.0 - p) * std::log1p(-p);
}

double position_bias(std::uint64_t contexts, std::uint32_t ctx_len) {
  if (contexts == 0 || ctx_len == 0) return 0.0;
  return (ctx_len - 1.0) / (2.0 * static_cast<double>(contexts) * ctx_len);
}

void KindTally::add(double value) {
  ++measured_;
  for (std::size_t i = 0; i < thresholds_.size(); ++i)
    count_[i] += (few_is_it_ ? value <= thresholds_[i] : value > thresholds_[i]) ? 1 : 0;
}

}  // namespace gloss::index
