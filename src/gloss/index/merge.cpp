#include "gloss/index/merge.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "gloss/base/error.h"
#include "gloss/base/half.h"
#include "gloss/base/hash.h"
#include "gloss/base/interrupt.h"
#include "gloss/base/mapped_file.h"
#include "gloss/formats/checked_file.h"
#include "gloss/index/layout.h"
#include "gloss/index/run_file.h"

namespace gloss::index {
namespace {

using Metadata = std::map<std::string, std::string>;

constexpr std::uint64_t kBytesPerLatent = 61;  // offsets, special, sum, max, cached, and what a range has of each
constexpr std::uint64_t kBytesPerFiring = 14;  // a piece of a run; position, activation and its f16 in their places
constexpr std::uint64_t kLeastFirings = 16;
constexpr std::uint64_t kRangeFirings = std::uint64_t{1} << 22;  // larger ranges are not merged any faster
constexpr std::size_t kChunk = std::size_t{1} << 14;             // entries of a table
constexpr float kLeastLargest = 0x1.0p-4F;
constexpr std::uint32_t kInfinityBits = 0x7F800000U;
constexpr const char* kHint = "delete the spill folder to begin the cache of this hookpoint again";

/// f16 bits; what would round to 0 is the smallest f16, since a firing must stay one.
std::uint16_t positive_half(float value) { return std::max<std::uint16_t>(half_from_positive(value), 1); }

std::uint64_t bytes_of_tables(const WriterOptions& options) {
  return kBytesPerLatent * (std::uint64_t{options.latent_count} + 1);
}

enum class Column { positions, activations };

/// Invariant: latents are taken in ascending order, of each range positions as well as activations; so both arrays grow
/// from front to back, in the file and in every run, and can be hashed as they go.
class Merger {
 public:
  Merger(const std::filesystem::path& folder, const WriterOptions& options, const Manifest& manifest,
         const MergeInput& input, Metadata metadata);
  /// Has run() write statistics beside the index.
  void gather_statistics(const std::filesystem::path& folder, const WriterOptions& options, const MergeInput& input);
  void run(Reporter& reporter);

 private:
  void allocate(const WriterOptions& options);
  void count_firings();
  void count_run(std::size_t number);
  void count_special(const RunFile& run, std::size_t number);
  void merge_range(std::uint32_t first, std::uint32_t last);
  void place_piece(std::uint32_t first, std::span<const std::uint32_t> piece, std::span<std::uint64_t> next,
                   std::uint32_t* placed) const;
  void read_slice(const RunFile& run, std::size_t number, std::uint32_t first, std::uint32_t last);
  void stream_latent(Column column, std::uint32_t latent);
  std::span<const std::uint32_t> read_piece(const RunFile& run, std::size_t number, Column column, std::uint64_t begin,
                                            std::uint64_t count);
  void take(Column column, std::uint32_t latent, std::span<const std::uint32_t> values);
  void write(Column column, std::span<const std::uint32_t> values);
  std::span<const std::uint16_t> round(std::span<const std::uint32_t> bits);
  Firings placed(LatentId f, std::uint64_t range_begin) const;
  template <class T>
  std::span<const T> view(const MappedFile& mapped, Array array) const;
  void add_statistics(std::uint32_t first, std::uint32_t last, const std::function<Firings(LatentId)>& firings);
  void add_statistics_of_file(std::uint32_t latent);
  void check_runs() const;
  void write_tables();

  std::filesystem::path run_name(std::size_t number) const { return run_path(spill_, number); }
  RunFile open_run(std::size_t number) const {
    return RunFile(run_name(number), latent_count_, manifest_.runs[number]);
  }
  [[noreturn]] void fail_run(std::size_t number, std::string_view what) const {
    fail_input(run_name(number).string(), what, kHint);
  }

  std::filesystem::path spill_;
  std::uint32_t latent_count_;
  const Manifest& manifest_;
  const FiringBuffer* buffer_;
  std::uint64_t token_count_, firing_count_;
  std::vector<std::uint8_t> cached_;  // [F]
  bool half_;
  formats::CheckedFileWriter file_;
  std::unique_ptr<StatisticsWriter> statistics_;

