#pragma once
/// What all judges that ask a language model share.
#include <string>

#include "gloss/llm/language_model.h"
#include "gloss/score/judge.h"

namespace gloss::score {

/// `done` of submit() is called from within run(), at once when there is nothing to ask; the judge must live until
/// then. Threads: one at a time, the model's.
class ModelJudge : public Judge {
 public:
  /// Errors: those of llm::LanguageModel::run().
  void run() override { model_->run(); }
  std::string name() const override { return "llm:" + model_->model(); }

 protected:
  /// Lifetime: `model` must outlive this.
  explicit ModelJudge(llm::LanguageModel& model) : model_(&model) {}
  llm::LanguageModel& model() const { return *model_; }

 private:
  llm::LanguageModel* model_;
};

}  // namespace gloss::score
