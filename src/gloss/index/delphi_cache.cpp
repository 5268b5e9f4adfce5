#include "gloss/index/delphi_cache.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>
#include <utility>

#include "gloss/base/error.h"
#include "gloss/base/half.h"
#include "gloss/base/interrupt.h"
#include "gloss/base/output_file.h"
#include "gloss/formats/json_file.h"

namespace gloss::index {
namespace {

namespace fs = std::filesystem;
using formats::Dtype;

constexpr float kSmallest = 1e-5F;           // delphi keeps what is larger in absolute value
constexpr std::uint64_t kBlock = 2'000'000;  // firings sorted at once, about
constexpr std::uint32_t kNarrow = 65'536;    // below this a number fits u16

/// Latents first .. last of one file.
struct Range {
  std::uint32_t first, last;
};

std::vector<Range> ranges_of(std::uint32_t latents, std::uint32_t splits) {
  std::vector<Range> ranges;
  for (std::uint64_t i = 0; i < splits; ++i) {
    const auto begin = static_cast<std::uint32_t>(i * latents / splits);
    const auto end = static_cast<std::uint32_t>((i + 1) * latents / splits);
    if (begin < end) ranges.push_back({begin, end - 1});
  }
  return ranges;
}

/// The firings of a range of latents in the order of (context, position, latent), some contexts at a time.
class ByPosition {
 public:
  ByPosition(const Reader& reader, Range range) : reader_(reader), range_(range) {
    std::uint64_t firings = 0;
    for (std::uint32_t f = range.first; f <= range.last; ++f) firings += reader.count(LatentId{f});
    const std::uint64_t contexts = std::max<std::uint64_t>(1, reader.token_count() / reader.ctx_len());
    step_ = std::max<std::uint64_t>(1, contexts * kBlock / std::max<std::uint64_t>(1, firings)) * reader.ctx_len();
  }

  /// Calls visit(firings) for block after block; what delphi would not keep is left out.
  void each(const std::function<void(std::span<const Firing>)>& visit) {
    std::vector<std::size_t> cursor(range_.last - range_.first + 1, 0);
    std::vector<Firing> found, sorted;
    std::vector<std::uint32_t> begin;
    for (std::uint64_t from = 0; from < reader_.token_count(); from += step_) {
      stop_if_interrupted();
      const std::uint64_t end = std::min(from + step_, reader_.token_count());
      gather(end, cursor, found);
      begin.assign(end - from + 1, 0);
      for (const Firing& f : found) ++begin[f.position - from + 1];
      for (std::size_t i = 1; i < begin.size(); ++i) begin[i] += begin[i - 1];
      sorted.resize(found.size());
      for (const Firing& f : found) sorted[begin[f.position - from]++] = f;  // latents stay in their order
      visit(sorted);
    }
  }

 private:
  void gather(std::uint64_t end, std::vector<std::size_t>& cursor, std::vector<Firing>& found) const {
    found.clear();
    for (std::uint32_t f = range_.first; f <= range_.last; ++f) {
      const Firings firings = reader_.firings(LatentId{f});
      std::size_t& i = cursor[f - range_.first];
      for (; i < firings.size() && firings.position[i] < end; ++i) {
        const float a = firings.value(i);
        if (a > kSmallest) found.push_back({f, firings.position[i], a});
      }
    }
  }

