#pragma once
/// Write side of the activation index: firings in token order in, one file sorted by latent out, within fixed memory.
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "gloss/base/ids.h"
#include "gloss/base/reporter.h"
#include "gloss/index/reader.h"

namespace gloss::index {

struct IndexedTokens;

struct Firing {
  std::uint32_t latent;
  std::uint32_t position;  // context * ctx_len + offset
  float activation;        // > 0
};

struct WriterOptions {
  std::string hookpoint;
  std::uint32_t latent_count = 0;  // F
  std::uint32_t ctx_len = 0;
  std::uint64_t memory_bytes = std::uint64_t{1} << 30;  // of the firing buffer and of the merge
  bool full_precision = false;                          // f32 whatever the values; else f16 unless one leaves its range
  std::vector<std::uint8_t> cached;             // [F], 1 for latents whose firings are given, else 0; empty = all are
  std::map<std::string, std::string> metadata;  // stored as given (model, coder, fingerprints, version, ...)
};

/// Firings go to a buffer of fixed size; a full buffer is sorted by latent and spilled as a run to FOLDER/spill/;
/// finish() merges the runs, and the buffer where the memory has room for both, in one pass. After each spill a
/// manifest is committed, so a new Writer on the same folder and options goes on from resume_position(). Same firings =
/// same bytes, however often interrupted and whatever the memory. Threads: one at a time.
class Writer {
 public:
  /// `folder` is latents/HOOKPOINT. Errors: failed (disk); bad_input when a manifest of other options lies there.
  Writer(std::filesystem::path folder, WriterOptions options);
  ~Writer();
  Writer(const Writer&) = delete;
  Writer& operator=(const Writer&) = delete;

  /// First token position whose firings are not yet safe on disk: append() must go on from there.
  std::uint64_t resume_position() const;
  /// Adds the firings of the tokens from the last end up to `end_position`. Positions ascend over calls (any order of
  /// latents within a token). `special` are firings at special tokens, in the same order, which are counted and not
  /// kept. Errors: failed on a full disk: what was spilled before stays usable; bad_input: an activation that is no
  /// positive number.
  void append(std::span<const Firing> firings, std::uint64_t end_position, std::span<const Firing> special = {});
  /// Adds all firings of another index, of tokens from the last end up to `end_position`, straight as a run: nothing is
  /// sorted again. Where `other` is f32 the result is the same as if its firings had been appended. Does nothing when
  /// `end_position` is before resume_position(). Errors: as append; bad_input when `other` has another number of
  /// latents or a firing outside these tokens, or was written by an older gloss (version 1).
  void append_index(const Reader& other, std::uint64_t end_position);
  /// Spills what is buffered, so that resume_position() is the last end_position.
  void checkpoint();
  /// Merges, commits index.safetensors and removes the spill folder. `token_count` positions were seen in all,
  /// `excluded_token_count` of them left out. With `tokens`, statistics.safetensors beside the index comes of the same
  /// pass (statistics.h). Errors: as append; bad_input: other tokens; interrupted. After one the buffer is spilled.
  void finish(std::uint64_t token_count, std::uint64_t excluded_token_count, Reporter& reporter,
              const IndexedTokens* tokens = nullptr);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace gloss::index
