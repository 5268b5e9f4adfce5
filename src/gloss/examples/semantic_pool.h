#pragma once
/// Windows that mean nearly the same as others, by their sentence embeddings. Method: docs/methods.md 3.
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

namespace gloss::examples {

/// Embeds the texts of windows of the run. Shapes: starts [n] -> [n, width] row-major, rows of unit norm.
/// Threads: must be callable from any. A window's row must not depend on which others are asked for with it.
using EmbedWindows = std::function<std::vector<float>(std::span<const std::uint32_t> starts)>;

/// The candidates of all latents, embedded once, in an index of faiss. Immutable; any thread may use it.
class SemanticPool {
 public:
  /// Shapes: starts [n], ascending; rows [n, width]. Windows in which a latent fires are for the caller to leave out.
  SemanticPool(std::vector<std::uint32_t> starts, std::span<const float> rows, std::uint32_t width, EmbedWindows embed);
  ~SemanticPool();
  SemanticPool(const SemanticPool&) = delete;
  SemanticPool& operator=(const SemanticPool&) = delete;

  struct Hit {
    std::uint32_t start;
    float cosine;
  };
  using Take = std::function<bool(std::uint32_t start)>;
  /// For the windows at `queries` in turn, the nearest candidate that `take` accepts, until `wanted` are accepted or no
  /// query has one left. `take` is asked of each candidate at most once for each query. Exact; of equally near ones the
  /// first comes first.
  std::vector<Hit> nearest(std::span<const std::uint32_t> queries, std::uint64_t wanted, const Take& take) const;

  std::size_t size() const { return starts_.size(); }

 private:
  struct Index;
  class Query;
  std::vector<std::uint32_t> starts_;
  std::uint32_t width_;
  EmbedWindows embed_;
  std::unique_ptr<Index> index_;
};

}  // namespace gloss::examples
