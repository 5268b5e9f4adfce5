#pragma once
/// What --latents may ask of a latent: `not positional and density < 0.01`.
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "gloss/base/ids.h"
#include "gloss/index/filters.h"

namespace gloss::examples {

/// What selecting may look at. Functions that are not given make asking for them an error of usage.
struct LatentProperties {
  std::function<double(LatentId)> density = {};                   // fraction of indexed tokens at which it fires
  std::function<double(LatentId)> firings = {}, max = {};         // how many; the largest activation
  std::function<bool(index::LatentKind, LatentId)> is_kind = {};  // what filters told
};

/// A condition, read once:
///   or := and { "or" and }    and := not { "and" not }    not := "not" not | "(" or ")" | atom
///   atom := kind | "alive" | ("density" | "firings" | "max") ("<" | "<=" | ">" | ">=") number
/// where kind is a name of index::latent_kinds(). "dead" needs the firings only. Where there are scores, the names of
/// further numbers may stand in place of density, and what they are compared with may be negative.
class LatentCondition {
 public:
  enum class Order : std::uint8_t { below, at_most, above, at_least };
  /// One atom, for those that ask about many latents at once.
  struct Test {
    enum class What : std::uint8_t { kind, alive, density, firings, max, further };
    What what{};
    index::LatentKind kind{};
    std::size_t further = 0;  // which of the further numbers
    Order order{};
    double number = 0.0;
  };
  static bool compare(double value, Order order, double with);

  /// Whether the text is one, and not a part of --latents of another form.
  static bool looks_like(std::string_view text);
  /// `fail(at, what)` is told the first fault, `at` counted from the text's beginning, and must throw.
  using Fail = std::function<void(std::size_t at, std::string_view what)>;
  static LatentCondition parse(std::string_view text, const Fail& fail, std::span<const std::string> further = {});

  /// For which of many latents it holds. `test` tells it of one atom, one byte (0 or 1) a latent, always of as many.
  using Rows = std::vector<std::uint8_t>;
  Rows rows(const std::function<Rows(const Test&)>& test) const;
  /// Requires: no further numbers.
  bool holds(LatentId latent, const LatentProperties& of) const;

  struct Node;

 private:
  std::shared_ptr<const Node> root_;
};

}  // namespace gloss::examples