  const Reader& reader_;
  Range range_;
  std::uint64_t step_;
};

/// How many firings of a range delphi would keep, and how many not.
std::uint64_t count_kept(const Reader& reader, Range range, DelphiLosses& losses) {
  std::uint64_t kept = 0;
  for (std::uint32_t f = range.first; f <= range.last; ++f) {
    const Firings firings = reader.firings(LatentId{f});
    for (std::size_t i = 0; i < firings.size(); ++i) {
      const float a = firings.value(i);
      kept += a > kSmallest ? 1 : 0;
      losses.too_small += a > kSmallest ? 0 : 1;
      losses.too_large += a > kHalfMax ? 1 : 0;
    }
  }
  return kept;
}

template <class Number>
void write_locations(formats::SafeTensorsWriter& file, std::span<const Firing> firings, Range range,
                     std::uint32_t ctx_len) {
  std::vector<Number> rows;
  rows.reserve(3 * firings.size());
  for (const Firing& f : firings) {
    rows.push_back(static_cast<Number>(f.position / ctx_len));
    rows.push_back(static_cast<Number>(f.position % ctx_len));
    rows.push_back(static_cast<Number>(f.latent - range.first));
  }
  file.write_values(std::span<const Number>(rows));
}

void write_split(const Reader& reader, std::span<const TokenId> tokens, const fs::path& path, Range range,
                 std::uint64_t kept) {
  const std::uint32_t ctx_len = reader.ctx_len();
  const std::uint64_t contexts = reader.token_count() / ctx_len;
  const bool wide = contexts > kNarrow || ctx_len > kNarrow || range.last - range.first >= kNarrow;
  formats::SafeTensorsWriter file(path,
                                  {{"tokens", Dtype::i64, {contexts, ctx_len}},
                                   {"locations", wide ? Dtype::u32 : Dtype::u16, {kept, 3}},
                                   {"activations", Dtype::f16, {kept}}},
                                  {});
  std::vector<std::int64_t> row(ctx_len);
  for (std::uint64_t c = 0; c < contexts; ++c) {
    for (std::uint32_t i = 0; i < ctx_len; ++i) row[i] = to_index(tokens[c * ctx_len + i]);
    file.write_values(std::span<const std::int64_t>(row));
  }
  // The file has all locations before all activations, so the firings are put in order twice: cheaper than keeping
  // them.
  ByPosition(reader, range).each([&](std::span<const Firing> firings) {
    wide ? write_locations<std::uint32_t>(file, firings, range, ctx_len)
         : write_locations<std::uint16_t>(file, firings, range, ctx_len);
  });
  std::vector<std::uint16_t> halves;
  ByPosition(reader, range).each([&](std::span<const Firing> firings) {
    halves.clear();
    for (const Firing& f : firings) halves.push_back(half_from_float(std::min(f.activation, kHalfMax)));
    file.write_values(std::span<const std::uint16_t>(halves));
  });
  file.commit();
}

/// Two numbers with "_" between them.
Range range_of_name(const fs::path& path) {
  const std::string stem = path.stem().string();
  Range range{};
  const char* end = stem.data() + stem.size();
  const auto first = std::from_chars(stem.data(), end, range.first);
  const bool between = first.ec == std::errc() && first.ptr != end && *first.ptr == '_';
  const auto last = between ? std::from_chars(first.ptr + 1, end, range.last) : first;
  if (!between || last.ec != std::errc() || last.ptr != end || range.last < range.first ||
      range.last == std::numeric_limits<std::uint32_t>::max())
    fail_input(path.string(), "is not named FIRST_LAST.safetensors after the latents it holds",
               "a folder of delphi's cache holds config.json and such files alone");
  return range;
}

}  // namespace

DelphiLosses export_delphi(const Reader& reader, std::span<const TokenId> tokens, const fs::path& folder,
                           const DelphiExport& options, Reporter& reporter) {
  if (fs::exists(folder)) fail_input(folder.string(), "is there already", "name another folder, or delete it");
  fs::create_directories(folder);
  DelphiLosses losses;
  try {
    const std::vector<Range> ranges = ranges_of(reader.latent_count(), std::max<std::uint32_t>(1, options.splits));
    for (std::size_t i = 0; i < ranges.size(); ++i) {
      const std::uint64_t kept = count_kept(reader, ranges[i], losses);
      losses.written += kept;
      // Also without any firing: delphi opens the file of every latent that it is asked for.
      write_split(reader, tokens, folder / fmt::format("{}_{}.safetensors", ranges[i].first, ranges[i].last), ranges[i],
                  kept);
      reporter.progress({"export " + reader.hookpoint(), i + 1, ranges.size(), "splits", ""});
    }
    // Last: a folder without it is no finished cache.
    const nlohmann::ordered_json config{{"dataset_repo", ""},
                                        {"dataset_split", "train"},
                                        {"dataset_name", ""},
                                        {"dataset_column", "text"},
                                        {"batch_size", 32},
                                        {"cache_ctx_len", reader.ctx_len()},
                                        {"n_tokens", reader.token_count()},
                                        {"n_splits", options.splits},
                                        {"model_name", options.model_name}};
    write_file(folder / "config.json", config.dump(4) + "\n");
  } catch (...) {
    std::error_code ignored;
    fs::remove_all(folder, ignored);
    throw;
  }
  return losses;
}

DelphiCache DelphiCache::open(const fs::path& folder) {
  DelphiCache cache;
  cache.folder_ = folder.string();
  const fs::path config = folder / "config.json";
  if (!fs::exists(config))
    fail_input(folder.string(), "holds no config.json: this is no hookpoint of a delphi cache",
               "give RESULTS/latents or RESULTS/latents/HOOKPOINT");
  const auto json = formats::parse_json(read_file(config), config.string());
  if (json.contains("model_name") && json["model_name"].is_string()) cache.model_name_ = json["model_name"];
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (entry.path().extension() != ".safetensors") continue;
    const Range range = range_of_name(entry.path());
    cache.splits_.push_back({range.first, range.last, formats::SafeTensors::open(entry.path()), false});
  }
  if (cache.splits_.empty()) fail_input(folder.string(), "holds no FIRST_LAST.safetensors");
  std::sort(cache.splits_.begin(), cache.splits_.end(),
            [](const Split& a, const Split& b) { return a.first < b.first; });
  const formats::TensorView* tokens = nullptr;
  for (Split& split : cache.splits_) {
    const std::string& name = split.file.file_name();
    if (split.first < cache.latent_count_)
      fail_input(
          name,
          fmt::format("begins at latent {}, but the file before it ends at {}", split.first, cache.latent_count_ - 1),
          "two runs of delphi with different n_splits share the folder: delete one's files");
    cache.missing_ += split.first - cache.latent_count_;
    cache.latent_count_ = split.last + 1;
    const formats::TensorView& locations = split.file.tensor("locations");
    split.wide = locations.dtype == Dtype::u32;
    if ((!split.wide && locations.dtype != Dtype::u16) || locations.shape.size() != 2 || locations.shape[1] != 3)
      fail_input(name, fmt::format("'locations' is {} {}, wanted U16 or U32 [firings, 3]", name_of(locations.dtype),
                                   formats::format_shape(locations.shape)));
    split.file.tensor("activations", Dtype::f16, std::vector<std::uint64_t>{locations.shape[0]});
    if (!split.file.contains("tokens"))
      fail_input(name, "has no 'tokens', which delphi wrote from February 2025 on",
                 "cache again with a newer delphi, or with gloss");
    const formats::TensorView& own = split.file.tensor("tokens");
    if (own.dtype != Dtype::i64 || own.shape.size() != 2 || own.shape[1] == 0)
      fail_input(name, fmt::format("'tokens' is {} {}, wanted I64 [contexts, ctx_len]", name_of(own.dtype),
                                   formats::format_shape(own.shape)));
    if (tokens != nullptr && own.shape != tokens->shape)
      fail_input(name, fmt::format("has tokens of shape {}, but another file {}", formats::format_shape(own.shape),
                                   formats::format_shape(tokens->shape)));
    tokens = &own;
  }
  if (tokens->element_count() > std::numeric_limits<std::uint32_t>::max())
    fail_input(folder.string(), fmt::format("has {} tokens, more than 2^32", tokens->element_count()));
  cache.context_count_ = static_cast<std::uint32_t>(tokens->shape[0]);
  cache.ctx_len_ = static_cast<std::uint32_t>(tokens->shape[1]);
  return cache;
}

