#pragma once
/// The activation cache of EleutherAI's delphi, in and out. Bytes on disk: docs/formats/delphi-cache.md.
#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "gloss/base/ids.h"
#include "gloss/base/reporter.h"
#include "gloss/formats/safetensors.h"
#include "gloss/index/reader.h"
#include "gloss/index/writer.h"

namespace gloss::index {

struct DelphiExport {
  std::string model_name;    // as delphi's config.json names it: it loads the tokenizer of that name
  std::uint32_t splits = 5;  // files; latents are divided evenly among them
};

/// What delphi's format cannot hold as the index does.
struct DelphiLosses {
  std::uint64_t written = 0;
  std::uint64_t too_large = 0;  // above 65,504: written as 65,504
  std::uint64_t too_small = 0;  // delphi keeps |a| > 1e-5 only: left out
};

/// Writes config.json and the splits into `folder`, the place of one hookpoint. Memory: about 64 MiB, whatever the
/// firings. Shape: tokens [contexts * ctx_len]. Errors: bad_input when there is such a folder already; failed (disk),
/// interrupted: the folder is removed again.
DelphiLosses export_delphi(const Reader& reader, std::span<const TokenId> tokens, const std::filesystem::path& folder,
                           const DelphiExport& options, Reporter& reporter);

/// A cache that delphi wrote, one hookpoint of it. Immutable and memory-mapped.
class DelphiCache {
 public:
  /// Errors: bad_input: no config.json or splits; file names that are not two numbers, overlap or end before they
  /// begin; tensors of other dtypes or shapes; no tokens, or not the same in all splits (by size).
  static DelphiCache open(const std::filesystem::path& folder);

  std::uint32_t latent_count() const { return latent_count_; }  // up to the last split's end
  std::uint32_t context_count() const { return context_count_; }
  std::uint32_t ctx_len() const { return ctx_len_; }
  std::uint64_t firing_count() const;
  const std::string& model_name() const { return model_name_; }
  const std::string& file_name() const { return folder_; }
  /// Latents of no split, which never fire.
  std::uint32_t missing_latents() const { return missing_; }
  /// [contexts * ctx_len]. Errors: bad_input: one that is no token id.
  std::vector<TokenId> tokens() const;

  /// What an index cannot hold as delphi has it.
  struct Losses {
    std::uint64_t negative = 0, zero = 0, infinite = 0;  // left out; left out; kept as 65,504
  };
  /// Calls visit(firings, end) for all tokens in turn: the firings of tokens from the last `end` on, positions
  /// ascending, as Writer::append() takes them. Errors: bad_input: rows out of order or of range, an activation that is
  /// no number.
  Losses each_block(const std::function<void(std::span<const Firing>, std::uint64_t end)>& visit) const;

 private:
  struct Split {
    std::uint32_t first, last;
    formats::SafeTensors file;
    bool wide;  // u32 locations, else u16
  };
  Firing row(const Split& split, std::uint64_t index, Losses& losses) const;

  std::string folder_, model_name_;
  std::vector<Split> splits_;  // by first latent
  std::uint32_t latent_count_ = 0, context_count_ = 0, ctx_len_ = 0, missing_ = 0;
};

}  // namespace gloss::index
