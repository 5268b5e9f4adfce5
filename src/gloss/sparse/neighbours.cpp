#include "gloss/sparse/neighbours.h"

#include <algorithm>
#include <atomic>
#include <bit>
#include <cmath>
#include <mutex>
#include <span>

#include "gloss/base/interrupt.h"
#include "gloss/base/parallel.h"
#include "gloss/sparse/panels.h"

namespace gloss::sparse {
namespace {

/// Rows of unit length, those of zeros left out.
struct UnitRows {
  std::vector<std::uint32_t> id;  // [live], ascending: which row each was
  Panels panels;                  // [live, D]
};

double norm_of(std::span<const float> row) {
  double sum = 0.0;
  for (const float v : row) sum += double{v} * double{v};
  return std::sqrt(sum);
}

/// Calls body(row number, values) for all rows. Rows of one panel go to one worker: they share its cache lines.
template <class Body>
void for_rows(const RowSource& rows, const NeighbourOptions& options, const Body& body) {
  parallel_for((rows.rows + kPanel - 1) / kPanel, options.threads, [&](std::size_t panel, std::size_t) {
    const std::size_t first = panel * kPanel;
    std::vector<float> block(std::min(kPanel, rows.rows - first) * rows.width);
    rows.read_finite(first, block, options.stage);
    for (std::size_t i = 0; i * rows.width < block.size(); ++i)
      body(first + i, std::span<const float>(block).subspan(i * rows.width, rows.width));
  });
}

UnitRows unit_rows(const RowSource& rows, const NeighbourOptions& options) {
  std::vector<double> norm(rows.rows);
  for_rows(rows, options, [&](std::size_t f, std::span<const float> row) { norm[f] = norm_of(row); });
  UnitRows unit;
  std::vector<std::size_t> place(rows.rows);
  for (std::size_t f = 0; f < rows.rows; ++f) {
    place[f] = unit.id.size();
    if (norm[f] > 0.0) unit.id.push_back(static_cast<std::uint32_t>(f));
  }
  unit.panels.resize(unit.id.size(), rows.width);
  for_rows(rows, options, [&](std::size_t f, std::span<const float> row) {
    if (norm[f] > 0.0) unit.panels.set(place[f], row, 1.0 / norm[f]);
  });
  return unit;
}

/// Walks the lower triangle of tiles. The best of a tile's rows lie behind that tile's lock; a task works on copies of
/// what they ask of candidates, and brings what it found. Since the order of candidates is total, neither the copies'
/// age nor the order of the tasks changes what is kept.
class Triangle {
 public:
  Triangle(const UnitRows& rows, std::size_t n, const Kernels& with)
      : rows_(rows.panels),
        with_(with),
        tile_rows_(rows_per_product_tile(rows_.width())),
        tiles_((rows_.rows() + tile_rows_ - 1) / tile_rows_),
        best_(rows_.rows(), n),
        locks_(tiles_) {}

  std::size_t tiles() const { return tiles_; }
  const BestOfRow& best() const { return best_; }

  /// All pairs of tile `own` with itself and the tiles before it.
  void work(std::size_t own) {
    const std::size_t first = own * tile_rows_;
    const std::size_t count = std::min(tile_rows_, rows_.rows() - first);
    AlignedFloats blocks;
    rows_.copy_blocks(first, count, blocks);
    BestOfRow mine = asking(own);
    for (std::size_t other = 0; other <= own; ++other) {
      BestOfRow theirs = asking(other);
      for (std::size_t p = 0; p < tile_rows_ / kPanel; ++p) {
        const std::size_t panel = other * tile_rows_ / kPanel + p;
        if (panel * kPanel >= rows_.rows()) break;
        for (std::size_t row = 0; row < count; row += kRowBlock)
          product(blocks.data() + row * rows_.width(), first + row, std::min(kRowBlock, count - row), panel, mine,
                  own == other ? nullptr : &theirs);
      }
      if (own != other) bring(other, theirs);
    }
    bring(own, mine);
  }

 private:
  BestOfRow asking(std::size_t tile) {
    const std::size_t first = tile * tile_rows_;
    BestOfRow local(std::min(tile_rows_, rows_.rows() - first), best_.n());
    const std::scoped_lock lock(locks_[tile]);
    for (std::size_t i = 0; i < local.rows(); ++i) local.ask_more(i, best_.below(first + i));
    return local;
  }
  void bring(std::size_t tile, const BestOfRow& found) {
    const std::scoped_lock lock(locks_[tile]);
    for (std::size_t i = 0; i < found.rows(); ++i) {
      for (const std::uint64_t key : found.keys(i)) {
        if (key == 0) break;
        best_.insert(tile * tile_rows_ + i, key);
      }
    }
  }

