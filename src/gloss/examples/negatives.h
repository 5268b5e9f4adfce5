#pragma once
/// Silent windows of one latent: at random, or those in which a neighbour fires. Method: docs/methods.md 3.
#include <cstdint>
#include <span>
#include <vector>

#include "gloss/base/random.h"
#include "gloss/examples/active_windows.h"
#include "gloss/examples/examples.h"
#include "gloss/examples/marks.h"
#include "gloss/examples/split.h"

namespace gloss::examples {

/// Draws them for one latent after another, without replacement; keeps work memory. Whatever it takes is silent in the
/// whole window, overlaps nothing that was taken or kept out before, and lies in documents that serve no other side.
class SilentSampler {
 public:
  /// Windows are those the contexts are cut into. Lifetime: `sides` must outlive this.
  SilentSampler(const index::Reader& reader, DocumentSides& sides, std::uint32_t window);

  /// Begins with a latent that fires in these windows.
  void begin(std::span<const Active> active);
  /// Keeps out what a window from `start` on touches.
  void keep_out(std::uint32_t start);
  /// Silent windows there are, of those not kept out or taken.
  std::uint64_t left() const { return window_count_ - out_.size(); }

  /// Uniformly over what the documents leave to each side; appends to `picks`.
  void draw_random(Counts wanted, Random& random, std::vector<Pick>& picks);
  void draw_random(Side side, std::uint64_t wanted, Random& random, std::vector<Pick>& picks);
  /// Takes one window if it may serve `side`.
  bool take(std::uint32_t start, Side side);
  bool may_take(std::uint32_t start, Side side) const;
  /// Of latents near `latent`, in turn: the strongest window of each that may be taken, at most `most_each` of one.
  std::vector<Window> draw_neighbours(const NeighbourSource& source, LatentId latent, Side side, std::uint64_t wanted);

  /// In turn for each of `near`, the nearest to it by meaning that may be taken.
  std::vector<Window> draw_semantic(const SemanticPool& pool, std::span<const Window> near, Side side,
                                    std::uint64_t wanted);

  /// Numbers of the windows taken, among all.
  const Marks& taken() const { return taken_; }
  Window make(std::uint32_t start, WindowKind kind) const;
  /// Forgets the latent; to be called before the next begin().
  void end();

 private:
  struct Candidates;
  void put_out(std::uint32_t number);
  void guess(Counts& missing, Random& random, std::vector<Pick>& picks);
  bool guess_one(Side side, std::uint64_t& guesses, Random& random, std::vector<Pick>& picks);
  bool worth_guessing(std::uint64_t wanted) const;
  void list_left();
  Candidates candidates_of(const index::WeightEntry& entry, std::uint8_t rank, Side side);

  index::Reader reader_;
  DocumentSides& sides_;
  std::uint32_t window_;
  std::uint64_t window_count_, silent_count_ = 0;
  Splitter splitter_;
  Marks occupied_, taken_;             // kept out or taken; taken
  std::vector<std::uint32_t> out_;     // all that are in occupied_
  std::vector<std::uint32_t> listed_;  // starts, where few are left
  ActiveWindows other_;                // of a neighbour
};

}  // namespace gloss::examples
