#pragma once
/// Which windows go to explaining, testing and refining, so that no document serves two. Method: docs/methods.md 2.
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "gloss/base/random.h"
#include "gloss/text/token_file.h"

namespace gloss::examples {

enum class Side : std::uint8_t { explain = 0, test = 1, refine = 2 };
constexpr std::size_t number(Side side) { return static_cast<std::size_t>(side); }

/// Two numbers, for the two sides that draw together.
struct Counts {
  std::uint64_t explain = 0, test = 0;

  std::uint64_t& of(Side side) { return side == Side::explain ? explain : test; }
  std::uint64_t of(Side side) const { return side == Side::explain ? explain : test; }
};

/// How many of `available` windows each side gets when `wanted` are wanted: all of them when there are enough, else
/// test gets min(t, max(1, floor(m t / (e + t)))) and explain the rest.
Counts split_counts(std::uint64_t available, Counts wanted);

/// Which side each document serves; at first none. A window serves a side together with every document its context
/// touches: the one it begins in and the one the next context begins in. (Documents between those lie in no other
/// context.)
class DocumentSides {
 public:
  explicit DocumentSides(const text::TokenFile& tokens);

  std::uint32_t document_count() const { return document_count_; }
  /// Without documents every window may serve any side.
  void use_documents(bool on) { on_ = on; }
  /// Documents assigned so far, in order; undo() frees those that came after a mark.
  std::size_t mark() const { return assigned_.size(); }
  void undo(std::size_t mark);

  bool allows(std::uint32_t context, Side side) const;
  /// How many documents taking the context would commit that serve no side yet: 0 to 2.
  unsigned cost(std::uint32_t context) const;
  /// Requires: allows(context, side).
  void assign(std::uint32_t context, Side side);

 private:
  enum : std::uint8_t { kFree = 255 };
  void assign_document(std::uint32_t document, Side side);

  bool on_ = true;
  std::uint32_t document_count_ = 0;
  std::vector<std::uint32_t> document_;  // [contexts + 1], numbered without gaps
  std::vector<std::uint8_t> side_;       // [documents]
  std::vector<std::uint32_t> assigned_;  // documents that serve a side
};

/// Windows from which explain and test draw without replacement. `windows` is reordered.
struct Pool {
  std::span<std::uint32_t> windows;  // positions of their first tokens
  Counts wanted;                     // at most
  std::uint8_t quantile = 0;
};

struct Pick {
  std::uint32_t start;
  Side side;
  std::uint8_t quantile;
};

/// Draws from pools so that each gives both sides their split_counts, as far as the documents allow.
class Splitter {
 public:
  /// Lifetime: `sides` must outlive this.
  Splitter(DocumentSides& sides, std::uint32_t ctx_len) : sides_(sides), ctx_len_(ctx_len) {}

  /// Tries a few orders and keeps the one that comes nearest to the counts. Documents already assigned stay so.
  /// Lifetime: valid until the next call.
  std::span<const Pick> draw(std::span<Pool> pools, Random& random);
  /// Whether the last draw left a side without windows that should have some.
  bool left_a_side_empty() const { return best_.empty_side; }

 private:
  /// Invariant: windows[0, taken) are given away, windows[taken, shuffled) are in random order.
  struct State {
    std::size_t taken = 0, shuffled = 0;
    std::array<std::size_t, 2> cursor{};  // no window before it can serve the side
    Counts target, given;
  };
  struct Slot {
    std::uint64_t order;  // where it comes among the side's, scaled
    std::uint32_t pool;
  };
  struct Attempt {
    std::vector<Pick> picks;
    std::uint64_t missed = 0;  // of the targets
    bool empty_side = false;
  };

  void make_slots(std::span<const Pool> pools);
  void attempt(std::span<Pool> pools, bool frugal, Random& random);
  void take_in_turn(std::span<Pool> pools, bool frugal, Random& random);
  void fill(Pool& pool, State& state, Random& random);
  bool take(Pool& pool, State& state, Side side, bool frugal, Random& random);
  std::size_t find_cheapest(const Pool& pool, const State& state, Side side) const;
  std::size_t find_allowed(Pool& pool, State& state, Side side, Random& random) const;
  bool is_better() const;
  std::vector<Slot>& slots_of(Side side) { return slots_.at(number(side)); }
  std::uint32_t context_of(std::uint32_t start) const { return start / ctx_len_; }

  DocumentSides& sides_;
  std::uint32_t ctx_len_;
  std::vector<State> states_;
  std::array<std::vector<Slot>, 2> slots_;
  Attempt best_, trial_;
};

}  // namespace gloss::examples
