#pragma once
/// Firings that wait to be spilled or merged, parted by latent as they come.
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <vector>

#include "gloss/index/run_file.h"
#include "gloss/index/writer.h"

namespace gloss::index {

/// Firings lie in blocks, each of one bucket: latents whose numbers differ in their last bits only. So adding writes to
/// few places at a time, and what is left to sort is one bucket after another, which a processor's cache holds.
/// Rejected: a counting sort of everything at once, whose every firing goes to another page.
class FiringBuffer {
 public:
  /// As many firings as fit in `memory_bytes` beside the tables of latents, never fewer than 16.
  FiringBuffer(std::uint64_t memory_bytes, std::uint32_t latent_count);

  std::uint64_t size() const { return size_; }
  /// Whether there is nothing to spill.
  bool empty() const { return size_ == 0 && special_firings_ == 0; }
  /// Firings that can be added whatever their latents.
  std::uint64_t room() const;
  /// Memory that the firings have, their tables left out.
  std::uint64_t used_bytes() const { return slabs_.size() * slab_blocks_ * block_bytes(); }
  float largest() const { return largest_; }                           // activation; 0 without firings
  std::span<const std::uint64_t> counts() const { return count_; }     // [F]: how often each latent is here
  std::span<const std::uint64_t> special() const { return special_; }  // [F]: firings at special tokens, not kept

  /// Requires: no more firings than room(), in the order of their positions; latents below the latent count;
  /// activations > 0.
  void add(std::span<const Firing> firings);
  /// Counts a firing at a special token, which is not kept. Requires: latent below the latent count.
  void count_special(std::uint32_t latent);
  void clear();
  /// Makes room for `count` firings where even an empty buffer has less. Requires: size() == 0.
  void grow(std::uint64_t count);
  /// Gives memory back that no firing needs now.
  void trim();

  /// Puts the firings of latents [first, last) where `next` [last - first] says, latent by latent in the order of
  /// positions, and moves `next` behind them. `activations` get the bits of f32.
  void place(std::uint32_t first, std::uint32_t last, std::span<std::uint64_t> next, std::uint32_t* positions,
             std::uint32_t* activations) const;

  /// Sorts by latent, keeping the order of positions, and writes the run in one step. The buffer stays as it is.
  /// Errors: failed (disk); std::logic_error when a latent fires twice at one position.
  RunInfo write_run(const std::filesystem::path& path, std::uint64_t end_position) const;

 private:
  struct Bucket {
    std::vector<Firing*> blocks;
    Firing* next = nullptr;  // where the next firing goes, in the last block
    Firing* end = nullptr;   // of that block
  };
  std::uint64_t block_bytes() const { return block_ * sizeof(Firing); }
  std::uint64_t size_of(const Bucket& bucket) const;
  void open_block(Bucket& bucket);
  template <class Body>
  void each(const Bucket& bucket, const Body& body) const;

  std::uint32_t latent_count_;
  unsigned shift_ = 0;                // a latent's bucket is latent >> shift_
  std::uint64_t block_ = 0;           // firings of a block
  std::uint64_t slab_blocks_ = 0;     // blocks that are asked for at once
  std::uint64_t budget_ = 0;          // bytes for blocks, and for sorting the largest bucket
  std::uint64_t largest_bucket_ = 0;  // firings
  std::vector<Bucket> buckets_;
  std::vector<std::unique_ptr<Firing[]>> slabs_;
  std::uint64_t next_block_ = 0;
  std::vector<std::uint64_t> count_, special_;
  std::uint64_t size_ = 0, special_firings_ = 0;
  float largest_ = 0.0F;
};

}  // namespace gloss::index
