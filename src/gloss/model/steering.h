#pragma once
/// What a model writes when a direction is added to its activations. Method: docs/methods.md 14, intervention.
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "gloss/base/ids.h"
#include "gloss/model/hookpoint.h"
#include "gloss/model/subject_model.h"

namespace gloss::model {

struct SteeringOptions {
  std::uint32_t tokens = 16;  // of each continuation
  double divergence = 1.0;    // KL(clean || steered) of the next token that the scale is chosen for, nats
  std::uint32_t steps = 20;   // of bisection, at most
  double tolerance = 0.01;    // of the divergence, relative
};

/// Continuations [P][tokens] of the prompts, each token the most probable one.
using Continuations = std::vector<std::vector<TokenId>>;

struct Steered {
  double scale = 0.0;       // what the direction was multiplied by
  double divergence = 0.0;  // reached, nats: the mean over the prompts
  Continuations texts;
};

/// Continues the same prompts with one direction after another. Source: Paulo et al. 2024, section 4 (intervention
/// scoring). Threads: one call at a time.
class Steering {
 public:
  /// Shapes: prompts [P, T] row-major. Errors: usage when prompts and continuations do not fit the model's context, or
  /// there are none; bad_input as SubjectModel::logits.
  Steering(SubjectModel model, Hookpoint at, std::vector<TokenId> prompts, std::uint32_t count,
           const SteeringOptions& options = {});

  /// Without any direction.
  const Continuations& clean() const { return clean_; }
  /// Adds a multiple of `direction` at every token of prompt and continuation: the least that makes the divergence what
  /// the options say, found by doubling and bisection. Nothing when no multiple does (a direction without effect, or
  /// one whose effect ends below). Shapes: direction [width of the hookpoint], not zero.
  std::optional<Steered> steer(std::span<const float> direction) const;
  /// Adds `vector` as it is at every token of prompt and continuation. Shapes: vector [width of the hookpoint].
  Continuations with(std::span<const float> vector) const { return write(edit(vector, 1.0)); }

 private:
  std::vector<Edit> edit(std::span<const float> direction, double scale) const;
  double divergence(std::span<const float> direction, double scale) const;
  Continuations write(std::span<const Edit> edits) const;
  Tensor last_logits(std::span<const TokenId> tokens, std::span<const Edit> edits) const;

  SubjectModel model_;
  Hookpoint at_;
  std::vector<TokenId> prompts_;
  std::uint32_t count_;
  SteeringOptions options_;
  double norm_ = 1.0;  // mean norm of the activations at the hookpoint
  Tensor next_;        // [P, V] log-probabilities of the next token, clean
  Continuations clean_;
};

}  // namespace gloss::model
