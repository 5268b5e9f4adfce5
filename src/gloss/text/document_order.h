#pragma once
/// Documents in an order drawn from a seed, in memory that does not grow with them.
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>

#include "gloss/base/mapped_file.h"

namespace gloss::text {

/// A permutation of [0, n) as a function: the i-th element costs a few generator calls, and nothing is kept.
/// Any thread. Source: a balanced Feistel network with rounds of Philox numbers over the least power of four that holds
/// n (256 at least), walked until it lands below n: Black and Rogaway 2002, "Ciphers with arbitrary finite domains".
class Permutation {
 public:
  Permutation(std::uint64_t n, std::uint64_t seed);

  /// Requires: i < n. Each value below n comes once.
  std::uint64_t operator()(std::uint64_t i) const;

 private:
  std::uint64_t mix(std::uint64_t value) const;

  std::uint64_t n_;
  std::uint64_t seed_;
  unsigned half_bits_;
};

/// All documents of a source, written to two scratch files once and then read back in the order of a Permutation.
/// Memory: one document; disk: the text and 8 bytes a document, gone as soon as this is (and, but for a kill while they
/// are written, never seen: the files are mapped and then removed).
class ShuffledDocuments {
 public:
  /// Takes every document that `next` gives. `scratch`: the folder for the two files.
  /// Errors: failed when the disk is full; interrupted; and those of `next`.
  ShuffledDocuments(const std::function<std::optional<std::string>()>& next, std::uint64_t seed,
                    const std::filesystem::path& scratch);

  std::optional<std::string> next();
  std::uint64_t count() const { return count_; }

 private:
  MappedFile text_;
  MappedFile ends_;  // u64 [count]: where each document's text ends
  std::uint64_t count_ = 0;
  std::uint64_t given_ = 0;
  std::optional<Permutation> order_;
};

}  // namespace gloss::text
