#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <limits>
#include <numeric>
#include <utility>
#include <vector>

#include "gloss/base/error.h"
#include "gloss/base/half.h"
#include "gloss/base/random.h"
#include "gloss/examples/examples.h"
#include "gloss/examples/split.h"

namespace gloss::examples {
namespace {

constexpr std::size_t kRadixFrom = 96;           // below that many windows a comparison sort is faster
constexpr std::uint64_t kFewSilent = 8;          // fewer than 1/8 of all windows silent: list them instead of guessing
constexpr std::uint64_t kGuessesPerWindow = 64;  // then list them
constexpr const char* kDamagedHint = "the index is damaged: run gloss cache again";

/// Bits of the largest finite activation.
constexpr std::uint32_t largest_bits(std::uint16_t) { return 0x7BFF; }
constexpr std::uint32_t largest_bits(float) { return 0x7F7FFFFF; }
/// Bits of an activation; of positive numbers they are ordered as the values are.
std::uint32_t bits_of(std::uint16_t half) { return half; }
std::uint32_t bits_of(float value) { return std::bit_cast<std::uint32_t>(value); }

/// Sorts ascending by the upper 32 bits, keeping the order of equal ones. Requires: lower halves ascending.
void sort_keys(std::vector<std::uint64_t>& keys, std::vector<std::uint64_t>& scratch) {
  if (keys.size() < kRadixFrom) return std::sort(keys.begin(), keys.end());
  std::array<std::array<std::uint32_t, 256>, 4> counts{};
  for (const std::uint64_t key : keys) {
    for (std::size_t digit = 0; digit < 4; ++digit) ++counts[digit][(key >> (32 + 8 * digit)) & 0xFF];
  }
  scratch.resize(keys.size());
  for (std::size_t digit = 0; digit < 4; ++digit) {
    auto& count = counts[digit];
    if (count[(keys[0] >> (32 + 8 * digit)) & 0xFF] == keys.size()) continue;  // all the same
    std::exclusive_scan(count.begin(), count.end(), count.begin(), 0U);
    for (const std::uint64_t key : keys) scratch[count[(key >> (32 + 8 * digit)) & 0xFF]++] = key;
    keys.swap(scratch);
  }
}

/// A set of small numbers that is cheap to empty again.
class Marks {
 public:
  explicit Marks(std::uint64_t size) : words_((size + 63) / 64), size_(size) {}
  bool contains(std::uint64_t i) const { return (words_[i / 64] >> (i % 64)) & 1; }
  void insert(std::uint64_t i) { words_[i / 64] |= std::uint64_t{1} << (i % 64); }
  void erase(std::uint64_t i) { words_[i / 64] &= ~(std::uint64_t{1} << (i % 64)); }
  /// Numbers below size that are not in the set, ascending.
  void list_missing(std::vector<std::uint32_t>& out) const {
    out.clear();
    for (std::size_t w = 0; w < words_.size(); ++w) {
      for (std::uint64_t rest = ~words_[w]; rest != 0; rest &= rest - 1) {
        const std::uint64_t i = w * 64 + static_cast<std::uint64_t>(std::countr_zero(rest));
        if (i < size_) out.push_back(static_cast<std::uint32_t>(i));
      }
    }
  }

 private:
  std::vector<std::uint64_t> words_;
  std::uint64_t size_;
};

void check_options(const index::Reader& reader, const Options& o) {
  if (o.window == 0 || reader.ctx_len() % o.window != 0)
    throw Error(ErrorKind::usage, "--window",
                fmt::format("{} tokens do not divide the contexts of {} tokens", o.window, reader.ctx_len()));
  if (o.quantiles == 0 || o.quantiles > std::numeric_limits<std::uint8_t>::max())
    throw Error(ErrorKind::usage, "--quantiles", fmt::format("is {}, wanted 1 to 255", o.quantiles));
}

void check_tokens(const index::Reader& reader, const text::TokenFile& tokens) {
  const auto differ = [&](std::string_view what) {
    fail_input(reader.file_name(), what, "index and tokens must come from the same run: run gloss cache again");
  };
  if (reader.ctx_len() != tokens.ctx_len() || reader.token_count() != tokens.token_count())
    differ(fmt::format("covers {} tokens in contexts of {}, but the token file has {} in contexts of {}",
                       reader.token_count(), reader.ctx_len(), tokens.token_count(), tokens.ctx_len()));
  const auto fingerprint = reader.metadata().find("tokens_fingerprint");
  if (fingerprint != reader.metadata().end() && fingerprint->second != tokens.fingerprint())
    differ(fmt::format("was made from tokens {}, but the token file is {}", fingerprint->second, tokens.fingerprint()));
}

}  // namespace

std::string_view name_of(Status status) {
  switch (status) {
    case Status::ok:
      return "ok";
    case Status::too_rare:
      return "too_rare";
    case Status::dead:
      return "dead";
  }
  return "";
}

struct Builder::Impl {
  Impl(index::Reader reader_, text::TokenFile tokens_, const Options& options_)
      : reader(std::move(reader_)),
        tokens(std::move(tokens_)),
        options(options_),
        window_count(reader.token_count() / options.window),
        occupied(window_count),
        sides(tokens),
        splitter(sides, reader.ctx_len() / options.window) {}