std::uint64_t DelphiCache::firing_count() const {
  std::uint64_t count = 0;
  for (const Split& split : splits_) count += split.file.tensor("locations").shape[0];
  return count;
}

std::vector<TokenId> DelphiCache::tokens() const {
  const formats::TensorView& view = splits_.front().file.tensor("tokens");
  std::vector<TokenId> ids;
  ids.reserve(view.element_count());
  for (std::size_t at = 0; at < view.bytes.size(); at += sizeof(std::int64_t)) {
    std::int64_t id = 0;
    std::memcpy(&id, view.bytes.data() + at, sizeof id);
    if (id < 0 || id > std::numeric_limits<std::int32_t>::max())
      fail_input(splits_.front().file.file_name(), fmt::format("token {} is {}: no token id", at / sizeof id, id));
    ids.push_back(TokenId{static_cast<std::uint32_t>(id)});
  }
  return ids;
}

/// The activation is 0 where the index keeps nothing.
Firing DelphiCache::row(const Split& split, std::uint64_t index, Losses& losses) const {
  std::uint32_t place[3];
  const std::byte* locations = split.file.tensor("locations").bytes.data();
  for (std::size_t i = 0; i < 3; ++i) {
    std::uint16_t narrow = 0;
    if (split.wide) {
      std::memcpy(&place[i], locations + (index * 3 + i) * 4, 4);
    } else {
      std::memcpy(&narrow, locations + (index * 3 + i) * 2, 2);
      place[i] = narrow;
    }
  }
  if (place[0] >= context_count_ || place[1] >= ctx_len_ || place[2] > split.last - split.first)
    fail_input(
        split.file.file_name(),
        fmt::format("location {} is (context {}, position {}, latent {}), of {} contexts of {} tokens and {} "
                    "latents",
                    index, place[0], place[1], place[2], context_count_, ctx_len_, split.last - split.first + 1));
  std::uint16_t half = 0;
  std::memcpy(&half, split.file.tensor("activations").bytes.data() + 2 * index, 2);
  float a = float_from_half(half);
  if (std::isnan(a)) fail_input(split.file.file_name(), fmt::format("activation {} is no number", index));
  if (std::isinf(a) && a > 0) {
    ++losses.infinite;
    a = kHalfMax;
  }
  if (a < 0) ++losses.negative;
  if (a == 0) ++losses.zero;
  return {split.first + place[2], place[0] * ctx_len_ + place[1], std::max(a, 0.0F)};
}

