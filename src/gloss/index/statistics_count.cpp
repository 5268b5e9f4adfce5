#include "gloss/index/statistics_count.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <functional>

#include "gloss/base/error.h"

namespace gloss::index {
namespace {

/// More firings than this are not copied to be selected from: their values are counted instead.
constexpr std::size_t kMostCopied = std::size_t{1} << 16;
constexpr std::size_t kBins = std::size_t{1} << 16;

/// A value such that fewer than k of all are above it and at least k are not below it.
struct Cut {
  std::uint32_t key = 0;
  std::uint64_t above = 0;  // how many are above it
};

std::uint32_t key_of(std::uint16_t half_bits) { return half_bits; }
std::uint32_t key_of(float value) { return std::bit_cast<std::uint32_t>(value); }

/// The k-th largest among the keys whose upper half is `prefix` (all keys when `shift` is 16), by counting.
template <class Key>
Cut cut_by_counting(std::span<const Key> keys, std::uint64_t k, unsigned shift, std::uint32_t prefix) {
  std::vector<std::uint64_t> bins(kBins, 0);
  for (const Key value : keys) {
    const std::uint32_t key = key_of(value);
    if (shift == 16 || (key >> 16) == prefix) ++bins[(key >> shift) & (kBins - 1)];
  }
  std::uint64_t above = 0;
  std::size_t bin = kBins;
  while (bin > 0 && above + bins[bin - 1] < k) above += bins[--bin];
  return {static_cast<std::uint32_t>(bin - 1), above};
}

/// The k-th largest. Of positive floats the bits are ordered as the values are. Requires: 1 <= k <= keys.size().
template <class Key>
Cut cut_at(std::span<const Key> keys, std::uint64_t k, std::vector<std::uint32_t>& work) {
  if (keys.size() > kMostCopied) {
    if constexpr (sizeof(Key) == sizeof(std::uint16_t)) return cut_by_counting(keys, k, 0, 0);
    const Cut high = cut_by_counting(keys, k, 16, 0);
    const Cut low = cut_by_counting(keys, k - high.above, 0, high.key);
    return {high.key << 16 | low.key, high.above + low.above};
  }
  work.resize(keys.size());
  std::transform(keys.begin(), keys.end(), work.begin(), [](Key value) { return key_of(value); });
  const auto place = work.begin() + static_cast<std::ptrdiff_t>(k - 1);
  std::nth_element(work.begin(), place, work.end(), std::greater<>());
  const std::uint32_t key = *place;
  return {key,
          static_cast<std::uint64_t>(std::count_if(work.begin(), place, [key](std::uint32_t v) { return v > key; }))};
}

}  // namespace

LatentCounter::LatentCounter(const TokenTables& tables)
    : tables_(tables), offset_count_(tables.ctx_len, 0), token_count_(std::size_t{tables.vocabulary} + 1, 0) {}

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
  count_offsets_and_documents(firings, offset_firings, out);
  if (firings.full.empty()) {
    count_tokens(firings, firings.half_bits, out);
  } else {
    count_tokens(firings, firings.full, out);
  }
  return out;
}

void LatentCounter::count_offsets_and_documents(const Firings& firings, std::span<std::uint64_t> offset_firings,
                                                LatentStatistics& out) {
  const std::uint32_t ctx_len = tables_.ctx_len;
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
  std::uint64_t context_end = 0;  // of the context that the last firing was in
  std::uint64_t context_begin = 0;
  for (const std::uint32_t position : firings.position) {
    if (position >= context_end) {
      const std::uint32_t context = position / ctx_len;
      context_begin = std::uint64_t{context} * ctx_len;
      context_end = context_begin + ctx_len;
      if (const std::uint32_t now = tables_.documents[context]; now != document) {
        end_document();
        document = now;
      }
    }
    ++in_document;
    const auto offset = static_cast<std::uint32_t>(position - context_begin);
    if (offset_count_[offset]++ == 0) offsets_.push_back(offset);
  }
  end_document();
  std::sort(offsets_.begin(), offsets_.end());
  out.position_information = information(firings.size());
  std::uint32_t most = 0;
  for (const std::uint32_t offset : offsets_) {
    offset_firings[offset] += offset_count_[offset];
    if (offset_count_[offset] > most) {
      most = offset_count_[offset];
      out.peak_offset = offset;
    }
    offset_count_[offset] = 0;
  }
  offsets_.clear();
}