  std::vector<std::uint64_t> offsets_, special_;           // [F+1], [F]
  std::vector<std::uint64_t> buffered_;                    // [F]: firings in buffer_
  std::vector<double> sum_;                                // [F]
  std::vector<std::uint32_t> max_bits_;                    // [F]
  std::vector<std::uint64_t> slice_;                       // of the range: a run's offsets
  std::vector<std::uint64_t> next_, cursor_;               // of the range: where each latent's next firing goes
  std::vector<Hasher> positions_read_, activations_read_;  // of each run
  std::uint64_t capacity_ = 0;                             // firings of the following
  std::unique_ptr<std::uint32_t[]> piece_, positions_, activations_;
  std::unique_ptr<std::uint16_t[]> halves_;
  std::uint64_t next_position_ = 0;  // least position that may follow within the latent being taken
};

Merger::Merger(const std::filesystem::path& folder, const WriterOptions& options, const Manifest& manifest,
               const MergeInput& input, Metadata metadata)
    : spill_(folder / "spill"),
      latent_count_(options.latent_count),
      manifest_(manifest),
      buffer_(input.buffer),
      token_count_(input.token_count),
      firing_count_(manifest.firing_count() + (buffer_ == nullptr ? 0 : buffer_->size())),
      cached_(options.cached),
      half_(!options.full_precision &&
            fits_half(std::max(manifest.largest(), buffer_ == nullptr ? 0.0F : buffer_->largest()))),
      file_(folder / "index.safetensors",
            declare_arrays(options.latent_count, firing_count_, half_ ? formats::Dtype::f16 : formats::Dtype::f32),
            std::move(metadata)) {
  cached_.resize(latent_count_, 1);
  allocate(options);
}

void Merger::allocate(const WriterOptions& options) {
  const std::uint64_t taken = bytes_of_tables(options) + (buffer_ == nullptr ? 0 : buffer_->used_bytes());
  const std::uint64_t left = options.memory_bytes > taken ? options.memory_bytes - taken : 0;
  // More than a range only where one latent may have more.
  const std::uint64_t useful =
      std::clamp(std::max(kRangeFirings, token_count_), kLeastFirings, std::max(firing_count_, kLeastFirings));
  capacity_ = std::clamp(left / kBytesPerFiring, kLeastFirings, useful);
  piece_ = std::make_unique_for_overwrite<std::uint32_t[]>(capacity_);
  positions_ = std::make_unique_for_overwrite<std::uint32_t[]>(capacity_);
  activations_ = std::make_unique_for_overwrite<std::uint32_t[]>(capacity_);
  halves_ = std::make_unique_for_overwrite<std::uint16_t[]>(capacity_);
  offsets_.resize(std::size_t{latent_count_} + 1);
  special_.resize(latent_count_);
  buffered_.resize(latent_count_);
  sum_.resize(latent_count_);
  max_bits_.resize(latent_count_);
  positions_read_.resize(manifest_.runs.size());
  activations_read_.resize(manifest_.runs.size());
}

void Merger::run(Reporter& reporter) {
  count_firings();
  const std::uint64_t range = std::min(capacity_, kRangeFirings);
  for (std::uint32_t first = 0; first < latent_count_;) {
    stop_if_interrupted();
    std::uint32_t last = first + 1;  // at least one latent, more while they fit
    while (last < latent_count_ && offsets_[last + 1] - offsets_[first] <= range) ++last;
    if (offsets_[last] - offsets_[first] <= capacity_) {
      merge_range(first, last);
    } else {
      for (const Column column : {Column::positions, Column::activations}) stream_latent(column, first);
      if (statistics_) add_statistics_of_file(first);
    }
    first = last;
    reporter.progress({"merge", offsets_[first], firing_count_, "firings", {}});
  }
  check_runs();
  write_tables();
  if (statistics_) statistics_->commit();  // first, so that what has an index has statistics too
  file_.commit();
}

void Merger::gather_statistics(const std::filesystem::path& folder, const WriterOptions& options,
                               const MergeInput& input) {
  StatisticsWriter::Options wanted;
  wanted.hookpoint = options.hookpoint;
  wanted.latent_count = latent_count_;
  wanted.ctx_len = options.ctx_len;
  wanted.token_count = input.token_count;
  wanted.excluded_token_count = input.excluded_token_count;
  wanted.metadata = options.metadata;
  statistics_ = std::make_unique<StatisticsWriter>(folder / "statistics.safetensors", wanted, *input.tokens);
}

void Merger::add_statistics(std::uint32_t first, std::uint32_t last, const std::function<Firings(LatentId)>& firings) {
  statistics_->add(first, last - first, firings, [&](LatentId f) {
    const std::size_t i = to_index(f);
    return StatisticsWriter::Totals{cached_[i] != 0, special_[i], sum_[i], std::bit_cast<float>(max_bits_[i])};
  });
}

/// What the range that begins with firing `range_begin` holds of a latent, rounded as it is written.
Firings Merger::placed(LatentId f, std::uint64_t range_begin) const {
  const std::uint64_t begin = offsets_[to_index(f)] - range_begin;
  const std::uint64_t n = offsets_[to_index(f) + 1] - offsets_[to_index(f)];
  Firings found;
  found.position = {positions_.get() + begin, n};
  if (half_) {
    found.half_bits = {halves_.get() + begin, n};
  } else {
    found.full = {reinterpret_cast<const float*>(activations_.get()) + begin, n};
  }
  return found;
}

template <class T>
std::span<const T> Merger::view(const MappedFile& mapped, Array array) const {
  return {reinterpret_cast<const T*>(mapped.bytes().data() + file_.begin(array)), firing_count_};
}

/// Of a latent that was streamed: from what was just written, which the system still has in memory.
void Merger::add_statistics_of_file(std::uint32_t latent) {
  const MappedFile mapped = MappedFile::open(file_.temporary());
  add_statistics(latent, latent + 1, [&](LatentId f) {
    const std::uint64_t begin = offsets_[to_index(f)];
    const std::uint64_t n = offsets_[to_index(f) + 1] - begin;
    Firings found;
    found.position = view<std::uint32_t>(mapped, kPositions).subspan(begin, n);
    if (half_) {
      found.half_bits = view<std::uint16_t>(mapped, kActivations).subspan(begin, n);
    } else {
      found.full = view<float>(mapped, kActivations).subspan(begin, n);
    }
    return found;
  });
}

void Merger::count_firings() {
  for (std::size_t number = 0; number < manifest_.runs.size(); ++number) count_run(number);
  if (buffer_ != nullptr) {
    std::copy(buffer_->counts().begin(), buffer_->counts().end(), buffered_.begin());
    for (std::size_t f = 0; f < latent_count_; ++f) {
      offsets_[f + 1] += buffered_[f];
      special_[f] += buffer_->special()[f];
    }
  }
  for (std::size_t f = 0; f < latent_count_; ++f) offsets_[f + 1] += offsets_[f];
}

/// Adds a run's counts to offsets_[f + 1]. From here on a run's offsets are known to be right.
void Merger::count_run(std::size_t number) {
  const RunFile run = open_run(number);
  const std::uint64_t entries = std::uint64_t{latent_count_} + 1;
  std::vector<std::uint64_t> chunk;
  Hasher hash;
  std::uint64_t before = 0;
  for (std::uint64_t first = 0; first < entries; first += chunk.size()) {
    chunk.resize(std::min<std::uint64_t>(kChunk, entries - first));
    run.read_offsets(first, chunk);
    hash.add_bytes(std::as_bytes(std::span(chunk)));
    for (std::size_t i = 0; i < chunk.size(); ++i) {
      if (chunk[i] < before || chunk[i] > manifest_.runs[number].firing_count || (first + i == 0 && chunk[i] != 0))
        fail_run(number, fmt::format("offset {} is {}, but the one before is {}", first + i, chunk[i], before));
      offsets_[first + i] += chunk[i] - before;
      before = chunk[i];
    }
  }
  if (before != manifest_.runs[number].firing_count || hash.digest_hex() != manifest_.runs[number].offsets_hash)
    fail_run(number, "its offsets do not have the checksum that the manifest names");
  count_special(run, number);
}

void Merger::merge_range(std::uint32_t first, std::uint32_t last) {
  const std::uint64_t begin = offsets_[first];
  const std::uint64_t count = offsets_[last] - begin;
  next_.clear();
  for (std::uint32_t f = first; f < last; ++f) next_.push_back(offsets_[f] - begin);
  for (std::size_t number = 0; number < manifest_.runs.size(); ++number) {
    const RunFile run = open_run(number);
    read_slice(run, number, first, last);
    const std::uint64_t size = slice_.back() - slice_.front();
    cursor_ = next_;
    place_piece(first, read_piece(run, number, Column::positions, slice_[0], size), cursor_, positions_.get());
    place_piece(first, read_piece(run, number, Column::activations, slice_[0], size), next_, activations_.get());
  }
  for (std::uint32_t f = first; f < last; ++f) {
    if (begin + next_[f - first] + buffered_[f] != offsets_[f + 1])
      fail_input(spill_.string(), "a run changed while it was read");
  }
  if (buffer_ != nullptr) buffer_->place(first, last, next_, positions_.get(), activations_.get());
  for (std::uint32_t f = first; f < last; ++f) {
    const std::uint64_t n = offsets_[f + 1] - offsets_[f];
    next_position_ = 0;
    take(Column::positions, f, {positions_.get() + (offsets_[f] - begin), n});
    take(Column::activations, f, {activations_.get() + (offsets_[f] - begin), n});
  }
  write(Column::positions, {positions_.get(), count});
  write(Column::activations, {activations_.get(), count});
  if (statistics_) add_statistics(first, last, [&](LatentId f) { return placed(f, begin); });
}

/// Copies one column of a run's piece of the range, sorted by latent, to where `next` says, and moves that on.
void Merger::place_piece(std::uint32_t first, std::span<const std::uint32_t> piece, std::span<std::uint64_t> next,
                         std::uint32_t* placed) const {
  for (std::size_t i = 0; i < next.size(); ++i) {
    const std::uint64_t count = slice_[i + 1] - slice_[i];
    if (count > offsets_[first + i + 1] - offsets_[first] - next[i])
      fail_input(spill_.string(), "a run changed while it was read");
    std::copy_n(piece.data() + (slice_[i] - slice_[0]), count, placed + next[i]);
    next[i] += count;
  }
}

void Merger::read_slice(const RunFile& run, std::size_t number, std::uint32_t first, std::uint32_t last) {
  slice_.resize(std::size_t{last} - first + 1);
  run.read_offsets(first, slice_);
  const bool ascending = std::is_sorted(slice_.begin(), slice_.end());
  if (!ascending || slice_.back() > manifest_.runs[number].firing_count) fail_run(number, "changed while it was read");
}

/// One latent that fires more often than fits in memory.
void Merger::stream_latent(Column column, std::uint32_t latent) {
  next_position_ = 0;
  std::uint64_t at = offsets_[latent];
  for (std::size_t number = 0; number < manifest_.runs.size(); ++number) {
    const RunFile run = open_run(number);
    read_slice(run, number, latent, latent + 1);
    for (std::uint64_t begin = slice_[0]; begin < slice_[1];) {
      const auto piece = read_piece(run, number, column, begin, std::min(capacity_, slice_[1] - begin));
      if (piece.size() > offsets_[latent + 1] - at) fail_run(number, "changed while it was read");
      take(column, latent, piece);
      write(column, piece);
      at += piece.size();
      begin += piece.size();
    }
  }
}

std::span<const std::uint32_t> Merger::read_piece(const RunFile& run, std::size_t number, Column column,
                                                  std::uint64_t begin, std::uint64_t count) {
  if (count > capacity_) fail_run(number, "changed while it was read");
  const std::span<std::uint32_t> piece(piece_.get(), count);
  if (column == Column::positions) {
    run.read_positions(begin, piece);
    positions_read_[number].add_bytes(std::as_bytes(piece));
  } else {
    run.read_activations(begin, piece);
    activations_read_[number].add_bytes(std::as_bytes(piece));
  }
  return piece;
}

/// Checks firings of a latent that follow those already taken, and sums them up.
void Merger::take(Column column, std::uint32_t latent, std::span<const std::uint32_t> values) {
  if (values.empty()) return;
  if (column == Column::positions) {
    bool ascending = values.front() >= next_position_ && values.back() < token_count_;
    for (std::size_t i = 1; i < values.size(); ++i) ascending &= values[i - 1] < values[i];
    if (!ascending)
      fail_input(
          spill_.string(),
          fmt::format("latent {}: positions from {} to {} are out of order", latent, values.front(), values.back()),
          kHint);
    next_position_ = std::uint64_t{values.back()} + 1;
    return;
  }
  double sum = sum_[latent];
  std::uint32_t max_bits = max_bits_[latent];
  bool positive = true;
  for (const std::uint32_t bits : values) {
    positive &= bits - 1 < kInfinityBits - 1;
    sum += double{std::bit_cast<float>(bits)};
    max_bits = std::max(max_bits, bits);
  }
  if (!positive) fail_input(spill_.string(), fmt::format("latent {}: an activation is not positive", latent), kHint);
  sum_[latent] = sum;
  max_bits_[latent] = max_bits;
}

void Merger::write(Column column, std::span<const std::uint32_t> values) {
  if (column == Column::positions) {
    file_.append_values(kPositions, values);
  } else if (half_) {
    file_.append_values(kActivations, round(values));
  } else {
    file_.append_values(kActivations, values);
  }
}

/// The f16 of activations, in halves_. Requires: no more than capacity_.
std::span<const std::uint16_t> Merger::round(std::span<const std::uint32_t> bits) {
  for (std::size_t i = 0; i < bits.size(); ++i) halves_[i] = positive_half(std::bit_cast<float>(bits[i]));
  return {halves_.get(), bits.size()};
}

/// Adds up how often each latent fires at special tokens in a run.
void Merger::count_special(const RunFile& run, std::size_t number) {
  std::vector<std::uint64_t> chunk;
  Hasher hash;
  for (std::uint64_t first = 0; first < latent_count_; first += chunk.size()) {
    chunk.resize(std::min<std::uint64_t>(kChunk, latent_count_ - first));
    run.read_special(first, chunk);
    hash.add_bytes(std::as_bytes(std::span(chunk)));
    for (std::size_t i = 0; i < chunk.size(); ++i) special_[first + i] += chunk[i];
  }
  if (hash.digest_hex() != manifest_.runs[number].special_hash)
    fail_run(number, "its counts of firings at special tokens do not have the checksum that the manifest names");
}

void Merger::check_runs() const {
  for (std::size_t number = 0; number < manifest_.runs.size(); ++number) {
    const RunInfo& run = manifest_.runs[number];
    if (positions_read_[number].digest_hex() != run.positions_hash)
      fail_run(number, "its positions do not have the checksum that the manifest names");
    if (activations_read_[number].digest_hex() != run.activations_hash)
      fail_run(number, "its activations do not have the checksum that the manifest names");
  }
}

void Merger::write_tables() {
  std::vector<std::uint64_t>& count = cursor_;
  count.assign(latent_count_, 0);
  for (std::size_t f = 0; f < latent_count_; ++f) count[f] = offsets_[f + 1] - offsets_[f];
  file_.append_values(kOffsets, std::span<const std::uint64_t>(offsets_));
  file_.append_values(kCount, std::span<const std::uint64_t>(count));
  file_.append_values(kSpecial, std::span<const std::uint64_t>(special_));
  file_.append_values(kSum, std::span<const double>(sum_));
  file_.append_values(kMax, std::span<const std::uint32_t>(max_bits_));
  file_.append_values(kCached, std::span<const std::uint8_t>(cached_));
}

}  // namespace

bool fits_beside_merge(const FiringBuffer& buffer, const WriterOptions& options, const Manifest& manifest,
                       std::uint64_t token_count) {
  // A latent fires once a token at most: each fits, and none is streamed from its runs alone.
  const std::uint64_t largest = std::min(token_count, manifest.firing_count() + buffer.size());
  return bytes_of_tables(options) + buffer.used_bytes() + largest * kBytesPerFiring <= options.memory_bytes;
}

bool fits_half(float largest) { return largest == 0.0F || (largest >= kLeastLargest && largest <= kHalfMax); }

void merge_runs(const std::filesystem::path& folder, const WriterOptions& options, const Manifest& manifest,
                const MergeInput& input, Reporter& reporter) {
  Metadata metadata = options.metadata;
  metadata["format"] = kFormat;
  metadata["hookpoint"] = options.hookpoint;
  metadata["ctx_len"] = std::to_string(options.ctx_len);
  metadata["token_count"] = std::to_string(input.token_count);
  metadata["excluded_token_count"] = std::to_string(input.excluded_token_count);
  Merger merger(folder, options, manifest, input, std::move(metadata));
  if (input.tokens != nullptr) merger.gather_statistics(folder, options, input);
  merger.run(reporter);
}

}  // namespace gloss::index