  LatentExamples build(LatentId latent);

 private:
  /// An activating window.
  struct Active {
    std::uint32_t window;
    std::uint32_t first;     // its first firing, among the latent's
    std::uint32_t max_bits;  // of its largest activation, as stored
  };
  void find_windows(const index::Firings& firings, LatentId latent);
  template <class T>
  void scan(std::span<const std::uint32_t> position, std::span<const T> activation, LatentId latent);
  void rank_windows();
  void make_quantiles();
  void draw_activating(LatentExamples& result, const index::Firings& firings, Random& random);
  void draw_silent(LatentExamples& result, Random& random);
  void guess_silent(Counts& missing, Random& random);
  bool guess_one(Side side, std::uint64_t& guesses, Random& random);
  void mark_occupied(bool on);
  Window activating_window(const index::Firings& firings, const Pick& pick) const;
  Window silent_window(std::uint32_t window) const;

  index::Reader reader;
  text::TokenFile tokens;
  Options options;
  std::uint64_t window_count;  // of the whole run
  Marks occupied;              // activating or taken as silent, while a latent is being built
  DocumentSides sides;
  Splitter splitter;

  std::vector<Active> active;  // in token order
  std::vector<std::uint64_t> keys, scratch;
  std::vector<std::uint32_t> ranked;  // windows, strongest first; reordered within quantiles by the split
  std::vector<Pool> quantiles;
  std::vector<std::uint32_t> listed;  // silent windows, where few are left
  std::vector<Pick> picks;
};

void Builder::Impl::find_windows(const index::Firings& firings, LatentId latent) {
  active.clear();
  if (firings.full.empty()) {
    scan(firings.position, firings.half_bits, latent);
  } else {
    scan(firings.position, firings.full, latent);
  }
}

/// One pass over the firings. From here on positions are known to be ascending and below token_count.
template <class T>
void Builder::Impl::scan(std::span<const std::uint32_t> position, std::span<const T> activation, LatentId latent) {
  std::uint64_t next_position = 0;
  std::uint64_t window_end = 0;
  for (std::uint32_t i = 0; i < position.size(); ++i) {
    const std::uint32_t p = position[i];
    const std::uint32_t bits = bits_of(activation[i]);
    if (p < next_position || p >= reader.token_count() || bits - 1 >= largest_bits(T{}))
      fail_input(
          reader.file_name(),
          fmt::format("latent {}: firing {} is at position {} with activation bits {:#x}: not ascending below {}, "
                      "or not positive",
                      to_index(latent), i, p, bits, reader.token_count()),
          kDamagedHint);
    next_position = std::uint64_t{p} + 1;
    if (p >= window_end) {
      active.push_back({p / options.window, i, bits});
      window_end = (std::uint64_t{active.back().window} + 1) * options.window;
    } else {
      active.back().max_bits = std::max(active.back().max_bits, bits);
    }
  }
}

/// By largest activation descending, ties by position ascending.
void Builder::Impl::rank_windows() {
  keys.resize(active.size());
  for (std::size_t i = 0; i < active.size(); ++i) keys[i] = (std::uint64_t{~active[i].max_bits} << 32) | i;
  sort_keys(keys, scratch);
  ranked.resize(active.size());
  for (std::size_t r = 0; r < ranked.size(); ++r) ranked[r] = active[static_cast<std::uint32_t>(keys[r])].window;
}

/// Rank r of n has quantile Q - floor(r Q / n): group k = 0 .. Q-1 holds the ranks from ceil(k n / Q) on.
void Builder::Impl::make_quantiles() {
  quantiles.clear();
  const std::uint64_t n = ranked.size();
  const std::uint64_t groups = options.quantiles;
  const auto share = [&](std::uint64_t total, std::uint64_t k) {
    return (k + 1) * total / groups - k * total / groups;
  };
  for (std::uint64_t k = 0; k < groups; ++k) {
    const std::uint64_t begin = (k * n + groups - 1) / groups;
    const std::uint64_t end = ((k + 1) * n + groups - 1) / groups;
    quantiles.push_back({std::span(ranked).subspan(begin, end - begin),
                         {share(options.explain, k), share(options.test, k)},
                         static_cast<std::uint8_t>(groups - k)});
  }
}

void Builder::Impl::draw_activating(LatentExamples& result, const index::Firings& firings, Random& random) {
  result.documents_disjoint = options.split_documents && sides.document_count() > 1;
  sides.undo(0);
  sides.use_documents(result.documents_disjoint);
  make_quantiles();
  std::span<const Pick> drawn = splitter.draw(quantiles, random);
  if (result.documents_disjoint && splitter.left_a_side_empty()) {
    result.documents_disjoint = false;
    sides.undo(0);
    sides.use_documents(false);
    drawn = splitter.draw(quantiles, random);
  }
  picks.assign(drawn.begin(), drawn.end());
  random.shuffle(std::span(picks));
  for (const Pick& pick : picks) {
    auto& windows = pick.side == Side::explain ? result.explain : result.test;
    windows.push_back(activating_window(firings, pick));
  }
}

Window Builder::Impl::activating_window(const index::Firings& firings, const Pick& pick) const {
  const auto found = std::lower_bound(active.begin(), active.end(), pick.window,
                                      [](const Active& a, std::uint32_t window) { return a.window < window; });
  Window window = silent_window(pick.window);
  window.kind = WindowKind::activating;
  window.quantile = pick.quantile;
  for (std::size_t i = found->first; i < firings.size() && firings.position[i] - window.start < options.window; ++i) {
    const float value = firings.value(i);
    window.activation[firings.position[i] - window.start] = value;
    window.max = std::max(window.max, value);
  }
  return window;
}

Window Builder::Impl::silent_window(std::uint32_t window) const {
  Window result;
  result.start = window * options.window;
  result.kind = WindowKind::silent_random;
  result.activation.resize(options.window);
  return result;
}

void Builder::Impl::mark_occupied(bool on) {
  for (const Active& a : active) on ? occupied.insert(a.window) : occupied.erase(a.window);
  if (on) return;
  for (const Pick& pick : picks) occupied.erase(pick.window);
}

/// Without replacement, uniform over the silent windows that the documents leave to each side: by guessing where most
/// windows are silent, else from a list.
void Builder::Impl::draw_silent(LatentExamples& result, Random& random) {
  Counts missing{options.silent, options.silent};
  picks.clear();
  mark_occupied(true);
  const std::uint64_t enough = kFewSilent * (missing.explain + missing.test);
  if (result.silent_count >= window_count / kFewSilent && result.silent_count >= enough) guess_silent(missing, random);
  if (missing.explain + missing.test > 0) {
    occupied.list_missing(listed);
    Pool pool{listed, missing, 0};
    const std::span<const Pick> drawn = splitter.draw(std::span(&pool, 1), random);
    picks.insert(picks.end(), drawn.begin(), drawn.end());
  }
  mark_occupied(false);
  random.shuffle(std::span(picks));
  for (const Pick& pick : picks) {
    auto& windows = pick.side == Side::explain ? result.explain_silent : result.test_silent;
    windows.push_back(silent_window(pick.window));
  }
}

/// In turn, so that neither side takes the documents that the other needs.
void Builder::Impl::guess_silent(Counts& missing, Random& random) {
  std::uint64_t guesses = kGuessesPerWindow * (missing.explain + missing.test);
  while (missing.explain + missing.test > 0) {
    const Side side = missing.test >= missing.explain ? Side::test : Side::explain;
    if (!guess_one(side, guesses, random)) return;
    --missing.of(side);
  }
}

bool Builder::Impl::guess_one(Side side, std::uint64_t& guesses, Random& random) {
  const std::uint32_t per_context = reader.ctx_len() / options.window;
  for (; guesses > 0; --guesses) {
    const auto window = static_cast<std::uint32_t>(random.below(window_count));
    if (occupied.contains(window) || !sides.allows(window / per_context, side)) continue;
    occupied.insert(window);
    sides.assign(window / per_context, side);
    picks.push_back({window, side, 0});
    return true;
  }
  return false;
}

LatentExamples Builder::Impl::build(LatentId latent) {
  const index::Firings firings = reader.firings(latent);
  find_windows(firings, latent);
  LatentExamples result;
  result.latent = latent;
  result.max_activation = reader.max(latent);
  result.firing_count = firings.size();
  result.window_count = static_cast<std::uint32_t>(active.size());
  result.silent_count = window_count - active.size();
  if (active.empty()) {
    result.status = Status::dead;
  } else if (active.size() < options.min_windows) {
    result.status = Status::too_rare;
  }
  if (result.status != Status::ok) return result;

  Random random = Random::for_latent(options.seed, reader.hookpoint(), latent, "examples");
  rank_windows();
  draw_activating(result, firings, random);
  draw_silent(result, random);
  return result;
}

Builder::Builder(index::Reader reader, text::TokenFile tokens, Options options) {
  check_options(reader, options);
  check_tokens(reader, tokens);
  impl_ = std::make_unique<Impl>(std::move(reader), std::move(tokens), options);
}

Builder::~Builder() = default;
Builder::Builder(Builder&&) noexcept = default;
Builder& Builder::operator=(Builder&&) noexcept = default;

LatentExamples Builder::build(LatentId latent) { return impl_->build(latent); }

}  // namespace gloss::examples
