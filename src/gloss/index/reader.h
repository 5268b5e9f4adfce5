#pragma once
/// Read side of the activation index: where each latent fired, and how strongly.
/// Written by `gloss cache`; bytes on disk: docs/formats/activation-index.md.
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "gloss/base/ids.h"
#include "gloss/formats/safetensors.h"

namespace gloss::index {

/// Firings of one latent, in token order. `activation` is f16 or f32 as stored; value(i) reads either.
struct Firings {
  std::span<const std::uint32_t> position;   // context * ctx_len + offset, ascending
  std::span<const std::uint16_t> half_bits;  // f16 bits [n], or empty
  std::span<const float> full;               // f32 [n], or empty

  std::size_t size() const { return position.size(); }
  float value(std::size_t i) const;  // > 0
};

/// Immutable and memory-mapped; copies share the mapping; any thread may use any copy without locks.
class Reader {
 public:
  /// Maps `file` and checks the header's checksum, shapes, dtypes and bounds of the offsets; cost does not grow with
  /// the firings. What an older gloss wrote (version 1) has no checksum of the header, and is read as well. Errors:
  /// bad_input: missing, cut, not an index, or arrays that disagree (names array and byte).
  static Reader open(const std::filesystem::path& file);
  static Reader parse(MappedFile file);

  std::uint32_t latent_count() const { return static_cast<std::uint32_t>(count_.size()); }
  std::uint32_t ctx_len() const { return ctx_len_; }
  std::uint64_t token_count() const { return token_count_; }
  /// Tokens left out of the index because they are special (BOS, end of text); docs/methods.md 1.
  std::uint64_t excluded_token_count() const { return excluded_token_count_; }
  const std::string& hookpoint() const { return hookpoint_; }
  const std::map<std::string, std::string>& metadata() const { return file_.metadata(); }
  const std::string& file_name() const { return file_.file_name(); }

  /// Requires: f < latent_count(). Lifetime: as long as any copy of this reader.
  Firings firings(LatentId f) const&;
  Firings firings(LatentId f) && = delete;
  std::uint64_t count(LatentId f) const { return count_[to_index(f)]; }
  /// Firings at special tokens, which are not in the index; nothing where an older gloss wrote it, which did not count.
  std::optional<std::uint64_t> special_count(LatentId f) const;
  /// Whether f's firings were kept: false for those that `gloss cache --latents` left out.
  bool is_cached(LatentId f) const { return cached_.empty() || cached_[to_index(f)] != 0; }
  float max(LatentId f) const { return max_[to_index(f)]; }
  double sum(LatentId f) const { return sum_[to_index(f)]; }
  /// Fraction of indexed tokens at which f fires.
  double density(LatentId f) const;

  /// Reads the whole file: checksums, positions ascending and below token_count(), activations positive and finite, max
  /// and sum in agreement with them. Errors: bad_input naming array or latent.
  void verify() const;

 private:
  void read_arrays(const std::byte* file_begin);
  void read_new_arrays();
  void read_metadata();
  void check_offsets(const std::byte* file_begin) const;
  void check_statistics() const;
  void verify_latent(LatentId f) const;

  formats::SafeTensors file_;
  std::span<const std::uint64_t> offsets_, count_, special_;
  std::span<const double> sum_;
  std::span<const std::uint32_t> positions_;
  std::span<const float> max_, full_;
  std::span<const std::uint16_t> half_bits_;
  std::span<const std::uint8_t> cached_;
  std::uint32_t ctx_len_ = 0;
  std::uint64_t token_count_ = 0, excluded_token_count_ = 0;
  std::string hookpoint_;
};

}  // namespace gloss::index
