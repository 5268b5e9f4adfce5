#pragma once
/// A model that reads texts piece by piece: what it read is kept as keys and values, shared by texts that begin alike.
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "gloss/base/ids.h"
#include "gloss/model/subject_model.h"
#include "gloss/model/tensor.h"

namespace gloss::model {

/// Keys and values of consecutive tokens of a text, for every layer.
struct KeyValues;

/// A text as far as a model has read it. A copy is a fork: both share what was read so far, and each reads on for
/// itself. Empty when default-constructed.
class TextState {
 public:
  std::uint32_t size() const { return size_; }  // tokens read
  /// The same text, read up to its first `length` tokens only. Requires: length <= size().
  TextState first(std::uint32_t length) const;

 private:
  friend class Generator;
  friend class ReadingPlan;
  struct Link {
    std::shared_ptr<KeyValues> part;
    std::uint32_t length = 0;  // of the part's tokens, from its first on
  };
  std::vector<Link> links_;
  std::uint32_t size_ = 0;
};

/// Threads: one call at a time for all generators of one model.
class Generator {
 public:
  explicit Generator(SubjectModel model);
  ~Generator();
  Generator(const Generator&) = delete;
  Generator& operator=(const Generator&) = delete;

  struct Piece {
    TextState* state = nullptr;       // which is read on; a different one for every piece
    std::span<const TokenId> tokens;  // not empty
    std::uint32_t scored = 1;         // of how many of the last tokens the logits are wanted
  };
  /// Reads the tokens of every piece on after what its state has read, all in one pass: products see the tokens of all
  /// pieces as rows of one matrix, and queries of texts that share keys see them as one matrix too. Nothing is padded.
  /// Logits [sum of scored, V] f32, in the order of the pieces, as SubjectModel::logits of the whole texts gives them
  /// up to rounding: sums are taken in another order, and libraries add differently for other numbers of rows.
  /// Errors: bad_input for a token id not below the vocabulary or a text longer than max_context; failed (no memory).
  /// After an error the states hold what they held before.
  Tensor read(std::span<const Piece> pieces) const;

  /// What keys and values of one token take.
  std::uint64_t bytes_per_token() const;
  const SubjectModel& model() const { return model_; }

 private:
  SubjectModel model_;
};

}  // namespace gloss::model
