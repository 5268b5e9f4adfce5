#include "gloss/index/firing_buffer.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <functional>
#include <stdexcept>

namespace gloss::index {
namespace {

constexpr std::uint64_t kLeastFirings = 16;
constexpr std::uint64_t kBytesPerLatent = 24;  // counts, offsets, firings at special tokens
constexpr std::uint64_t kSortedBytes = 8;      // of a firing: position and activation
constexpr std::uint64_t kMostBlock = 1024;
constexpr std::uint64_t kLeastBlock = 16;
constexpr std::uint32_t kMostBuckets = 512;
constexpr unsigned kLeastShift = 9;                           // buckets of fewer latents are no faster
constexpr std::uint64_t kBlocksShare = 16;                    // of the memory may lie in blocks half full
constexpr std::uint64_t kMostSlab = std::uint64_t{64} << 20;  // bytes; so large that the system gets it back when freed
constexpr std::uint64_t kSlabs = 32;                          // more of them in less memory

void check_ascending(std::span<const std::uint32_t> positions, std::uint32_t latent,
                     const std::filesystem::path& path) {
  const auto at = std::adjacent_find(positions.begin(), positions.end(), std::greater_equal<>());
  if (at != positions.end())
    throw std::logic_error(fmt::format("{}: latent {} fires twice at position {}", path.string(), latent, *at));
}

}  // namespace

FiringBuffer::FiringBuffer(std::uint64_t memory_bytes, std::uint32_t latent_count) : latent_count_(latent_count) {
  const std::uint64_t tables = kBytesPerLatent * (std::uint64_t{latent_count} + 1);
  const std::uint64_t left = memory_bytes > tables ? memory_bytes - tables : 0;
  const auto count = [&] { return ((std::uint64_t{latent_count} - 1) >> shift_) + 1; };
  shift_ = kLeastShift;
  while (count() > kMostBuckets || (count() > 1 && count() * kLeastBlock * sizeof(Firing) * kBlocksShare > left))
    ++shift_;
  block_ = kMostBlock;
  while (block_ > kLeastBlock && count() * block_ * sizeof(Firing) * kBlocksShare > left) block_ /= 2;
  buckets_.resize(count());
  slab_blocks_ = std::max<std::uint64_t>(1, std::min(left / kSlabs, kMostSlab) / block_bytes());
  count_.resize(latent_count);
  special_.resize(latent_count);
  budget_ = left;
  grow(kLeastFirings);
}

std::uint64_t FiringBuffer::room() const {
  const std::uint64_t taken = (next_block_ + buckets_.size()) * block_bytes() + kSortedBytes * largest_bucket_;
  return taken < budget_ ? (budget_ - taken) / (sizeof(Firing) + kSortedBytes) : 0;
}

void FiringBuffer::grow(std::uint64_t count) {
  budget_ = std::max(budget_, buckets_.size() * block_bytes() + count * (sizeof(Firing) + kSortedBytes));
}

void FiringBuffer::open_block(Bucket& bucket) {
  if (next_block_ == slabs_.size() * slab_blocks_)
    slabs_.push_back(std::make_unique_for_overwrite<Firing[]>(slab_blocks_ * block_));
  Firing* block = slabs_[next_block_ / slab_blocks_].get() + (next_block_ % slab_blocks_) * block_;
  ++next_block_;
  bucket.blocks.push_back(block);
  bucket.next = block;
  bucket.end = block + block_;
}

std::uint64_t FiringBuffer::size_of(const Bucket& bucket) const {
  return bucket.blocks.size() * block_ - static_cast<std::uint64_t>(bucket.end - bucket.next);
}

void FiringBuffer::add(std::span<const Firing> firings) {
  float largest = largest_;
  for (const Firing& firing : firings) {
    Bucket& bucket = buckets_[firing.latent >> shift_];
    if (bucket.next == bucket.end) open_block(bucket);
    *bucket.next++ = firing;
    ++count_[firing.latent];
    largest = std::max(largest, firing.activation);
  }
  largest_ = largest;
  size_ += firings.size();
  for (const Bucket& bucket : buckets_) largest_bucket_ = std::max(largest_bucket_, size_of(bucket));
}

void FiringBuffer::count_special(std::uint32_t latent) {
  ++special_[latent];
  ++special_firings_;
}

void FiringBuffer::clear() {
  for (Bucket& bucket : buckets_) {
    bucket.blocks.clear();
    bucket.next = bucket.end = nullptr;
  }
  std::fill(count_.begin(), count_.end(), std::uint64_t{0});
  std::fill(special_.begin(), special_.end(), std::uint64_t{0});
  next_block_ = largest_bucket_ = size_ = special_firings_ = 0;
  largest_ = 0.0F;
}

void FiringBuffer::trim() { slabs_.resize((next_block_ + slab_blocks_ - 1) / slab_blocks_); }

/// body(firing), in the order in which they were added.
template <class Body>
void FiringBuffer::each(const Bucket& bucket, const Body& body) const {
  for (const Firing* block : bucket.blocks) {
    const Firing* end = block == bucket.blocks.back() ? bucket.next : block + block_;
    for (const Firing* firing = block; firing != end; ++firing) body(*firing);
  }
}

void FiringBuffer::place(std::uint32_t first, std::uint32_t last, std::span<std::uint64_t> next,
                         std::uint32_t* positions, std::uint32_t* activations) const {
  const auto put = [&](const Firing& f) {
    const std::uint64_t at = next[f.latent - first]++;
    positions[at] = f.position;
    activations[at] = std::bit_cast<std::uint32_t>(f.activation);
  };
  for (std::uint32_t b = first >> shift_; b <= (last - 1) >> shift_; ++b) {
    const bool whole = std::uint64_t{b} << shift_ >= first && (std::uint64_t{b} + 1) << shift_ <= last;
    if (whole) {
      each(buckets_[b], put);
    } else {
      each(buckets_[b], [&](const Firing& f) {
        if (f.latent >= first && f.latent < last) put(f);
      });
    }
  }
}

RunInfo FiringBuffer::write_run(const std::filesystem::path& path, std::uint64_t end_position) const {
  std::vector<std::uint64_t> offsets(std::size_t{latent_count_} + 1, 0);
  for (std::size_t f = 0; f < latent_count_; ++f) offsets[f + 1] = offsets[f] + count_[f];
  const auto positions = std::make_unique_for_overwrite<std::uint32_t[]>(largest_bucket_);
  const auto activations = std::make_unique_for_overwrite<std::uint32_t[]>(largest_bucket_);
  std::vector<std::uint64_t> next;
  RunWriter run(path, latent_count_, size_, end_position);
  for (std::size_t b = 0; b < buckets_.size(); ++b) {
    const auto first = static_cast<std::uint32_t>(b << shift_);
    const auto last = static_cast<std::uint32_t>(std::min<std::uint64_t>(latent_count_, (b + 1) << shift_));
    const std::uint64_t begin = offsets[first];
    next.clear();
    for (std::uint32_t f = first; f < last; ++f) next.push_back(offsets[f] - begin);
    place(first, last, next, positions.get(), activations.get());
    for (std::uint32_t f = first; f < last; ++f)
      check_ascending({positions.get() + (offsets[f] - begin), offsets[f + 1] - offsets[f]}, f, path);
    run.append_positions({positions.get(), offsets[last] - begin});
    run.append_activations({activations.get(), offsets[last] - begin});
  }
  return run.commit(offsets, special_, largest_);
}

}  // namespace gloss::index
