#include "gloss/index/statistics_count.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <functional>

#include "gloss/base/error.h"

namespace gloss::index {
namespace {

/// Firings that are looked at together: few enough that what is noted of them stays in a processor's cache.
constexpr std::size_t kPart = 4096;
constexpr unsigned kDigitBits = 8;
constexpr std::uint32_t kWordBits = 64;

/// A value such that fewer than k of all are above it and at least k are not below it.
struct Cut {
  std::uint32_t key = 0;
  std::uint64_t above = 0;  // how many are above it
};

std::uint32_t key_of(std::uint16_t half_bits) { return half_bits; }
std::uint32_t key_of(float value) { return std::bit_cast<std::uint32_t>(value); }

/// The k-th largest, digit by digit from the highest: of each the keys that agree with the digits so far are counted.
/// Of positive floats the bits are ordered as the values are. Requires: 1 <= k <= keys.size().
template <class Key>
Cut cut_at(std::span<const Key> keys, std::uint64_t k) {
  Cut cut;
  for (unsigned shift = 8 * sizeof(Key); shift > 0;) {
    const unsigned known = shift;  // bits above this one are
    shift -= kDigitBits;
    std::array<std::uint64_t, std::size_t{1} << kDigitBits> bins{};
    for (const Key value : keys) {
      const std::uint64_t key = key_of(value);
      bins[(key >> shift) & (bins.size() - 1)] += key >> known == std::uint64_t{cut.key} >> known ? 1 : 0;
    }
    std::size_t bin = bins.size() - 1;
    while (cut.above + bins[bin] < k) cut.above += bins[bin--];
    cut.key |= static_cast<std::uint32_t>(bin) << shift;
  }
  return cut;
}

/// Keeps the kListedTokens largest of many, in no order until sorted().
class Largest {
 public:
  void add(std::uint64_t value) {
    if (value <= floor_) return;
    values_[size_++] = value;
    if (size_ == values_.size()) cut();
  }
  std::span<const std::uint64_t> sorted() {
    if (size_ > kListedTokens) cut();
    std::sort(values_.begin(), values_.begin() + static_cast<std::ptrdiff_t>(size_), std::greater<>());
    return std::span(values_).first(size_);
  }

 private:
  void cut() {
    const auto last = values_.begin() + (kListedTokens - 1);
    std::nth_element(values_.begin(), last, values_.begin() + static_cast<std::ptrdiff_t>(size_), std::greater<>());
    size_ = kListedTokens;
    floor_ = *last;
  }

