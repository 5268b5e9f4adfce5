#include "gloss/score/stopped_estimate.h"

#include <cmath>
#include <cstddef>
#include <limits>
#include <vector>

#include "gloss/score/until_width.h"

namespace gloss::score {
namespace {

/// Numbers of orders of answers by how many are right so far: of yes-windows (row), of no-windows (column).
class Orders {
 public:
  Orders(std::size_t yes, std::size_t no) : columns_(no + 1), counts_((yes + 1) * (no + 1), 0.0) {}
  double& at(std::size_t yes_right, std::size_t no_right) { return counts_[yes_right * columns_ + no_right]; }

 private:
  std::size_t columns_;
  std::vector<double> counts_;
};

/// Orders in all, and those whose first answer of a kind is right.
struct Paths {
  Orders all, yes_first, no_first;
  std::size_t yes = 0, no = 0;  // answers so far

  Paths(std::size_t most_yes, std::size_t most_no)
      : all(most_yes, most_no), yes_first(most_yes, most_no), no_first(most_yes, most_no) {
    all.at(0, 0) = 1.0;
  }

  /// One more answer, wrong or right. From the most right ones down, so that each count is moved once.
  void add(bool truth) {
    std::size_t& asked = truth ? yes : no;
    const bool first = asked == 0;
    ++asked;
    for (std::size_t y = yes + 1; y-- > 0;) {
      for (std::size_t n = no + 1; n-- > 0;) {
        const bool some = truth ? y > 0 : n > 0;
        const auto before = [&](Orders& orders) {
          return some ? orders.at(truth ? y - 1 : y, truth ? n : n - 1) : 0.0;
        };
        const double right = before(all);
        yes_first.at(y, n) += before(yes_first) + (first && truth ? right : 0.0);
        no_first.at(y, n) += before(no_first) + (first && !truth ? right : 0.0);
        all.at(y, n) += right;
      }
    }
  }

  void drop_stopped(double width) {
    for (std::size_t y = 0; y <= yes; ++y) {
      for (std::size_t n = 0; n <= no; ++n) {
        if (!is_narrow({y, yes, n, no}, width)) continue;
        all.at(y, n) = yes_first.at(y, n) = no_first.at(y, n) = 0.0;
      }
    }
  }
};

}  // namespace

double stopped_balanced_accuracy(std::span<const Judgement> judgements, double width) {
  std::size_t yes = 0, no = 0, yes_right = 0, no_right = 0;
  for (const Judgement& j : judgements) {
    if (j.verdict == Verdict::failed) continue;
    ++(j.truth ? yes : no);
    if ((j.verdict == Verdict::yes) == j.truth) ++(j.truth ? yes_right : no_right);
  }
  if (yes == 0 || no == 0) return std::numeric_limits<double>::quiet_NaN();
  Paths paths(yes, no);
  for (std::size_t i = 0; i < judgements.size(); ++i) {
    if (UntilWidth::may_stop_after(i)) paths.drop_stopped(width);
    if (judgements[i].verdict != Verdict::failed) paths.add(judgements[i].truth);
  }
  const double orders = paths.all.at(yes_right, no_right);
  return (paths.yes_first.at(yes_right, no_right) + paths.no_first.at(yes_right, no_right)) / (2.0 * orders);
}

}  // namespace gloss::score