/// I = 1/T sum over offsets of p(o) ln(p(o)/p) + (1-p(o)) ln((1-p(o))/(1-p)), p(o) the fraction of the indexed tokens
/// at o at which the latent fires, p their mean; offsets without indexed tokens are left out. Requires: offsets_
/// ascending. Source: Voita et al. 2023, "Neurons in Large Language Models", section 5.1.
double LatentCounter::information(std::uint64_t count) {
  if (count == 0) return 0.0;
  const auto used = static_cast<double>(
      std::count_if(tables_.offset_tokens.begin(), tables_.offset_tokens.end(), [](std::uint64_t n) { return n > 0; }));
  const auto frequency = [&](std::uint32_t offset) {
    // A firing at a token that is said to be special happens in damaged files only; no frequency is above 1.
    const auto tokens = static_cast<double>(tables_.offset_tokens[offset]);
    return tokens > 0 ? std::min(1.0, offset_count_[offset] / tokens) : 0.0;
  };
  double mean = 0.0;
  for (const std::uint32_t offset : offsets_) mean += frequency(offset);
  mean /= used;
  if (!(mean > 0.0) || mean >= 1.0) return 0.0;  // fires everywhere
  double sum = 0.0;
  for (const std::uint32_t offset : offsets_) {
    const double p = frequency(offset);
    if (p > 0.0) sum += p * std::log(p / mean);
    if (p < 1.0) sum += (1.0 - p) * std::log((1.0 - p) / (1.0 - mean));
  }
  sum -= (used - static_cast<double>(offsets_.size())) * std::log1p(-mean);
  return std::max(0.0, sum / used);
}

template <class Key>
void LatentCounter::count_tokens(const Firings& firings, std::span<const Key> keys, LatentStatistics& out) {
  const std::size_t n = firings.size();
  const Cut cut = cut_at(keys, strongest(n), work_);
  const auto each_strong = [&](const auto& body) {
    std::uint64_t equal = strongest(n) - cut.above;  // of those at the cut the first count
    for (std::size_t i = 0; i < n; ++i) {
      const std::uint32_t key = key_of(keys[i]);
      if (key < cut.key) continue;
      if (key == cut.key) {
        if (equal == 0) continue;
        --equal;
      }
      body(firings.position[i]);
    }
  };
  each_strong([&](std::uint32_t position) { add_token(to_index(tables_.tokens[position])); });
  out.tokens = take_list();
  each_strong([&](std::uint32_t position) {
    add_token(position % tables_.ctx_len == 0 ? tables_.vocabulary : to_index(tables_.tokens[position - 1]));
  });
  out.previous = take_list();
  for (TokenList::Entry& entry : out.previous.entries) {
    if (entry.token == tables_.vocabulary) entry.token = kNoToken;
  }
}

void LatentCounter::add_token(std::uint32_t token) {
  if (token_count_[token]++ == 0) seen_.push_back(token);
}

/// The tokens added since the last list.
TokenList LatentCounter::take_list() {
  TokenList list;
  list.different = static_cast<std::uint32_t>(seen_.size());
  const auto before = [&](std::uint32_t a, std::uint32_t b) {
    return token_count_[a] != token_count_[b] ? token_count_[a] > token_count_[b] : a < b;
  };
  const auto listed = static_cast<std::ptrdiff_t>(std::min<std::size_t>(seen_.size(), kListedTokens));
  std::partial_sort(seen_.begin(), seen_.begin() + listed, seen_.end(), before);
  for (std::ptrdiff_t i = 0; i < listed; ++i)
    list.entries.push_back({seen_[static_cast<std::size_t>(i)], token_count_[seen_[static_cast<std::size_t>(i)]]});
  for (const std::uint32_t token : seen_) token_count_[token] = 0;
  seen_.clear();
  return list;
}

}  // namespace gloss::index
