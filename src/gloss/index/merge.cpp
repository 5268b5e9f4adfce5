#include "gloss/index/merge.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
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
#include "gloss/formats/safetensors.h"
#include "gloss/index/layout.h"
#include "gloss/index/placed_file.h"
#include "gloss/index/run_file.h"

namespace gloss::index {
namespace {

using Metadata = std::map<std::string, std::string>;

constexpr std::uint64_t kBytesPerLatent = 40;  // offsets, sum, max, cursor and slice
constexpr std::uint64_t kBytesPerFiring = 8;   // a piece of a run, and the same in its place
constexpr std::uint64_t kLeastFirings = 16;
constexpr std::uint64_t kMostFirings = std::uint64_t{1} << 25;  // larger pieces are not read any faster
constexpr std::size_t kChunk = std::size_t{1} << 14;
constexpr float kLeastLargest = 0x1.0p-4F;
constexpr std::uint32_t kInfinityBits = 0x7F800000U;
constexpr const char* kHint = "delete the spill folder to begin the cache of this hookpoint again";

/// f16 bits; what would round to 0 is the smallest f16, since a firing must stay one.
std::uint16_t positive_half(float value) { return std::max<std::uint16_t>(half_from_float(value), 1); }

Metadata with_checksums(Metadata metadata, std::span<const Hasher> hashes) {
  for (std::size_t a = 0; a < kArrays; ++a) metadata[checksum_key(static_cast<Array>(a))] = hashes[a].digest_hex();
  return metadata;
}

enum class Column { positions, activations };

/// Invariant: latents are taken in ascending order, each range first by its positions, then by its activations; so both
/// arrays grow from front to back, in the file and in every run, and can be hashed as they go.
class Merger {
 public:
  Merger(const std::filesystem::path& folder, const WriterOptions& options, const Manifest& manifest,
         Metadata metadata);
  void run(Reporter& reporter);

 private:
  void allocate(std::uint64_t memory_bytes);
  void count_firings();
  void count_run(std::size_t number);
  void merge_range(Column column, std::uint32_t first, std::uint32_t last);
  void place_pieces(std::uint32_t first, std::uint64_t range_begin, std::span<const std::uint32_t> piece);
  void read_slice(const RunFile& run, std::size_t number, std::uint32_t first, std::uint32_t last);
  void stream_latent(Column column, std::uint32_t latent);
  std::span<const std::uint32_t> read_piece(const RunFile& run, std::size_t number, Column column, std::uint64_t begin,
                                            std::uint64_t count);
  void take(Column column, std::uint32_t latent, std::span<const std::uint32_t> values);
  void write(Column column, std::uint64_t first_firing, std::span<const std::uint32_t> values);
  void write_halves(std::uint64_t at, std::span<const std::uint32_t> bits);
  void write_array(Array array, std::uint64_t at, std::span<const std::byte> bytes);
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
  Metadata metadata_;
  bool half_;
  Layout layout_;
  std::array<Hasher, kArrays> hashes_;  // of the arrays written
  std::string header_;
  PlacedFile file_;