  /// One block of rows with one panel; candidates go to the block's rows and, off the diagonal, to the panel's too.
  void product(const float* block, std::size_t first_row, std::size_t row_count, std::size_t panel, BestOfRow& mine,
               BestOfRow* theirs) const {
    const std::size_t first_column = panel * kPanel;
    const std::size_t columns = std::min(kPanel, rows_.rows() - first_column);
    const std::uint32_t real = columns == kPanel ? ~std::uint32_t{0} : (std::uint32_t{1} << columns) - 1;
    const std::size_t own = first_row % tile_rows_;
    alignas(64) float z[kRowBlock * kPanel];
    alignas(64) float threshold[kRowBlock] = {};
    std::uint32_t hits[kRowBlock];
    for (std::size_t r = 0; r < row_count; ++r) threshold[r] = mine.below(own + r);
    with_.product(block, rows_.panel(panel), kNoBias, rows_.width(), threshold, z, hits);
    for (std::size_t r = 0; r < row_count; ++r) {
      for (std::uint32_t bits = hits[r] & real; bits != 0; bits &= bits - 1) {
        const auto j = static_cast<std::size_t>(std::countr_zero(bits));
        if (first_column + j != first_row + r)
          mine.insert(own + r, BestOfRow::to_key(z[r * kPanel + j], static_cast<std::uint32_t>(first_column + j)));
      }
    }
    if (theirs != nullptr) collect_columns(z, first_row, row_count, first_column % tile_rows_, columns, *theirs);
  }

  static void collect_columns(const float* z, std::size_t first_row, std::size_t row_count, std::size_t first,
                              std::size_t columns, BestOfRow& theirs) {
    float largest[kPanel];
    std::copy(z, z + kPanel, largest);
    for (std::size_t r = 1; r < row_count; ++r) {
      for (std::size_t j = 0; j < kPanel; ++j) {
        const float v = z[r * kPanel + j];
        largest[j] = v > largest[j] ? v : largest[j];
      }
    }
    for (std::size_t j = 0; j < columns; ++j) {
      if (!(largest[j] > theirs.below(first + j))) continue;
      for (std::size_t r = 0; r < row_count; ++r) {
        if (z[r * kPanel + j] > theirs.below(first + j))
          theirs.insert(first + j, BestOfRow::to_key(z[r * kPanel + j], static_cast<std::uint32_t>(first_row + r)));
      }
    }
  }

  alignas(64) static constexpr float kNoBias[kPanel] = {};

  const Panels& rows_;
  const Kernels& with_;
  std::size_t tile_rows_, tiles_;
  BestOfRow best_;                 // [live, n]; ids are places among the live rows, which ascend as their latents do
  std::vector<std::mutex> locks_;  // [tiles]
};

}  // namespace

Neighbours cosine_neighbours(const RowSource& rows, const NeighbourOptions& options, Reporter& reporter,
                             const Kernels& with) {
  const UnitRows unit = unit_rows(rows, options);
  Triangle triangle(unit, options.n, with);
  const std::size_t tiles = triangle.tiles();
  const std::uint64_t pairs = std::uint64_t{tiles} * (tiles + 1) / 2;
  std::atomic<std::uint64_t> done{0};
  // The tile with the most pairs first, so that the last ones to finish are short.
  parallel_for(tiles, options.threads, [&](std::size_t task, std::size_t) {
    stop_if_interrupted();
    const std::size_t tile = tiles - 1 - task;
    triangle.work(tile);
    const std::uint64_t so_far = done += tile + 1;
    reporter.progress({options.stage, unit.id.size() * so_far / pairs, unit.id.size(), "latents", ""});
  });
  Neighbours result;
  result.n = options.n;
  result.latent.assign(rows.rows * options.n, kNoId);
  result.cosine.assign(rows.rows * options.n, 0.0F);
  for (std::size_t i = 0; i < unit.id.size(); ++i) {
    std::size_t at = unit.id[i] * options.n;
    for (const std::uint64_t key : triangle.best().keys(i)) {
      if (key == 0) break;
      result.latent[at] = unit.id[BestOfRow::id_of(key)];
      result.cosine[at++] = std::clamp(BestOfRow::value_of(key), -1.0F, 1.0F);
    }
  }
  return result;
}

}  // namespace gloss::sparse