  std::array<std::uint64_t, std::size_t{4} * kListedTokens> values_{};
  std::size_t size_ = 0;
  std::uint64_t floor_ = 0;
};

}  // namespace

LatentCounter::LatentCounter(const TokenTables& tables)
    : tables_(tables),
      ctx_len_(tables.ctx_len),
      offsets_used_(static_cast<double>(std::count_if(tables.offset_tokens.begin(), tables.offset_tokens.end(),
                                                      [](std::uint64_t n) { return n > 0; }))),
      offset_count_(tables.ctx_len, 0),
      offset_seen_((tables.ctx_len + kWordBits - 1) / kWordBits, 0),
      token_count_(std::size_t{tables.vocabulary} + 1, 0),
      previous_count_(std::size_t{tables.vocabulary} + 1, 0),
      strong_(kPart),
      ids_(kPart) {}

LatentStatistics LatentCounter::count(const Firings& firings, std::span<std::uint64_t> offset_firings) {
  LatentStatistics out;
  out.count = firings.size();
  if (firings.size() == 0) return out;
  if (firings.position.back() >= tables_.tokens.size() ||
      !std::is_sorted(firings.position.begin(), firings.position.end()))
    fail_input("statistics",
               fmt::format("a latent fires at position {}, but there are {} tokens", firings.position.back(),
                           tables_.tokens.size()),
               "the index is damaged, or belongs to other tokens");
  count_offsets_and_documents(firings.position, offset_firings, out);
  if (firings.full.empty()) {
    count_tokens(firings.position, firings.half_bits, out);
  } else {
    count_tokens(firings.position, firings.full, out);
  }
  return out;
}

void LatentCounter::count_offsets_and_documents(std::span<const std::uint32_t> positions,
                                                std::span<std::uint64_t> offset_firings, LatentStatistics& out) {
  std::uint32_t document = 0;
  std::uint32_t in_document = 0;
  const auto end_document = [&] {
    if (in_document == 0) return;
    ++out.documents;
    if (in_document > out.largest_document_count) {
      out.largest_document = document;
      out.largest_document_count = in_document;
    }
    in_document = 0;
  };
  for (const std::uint32_t position : positions) {
    const std::uint32_t context = ctx_len_.quotient(position);
    if (const std::uint32_t now = tables_.documents[context]; now != document) {
      end_document();
      document = now;
    }
    ++in_document;
    const std::uint32_t offset = position - context * tables_.ctx_len;
    ++offset_count_[offset];
    offset_seen_[offset / kWordBits] |= std::uint64_t{1} << offset % kWordBits;
  }
  end_document();
  offsets_.clear();
  for (std::size_t word = 0; word < offset_seen_.size(); ++word) {
    for (std::uint64_t bits = offset_seen_[word]; bits != 0; bits &= bits - 1)
      offsets_.push_back(static_cast<std::uint32_t>(word * kWordBits) +
                         static_cast<std::uint32_t>(std::countr_zero(bits)));
    offset_seen_[word] = 0;
  }
  out.position_information = information();
  std::uint32_t most = 0;
  for (const std::uint32_t offset : offsets_) {
    offset_firings[offset] += offset_count_[offset];
    if (offset_count_[offset] > most) {
      most = offset_count_[offset];
      out.peak_offset = offset;
    }
    offset_count_[offset] = 0;
  }
}

/// I = 1/T sum over offsets of p(o) ln(p(o)/p) + (1-p(o)) ln((1-p(o))/(1-p)), p(o) the fraction of the indexed tokens
/// at o at which the latent fires, p their mean; offsets without indexed tokens are left out. Requires: offsets_
/// ascending, not empty. Source: Voita et al. 2023, "Neurons in Large Language Models", section 5.1.
double LatentCounter::information() {
  const auto frequency = [&](std::uint32_t offset) {
    // A firing at a token that is said to be special happens in damaged files only; no frequency is above 1.
    const auto tokens = static_cast<double>(tables_.offset_tokens[offset]);
    return tokens > 0 ? std::min(1.0, offset_count_[offset] / tokens) : 0.0;
  };
  double mean = 0.0;
  for (const std::uint32_t offset : offsets_) mean += frequency(offset);
  mean /= offsets_used_;
  if (!(mean > 0.0) || mean >= 1.0) return 0.0;  // fires everywhere
  // Logarithms are dear, and the offsets of a latent that fires seldom have few frequencies.
  struct Terms {
    double p = -1.0, firing = 0.0, silent = 0.0;
  };
  std::array<Terms, 16> known;
  double sum = 0.0;
  for (const std::uint32_t offset : offsets_) {
    const double p = frequency(offset);
    Terms& terms = known[offset_count_[offset] % known.size()];
    if (terms.p != p)
      terms = {p, p > 0.0 ? p * std::log(p / mean) : 0.0,
               p < 1.0 ? (1.0 - p) * std::log((1.0 - p) / (1.0 - mean)) : 0.0};
    sum += terms.firing;
    sum += terms.silent;
  }
  sum -= (offsets_used_ - static_cast<double>(offsets_.size())) * std::log1p(-mean);
  return std::max(0.0, sum / offsets_used_);
}

template <class Key>
void LatentCounter::count_tokens(std::span<const std::uint32_t> positions, std::span<const Key> keys,
                                 LatentStatistics& out) {
  const std::size_t n = positions.size();
  const Cut cut = cut_at(keys, strongest(n));
  std::uint64_t equal = strongest(n) - cut.above;  // of those at the cut the first count
  for (std::size_t begin = 0; begin < n; begin += kPart) {
    // Without branches, since which firings are strong cannot be foretold.
    std::size_t strong = 0;
    for (std::size_t i = begin; i < std::min(n, begin + kPart); ++i) {
      const std::uint32_t key = key_of(keys[i]);
      const bool counts = key == cut.key && equal > 0;
      strong_[strong] = positions[i];
      equal -= counts ? 1 : 0;
      strong += key > cut.key || counts ? 1 : 0;
    }
    const auto each = [&](const auto& token_of) {
      for (std::size_t i = 0; i < strong; ++i) ids_[i] = token_of(strong_[i]);
      return std::span<const std::uint32_t>(ids_).first(strong);
    };
    add_tokens(each([&](std::uint32_t p) { return to_index(tables_.tokens[p]); }), token_count_, tokens_);
    add_tokens(each([&](std::uint32_t p) {
                 const std::uint32_t before = to_index(tables_.tokens[p - (p > 0 ? 1 : 0)]);
                 return ctx_len_.divides(p) ? tables_.vocabulary : before;
               }),
               previous_count_, previous_);
  }
  out.tokens = take_list(token_count_, tokens_);
  out.previous = take_list(previous_count_, previous_);
  for (TokenList::Entry& entry : out.previous.entries) {
    if (entry.token == tables_.vocabulary) entry.token = kNoToken;
  }
}

/// Counts tokens; those not counted before join `seen`.
void LatentCounter::add_tokens(std::span<const std::uint32_t> tokens, std::vector<std::uint32_t>& count,
                               std::vector<std::uint32_t>& seen) {
  std::size_t size = seen.size();
  seen.resize(size + tokens.size());
  for (const std::uint32_t token : tokens) {
    seen[size] = token;
    size += count[token]++ == 0 ? 1 : 0;
  }
  seen.resize(size);
}

/// The most frequent tokens; sets the counts of all that were seen back to 0.
TokenList LatentCounter::take_list(std::vector<std::uint32_t>& count, std::vector<std::uint32_t>& seen) {
  TokenList list;
  list.different = static_cast<std::uint32_t>(seen.size());
  Largest largest;  // the count, then the smaller token
  for (const std::uint32_t token : seen) {
    largest.add(std::uint64_t{count[token]} << 32 | ~token);
    count[token] = 0;
  }
  const std::span<const std::uint64_t> listed = largest.sorted();
  list.entries.reserve(listed.size());
  for (const std::uint64_t value : listed)
    list.entries.push_back({~static_cast<std::uint32_t>(value), static_cast<std::uint32_t>(value >> 32)});
  seen.clear();
  return list;
}

}  // namespace gloss::index