  std::vector<std::uint64_t> offsets_;                     // [F+1]
  std::vector<double> sum_;                                // [F]
  std::vector<std::uint32_t> max_bits_;                    // [F]
  std::vector<std::uint64_t> slice_, cursor_;              // of the range: a run's offsets; where its next goes
  std::vector<Hasher> positions_read_, activations_read_;  // of each run
  std::uint64_t capacity_ = 0;                             // firings of piece_ and of placed_
  std::unique_ptr<std::uint32_t[]> piece_, placed_;
  std::vector<std::uint16_t> halves_;
  std::uint64_t next_position_ = 0;  // least position that may follow within the latent being taken
};

Merger::Merger(const std::filesystem::path& folder, const WriterOptions& options, const Manifest& manifest,
               Metadata metadata)
    : spill_(folder / "spill"),
      latent_count_(options.latent_count),
      manifest_(manifest),
      metadata_(std::move(metadata)),
      half_(!options.full_precision && fits_half(manifest.largest())),
      layout_(options.latent_count, manifest.firing_count(), half_ ? formats::Dtype::f16 : formats::Dtype::f32),
      header_(layout_.header(with_checksums(metadata_, hashes_))),
      file_(folder / "index.safetensors", header_.size() + layout_.data_bytes()) {
  allocate(options.memory_bytes);
}

void Merger::allocate(std::uint64_t memory_bytes) {
  const std::uint64_t tables = kBytesPerLatent * (std::uint64_t{latent_count_} + 1);
  const std::uint64_t left = memory_bytes > tables ? memory_bytes - tables : 0;
  const std::uint64_t useful = std::clamp(manifest_.firing_count(), kLeastFirings, kMostFirings);
  capacity_ = std::clamp(left / kBytesPerFiring, kLeastFirings, useful);
  piece_ = std::make_unique_for_overwrite<std::uint32_t[]>(capacity_);
  placed_ = std::make_unique_for_overwrite<std::uint32_t[]>(capacity_);
  offsets_.resize(std::size_t{latent_count_} + 1);
  sum_.resize(latent_count_);
  max_bits_.resize(latent_count_);
  halves_.resize(kChunk);
  positions_read_.resize(manifest_.runs.size());
  activations_read_.resize(manifest_.runs.size());
}

void Merger::run(Reporter& reporter) {
  count_firings();
  const std::uint64_t total = offsets_.back();
  for (std::uint32_t first = 0; first < latent_count_;) {
    stop_if_interrupted();
    std::uint32_t last = first + 1;  // at least one latent, more while they fit
    while (last < latent_count_ && offsets_[last + 1] - offsets_[first] <= capacity_) ++last;
    for (const Column column : {Column::positions, Column::activations}) {
      if (offsets_[last] - offsets_[first] <= capacity_) {
        merge_range(column, first, last);
      } else {
        stream_latent(column, first);
      }
    }
    first = last;
    reporter.progress({"merge", offsets_[first], total, "firings", {}});
  }
  check_runs();
  write_tables();
  file_.commit();
}

void Merger::count_firings() {
  for (std::size_t number = 0; number < manifest_.runs.size(); ++number) count_run(number);
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
}

void Merger::merge_range(Column column, std::uint32_t first, std::uint32_t last) {
  const std::uint64_t begin = offsets_[first];
  const std::uint64_t count = offsets_[last] - begin;
  if (count == 0) return;
  cursor_.assign(offsets_.begin() + first, offsets_.begin() + last);
  for (std::size_t number = 0; number < manifest_.runs.size(); ++number) {
    const RunFile run = open_run(number);
    read_slice(run, number, first, last);
    place_pieces(first, begin, read_piece(run, number, column, slice_.front(), slice_.back() - slice_.front()));
  }
  for (std::uint32_t f = first; f < last; ++f) {
    next_position_ = 0;
    take(column, f, std::span(placed_.get(), count).subspan(offsets_[f] - begin, offsets_[f + 1] - offsets_[f]));
  }
  write(column, begin, std::span(placed_.get(), count));
}

/// Copies a run's piece of the range, sorted by latent, behind what earlier runs gave of each latent.
void Merger::place_pieces(std::uint32_t first, std::uint64_t range_begin, std::span<const std::uint32_t> piece) {
  for (std::size_t i = 0; i < cursor_.size(); ++i) {
    const std::uint64_t count = slice_[i + 1] - slice_[i];
    if (count > offsets_[first + i + 1] - cursor_[i]) fail_input(spill_.string(), "a run changed while it was read");
    std::copy_n(piece.data() + (slice_[i] - slice_[0]), count, placed_.get() + (cursor_[i] - range_begin));
    cursor_[i] += count;
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
      write(column, at, piece);
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
  if (column == Column::positions) {
    for (const std::uint32_t position : values) {
      if (position < next_position_ || position >= manifest_.resume_position)
        fail_input(spill_.string(), fmt::format("latent {}: position {} is out of order", latent, position), kHint);
      next_position_ = std::uint64_t{position} + 1;
    }
    return;
  }
  double sum = sum_[latent];
  std::uint32_t max_bits = max_bits_[latent];
  for (const std::uint32_t bits : values) {
    if (bits == 0 || bits >= kInfinityBits)
      fail_input(spill_.string(), fmt::format("latent {}: an activation is not positive", latent), kHint);
    sum += double{std::bit_cast<float>(bits)};
    max_bits = std::max(max_bits, bits);
  }
  sum_[latent] = sum;
  max_bits_[latent] = max_bits;
}

void Merger::write(Column column, std::uint64_t first_firing, std::span<const std::uint32_t> values) {
  if (column == Column::positions) {
    write_array(kPositions, first_firing * sizeof(std::uint32_t), std::as_bytes(values));
  } else if (half_) {
    write_halves(first_firing, values);
  } else {
    write_array(kActivations, first_firing * sizeof(float), std::as_bytes(values));
  }
}

void Merger::write_halves(std::uint64_t first_firing, std::span<const std::uint32_t> bits) {
  while (!bits.empty()) {
    const std::span<std::uint16_t> chunk = std::span(halves_).first(std::min(halves_.size(), bits.size()));
    for (std::size_t i = 0; i < chunk.size(); ++i) chunk[i] = positive_half(std::bit_cast<float>(bits[i]));
    write_array(kActivations, first_firing * sizeof(std::uint16_t), std::as_bytes(chunk));
    first_firing += chunk.size();
    bits = bits.subspan(chunk.size());
  }
}

/// Requires: an array's bytes come in ascending order of `at`.
void Merger::write_array(Array array, std::uint64_t at, std::span<const std::byte> bytes) {
  hashes_.at(array).add_bytes(bytes);
  file_.write_at(header_.size() + layout_.begin(array) + at, bytes);
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
  count.resize(latent_count_);
  for (std::size_t f = 0; f < latent_count_; ++f) count[f] = offsets_[f + 1] - offsets_[f];
  write_array(kOffsets, 0, std::as_bytes(std::span(offsets_)));
  write_array(kCount, 0, std::as_bytes(std::span(count)));
  write_array(kSum, 0, std::as_bytes(std::span(sum_)));
  write_array(kMax, 0, std::as_bytes(std::span(max_bits_)));
  const std::string header = layout_.header(with_checksums(metadata_, hashes_));
  if (header.size() != header_.size()) throw std::logic_error("the header's size depends on its checksums");
  file_.write_at(0, std::as_bytes(std::span(header.data(), header.size())));
}

}  // namespace

bool fits_half(float largest) { return largest == 0.0F || (largest >= kLeastLargest && largest <= kHalfMax); }

void merge_runs(const std::filesystem::path& folder, const WriterOptions& options, const Manifest& manifest,
                std::uint64_t token_count, std::uint64_t excluded_token_count, Reporter& reporter) {
  Metadata metadata = options.metadata;
  metadata["format"] = kFormat;
  metadata["hookpoint"] = options.hookpoint;
  metadata["ctx_len"] = std::to_string(options.ctx_len);
  metadata["token_count"] = std::to_string(token_count);
  metadata["excluded_token_count"] = std::to_string(excluded_token_count);
  Merger(folder, options, manifest, std::move(metadata)).run(reporter);
}

}  // namespace gloss::index
