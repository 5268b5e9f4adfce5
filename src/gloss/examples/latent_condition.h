#pragma once
/// What --latents may ask of a latent: `not positional and density < 0.01`.
#include <cstdint>
#include <functional>
#include <memory>
#include <string_view>

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
/// where kind is a name of index::latent_kinds(). "dead" needs the firings only.
class LatentCondition {
 public:
  /// Whether the text is one, and not a part of --latents of another form.
  static bool looks_like(std::string_view text);
  /// `fail(at, what)` is told the first fault, `at` counted from the text's beginning, and must throw.
  using Fail = std::function<void(std::size_t at, std::string_view what)>;
  static LatentCondition parse(std::string_view text, const Fail& fail);

  bool holds(LatentId latent, const LatentProperties& of) const;

  struct Node;

 private:
  std::shared_ptr<const Node> root_;
};

}  // namespace gloss::examples
