#pragma once
/// What is known of each latent from its firings alone: where in a context, at which tokens and in how many documents
/// it fires. Gathered latent by latent while the index is merged; bytes on disk: docs/formats/statistics.md.
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "gloss/base/ids.h"
#include "gloss/formats/checked_file.h"
#include "gloss/formats/safetensors.h"
#include "gloss/index/reader.h"

namespace gloss::index {

/// Entries of a list of tokens.
inline constexpr std::uint32_t kListedTokens = 20;
/// Stands in a list of previous tokens for a firing at the first token of a context.
inline constexpr std::uint32_t kNoToken = 0xFFFFFFFE;
/// Stands where a list has no more entries.
inline constexpr std::uint32_t kEndOfList = 0xFFFFFFFF;

/// What the model read, and which of it is not in the index. Views: they outlive whoever is given them.
struct IndexedTokens {
  std::span<const TokenId> tokens;           // [contexts * ctx_len]; a position is a place in it
  std::span<const std::uint32_t> documents;  // [contexts]: document in which each begins; never falls
  std::vector<bool> special;                 // [V], which no token reaches
  std::size_t threads = 1;
};

/// Of the strongest ceil(0.8 n) of n firings: their tokens, or those before them, most frequent first.
struct TokenList {
  struct Entry {
    std::uint32_t token = 0, count = 0;
  };
  std::uint32_t different = 0;  // how many there are, listed or not
  std::vector<Entry> entries;   // up to kListedTokens; equal counts by ascending token
};

struct LatentStatistics {
  bool cached = true;
  std::uint64_t count = 0;
  std::optional<std::uint64_t> special_count;  // firings at special tokens
  double sum = 0.0;
  float max = 0.0F;
  double position_information = 0.0;  // nats; docs/methods.md, "Positional"
  std::uint32_t peak_offset = 0;      // offset in the context at which it fires most often, the first of equals
  std::uint32_t documents = 0;        // in which it fires
  std::uint32_t largest_document = 0, largest_document_count = 0;  // where it fires most often, the first of equals
  TokenList tokens, previous;
};

/// Writes the file. Memory: a few MB a thread, whatever the latents and firings.
class StatisticsWriter {
 public:
  struct Options {
    std::string hookpoint;
    std::uint32_t latent_count = 0, ctx_len = 0;
    std::uint64_t token_count = 0, excluded_token_count = 0;
    bool special_counted = true;
    std::map<std::string, std::string> metadata;  // what the index says of itself beside the keys of this file
  };
  /// Reads the tokens once. Errors: failed (disk); bad_input: tokens that are not `token_count` in contexts of ctx_len,
  /// or reach the vocabulary's end.
  StatisticsWriter(const std::filesystem::path& path, const Options& options, const IndexedTokens& tokens);
  ~StatisticsWriter();
  StatisticsWriter(const StatisticsWriter&) = delete;
  StatisticsWriter& operator=(const StatisticsWriter&) = delete;

  /// What the index holds of one latent beside its firings.
  struct Totals {
    bool cached = true;
    std::uint64_t special_count = 0;
    double sum = 0.0;
    float max = 0.0F;
  };
  /// Adds latents [first, first + count): all of them are given once, ascending. Both functions are called by several
  /// threads at once. Firings are those that the index stores, rounded as it does. Errors: failed (disk); bad_input:
  /// a position that is no token.
  void add(std::uint32_t first, std::uint32_t count, const std::function<Firings(LatentId)>& firings,
           const std::function<Totals(LatentId)>& totals);
  /// Errors: as CheckedFileWriter.
  void commit();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// The statistics of an index that has none yet: the same bytes as if they had been gathered with it.
void write_statistics(const std::filesystem::path& path, const Reader& reader, const IndexedTokens& tokens);

/// How many latents of a hookpoint are of each kind (docs/methods.md, "Filters").
struct StatisticsSummary {
  std::uint32_t latents = 0, cached = 0;
  std::uint64_t firings = 0;
  std::optional<std::uint64_t> special_firings;
  std::uint32_t dead = 0;             // of those cached
  std::uint32_t over_1_percent = 0;   // fire on more than 1 % of the indexed tokens
  std::uint32_t over_10_percent = 0;  // and more than 10 %: dense
  std::uint32_t few_firings = 0;      // alive, but too few for the tests of tokens to fail
  std::uint32_t single_token = 0;     // at most 20 different tokens, of those with more firings than that
  std::uint32_t previous_token = 0;   // the same of the token before
  std::uint32_t single_document = 0;  // more than half of the firings in one document
  std::uint32_t special = 0;          // more than half of the firings at special tokens
  std::uint32_t positional = 0;       // information of more than 0.05 nats
};

/// Immutable and memory-mapped; copies share the mapping; any thread may use any copy without locks.
class StatisticsReader {
 public:
  /// Checks the header's checksum, names, types and shapes. Errors: bad_input: missing, cut, not such a file, arrays
  /// that disagree.
  static StatisticsReader open(const std::filesystem::path& file);
  static StatisticsReader parse(MappedFile file);

  std::uint32_t latent_count() const { return static_cast<std::uint32_t>(count_.size()); }
  std::uint32_t ctx_len() const { return static_cast<std::uint32_t>(offset_tokens_.size()); }
  std::uint64_t token_count() const { return token_count_; }
  std::uint64_t excluded_token_count() const { return excluded_token_count_; }
  const std::map<std::string, std::string>& metadata() const { return file_.metadata(); }
  const std::string& file_name() const { return file_.file_name(); }

  /// Errors: bad_input when f is not below latent_count(), or a list has an end in its middle.
  LatentStatistics latent(LatentId f) const;
  /// Fraction of indexed tokens at which f fires. Requires: f < latent_count().
  double density(LatentId f) const;
  /// Of each offset in a context: indexed tokens there, and firings of all latents together. [ctx_len]
  std::span<const std::uint64_t> offset_tokens() const& { return offset_tokens_; }
  std::span<const std::uint64_t> offset_firings() const& { return offset_firings_; }
  std::span<const std::uint64_t> offset_tokens() && = delete;
  std::span<const std::uint64_t> offset_firings() && = delete;
  StatisticsSummary summary() const;

  /// Reads everything: checksums, and counts that must agree with the index. Errors: bad_input naming array or latent.
  void verify(const Reader& index) const;

 private:
  void read_arrays();
  TokenList list(std::size_t first_array, LatentId f) const;

  formats::SafeTensors file_;
  std::span<const std::uint64_t> count_, special_, offset_tokens_, offset_firings_;
  std::span<const double> sum_, information_;
  std::span<const float> max_;
  std::span<const std::uint8_t> cached_;
  std::vector<std::span<const std::uint32_t>> numbers_;  // by array number
  std::uint64_t token_count_ = 0, excluded_token_count_ = 0;
};

}  // namespace gloss::index