DelphiCache::Losses DelphiCache::each_block(
    const std::function<void(std::span<const Firing>, std::uint64_t end)>& visit) const {
  Losses losses;
  const std::uint64_t contexts = std::max<std::uint64_t>(1, context_count_);
  const std::uint64_t step =
      std::max<std::uint64_t>(1, contexts * kBlock / std::max<std::uint64_t>(1, firing_count())) * ctx_len_;
  struct Cursor {
    std::uint64_t next = 0, count = 0;
    Firing firing{};  // of `next`, once read
    bool read = false;
    std::uint32_t last_context = 0;
  };
  std::vector<Cursor> cursors(splits_.size());
  for (std::size_t s = 0; s < splits_.size(); ++s) cursors[s].count = splits_[s].file.tensor("locations").shape[0];
  std::vector<Firing> block;
  for (std::uint64_t end = 0; end < std::uint64_t{context_count_} * ctx_len_;) {
    stop_if_interrupted();
    end = std::min(end + step, std::uint64_t{context_count_} * ctx_len_);
    block.clear();
    for (std::size_t s = 0; s < splits_.size(); ++s) {
      Cursor& c = cursors[s];
      for (; c.next < c.count; ++c.next, c.read = false) {
        if (!c.read) c.firing = row(splits_[s], c.next, losses);
        c.read = true;
        const std::uint32_t context = c.firing.position / ctx_len_;
        if (context < c.last_context)
          fail_input(
              splits_[s].file.file_name(),
              fmt::format("location {} is of context {}, after one of context {}", c.next, context, c.last_context),
              "delphi writes them in the order of the text: the file was rearranged");
        c.last_context = context;
        if (c.firing.position >= end) break;
        if (c.firing.activation > 0) block.push_back(c.firing);
      }
    }
    std::sort(block.begin(), block.end(), [](const Firing& a, const Firing& b) {
      return std::pair(a.position, a.latent) < std::pair(b.position, b.latent);
    });
    const auto twice = std::adjacent_find(block.begin(), block.end(), [](const Firing& a, const Firing& b) {
      return a.position == b.position && a.latent == b.latent;
    });
    if (twice != block.end())
      fail_input(folder_, fmt::format("latent {} fires twice at context {}, position {}", twice->latent,
                                      twice->position / ctx_len_, twice->position % ctx_len_));
    visit(block, end);
  }
  return losses;
}

}  // namespace gloss::index
