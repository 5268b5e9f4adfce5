#pragma once
/// The balanced accuracy after UntilWidth stopped, without the bias of stopping. Method: docs/methods.md 7.
#include <span>

#include "gloss/score/judgement.h"

namespace gloss::score {

/// Mean of the unbiased estimates of recall and specificity. What is right or wrong in a window is taken to be drawn
/// with the same chance for every window of its kind; then all orders of the answers that end in these counts are
/// equally likely, whatever the chances are, and the share of those orders that begin with a right answer among the
/// windows of a kind is an unbiased estimate of that chance. Orders that would have stopped earlier are no such orders.
/// NaN when a kind has no answer. Shapes: judgements as UntilWidth(width) gives them: those asked, in the order of
/// asking; failed ones are no answers. Source: Girshick, Mosteller and Savage 1946, "Unbiased estimates for certain
/// binomial sampling problems"; the two kinds are counted apart.
double stopped_balanced_accuracy(std::span<const Judgement> judgements, double width);

}  // namespace gloss::score
