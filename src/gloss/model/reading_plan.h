#pragma once
/// How the rows of a pass over several texts look at keys that lie in parts, some of them shared. Private to the
/// module; only for .cpp files built on torch.
#include <ATen/core/Tensor.h>

#include <map>
#include <span>
#include <vector>

#include "gloss/model/attention.h"
#include "gloss/model/config.h"
#include "gloss/model/generator.h"

namespace gloss::model {

/// Shapes: of a layer, [G, capacity, E]; the first `length` rows of each are filled.
struct KeyValues {
  std::vector<at::Tensor> keys, values;  // by layer
  std::uint32_t length = 0;
};

/// Made for one pass. Rows [N] are the pieces' tokens, one piece after the other.
class ReadingPlan {
 public:
  /// Makes room for the pieces' tokens in the states' last parts, or in new ones where those are shared. The states
  /// count the new tokens only after commit(): a pass that fails leaves them as they were.
  ReadingPlan(const Config& config, std::span<const Generator::Piece> pieces, const at::TensorOptions& options);

  const at::Tensor& positions() const { return positions_; }  // [N] i64
  std::int64_t positions_end() const { return positions_end_; }

  /// Puts the new keys and values in their places and mixes: as Attend, with B = 1 and T = N. Every part is one block
  /// of keys for all rows that see it; the blocks' results are merged by their largest scores and sums of exponentials.
  /// Source: online softmax, Milakov and Gimelshein 2018, algorithm 3; shared prefixes: Juravsky et al. 2024.
  at::Tensor attend(std::uint32_t layer, const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                    const AttentionOptions& options);
  void commit();

 private:
  struct Rows {
    std::int64_t first = 0, count = 0;
  };
  /// A piece's new tokens, and where their keys go.
  struct Own {
    TextState::Link link;        // the part, with its length after this pass
    std::int64_t filled = 0;     // tokens it held before
    std::size_t links_kept = 0;  // of the state: those before this one
    Rows rows;
  };
  /// Rows that look at the same keys.
  struct Look {
    KeyValues* part = nullptr;
    std::int64_t length = 0, position = 0;  // of the part; where in the text its first key stands
    std::vector<Rows> rows;
    at::Tensor index;                              // [rows] where they are more than one run
    std::int64_t first_query = 0, last_query = 0;  // lowest and highest position of its rows
    std::map<std::int64_t, at::Tensor> hidden;     // by window: what is added to scores; undefined = nothing
  };

  void make_own(const Generator::Piece& piece, Rows rows);
  void add_look(KeyValues* part, std::int64_t length, std::int64_t position, Rows rows);
  at::Tensor pick(const Look& look, const at::Tensor& of_all_rows, std::int64_t axis) const;
  const at::Tensor& hidden(Look& look, std::int64_t first_key, std::int64_t window);

  const Config& config_;
  at::TensorOptions options_;
  std::vector<Generator::Piece> pieces_;
  std::vector<Own> own_;
  std::vector<Look> looks_;
  at::Tensor positions_;
  std::int64_t positions_end_ = 0;
};

}  // namespace gloss::model
