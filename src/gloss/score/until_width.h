#pragma once
/// Stops asking about a latent when its score is known well enough. Method: docs/methods.md 7.
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "gloss/score/judge.h"

namespace gloss::score {

/// Right answers of those to windows whose answer is yes, and no.
struct AnswerCounts {
  std::size_t yes_right = 0, yes = 0, no_right = 0, no = 0;
};
/// Whether the 95 % interval of the balanced accuracy of such answers is narrower than `width`.
bool is_narrow(const AnswerCounts& counts, double width);

/// A judge that asks another one block by block - 5 windows, right answers yes and no in turn as long as there are both
/// - and stops once the 95 % interval of the latent's balanced accuracy is narrower than `width`, but not before 20
/// windows. The questions must come in random order, as make_questions() gives them; judgements come back for those
/// asked, in the order of asking. Threads: as the other judge.
class UntilWidth : public Judge {
 public:
  static constexpr std::uint32_t kBlock = 5, kLeast = 20;

  /// Lifetime: `judge` must outlive this. Requires: 0 < width <= 1.
  UntilWidth(Judge& judge, double width);

  /// This object must live until `done` was called.
  void submit(Scorer scorer, const explain::Explanation& explanation, std::vector<Question> questions,
              Done done) override;
  void run() override { judge_->run(); }
  std::string name() const override { return judge_->name(); }

  /// Questions asked, of those that there were; of all submissions that are done.
  std::uint64_t asked() const { return asked_; }
  std::uint64_t available() const { return available_; }

  /// Whether it looks at the interval after so many windows, when there are more.
  static bool may_stop_after(std::size_t asked) { return asked >= kLeast && asked % kBlock == 0; }

 private:
  struct Case;
  void ask(const std::shared_ptr<Case>& work);

  Judge* judge_;
  double width_;
  std::uint64_t asked_ = 0, available_ = 0;
};

}  // namespace gloss::score
