#pragma once
/// Who answers each scorer's questions.
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "gloss/app/command.h"
#include "gloss/app/llm_options.h"
#include "gloss/app/run_data.h"
#include "gloss/app/score_subject.h"
#include "gloss/base/reporter.h"
#include "gloss/explain/pattern.h"
#include "gloss/score/generation.h"
#include "gloss/score/intervention.h"
#include "gloss/score/judge.h"
#include "gloss/score/llm_judge.h"
#include "gloss/score/ranking_judge.h"
#include "gloss/score/simulation.h"
#include "gloss/store/store.h"

namespace gloss::app {

struct JudgeOptions {
  std::string judge = "auto";  // pattern, llm or auto, of scorers with right and wrong answers
  std::string prompts;
  std::string embedder, query_prefix;  // embedder: a folder, or an endpoint (embedding_endpoint.h)
  std::uint32_t per_prompt = 5;
  std::uint32_t texts = 10;  // that generation asks for
  LlmOptions llm;
  SubjectOptions subject;
};

/// Opened once for the scorers of a command. Judges that ask no model answer at once, and there is one for each thread;
/// the others answer from within run().
class Judges {
 public:
  enum class Kind : std::uint8_t {
    pattern,
    llm,
    embedding,
    surprisal,
    generation,
    intervention,
    simulation,
    served_embedding
  };

  /// `rows`: the explanations to be judged. Errors: usage: a scorer needs a model that is not named, or another kind of
  /// explanation; those of the models.
  Judges(const JudgeOptions& options, const std::vector<score::Scorer>& scorers,
         const std::vector<store::ExplanationRow>& rows, const RunData& data, store::Store& store,
         const CommonOptions& common, Reporter& report);
  Judges(const Judges&) = delete;
  Judges& operator=(const Judges&) = delete;

  /// Which hookpoint the explanations are of from now on. Errors: those of Subject::select().
  void select(const std::string& hookpoint);
  Kind kind(score::Scorer scorer) const;
  /// As it is stored with the scores.
  std::string name(score::Scorer scorer) const;
  /// Whether every answer is paid for.
  bool asks_model() const { return model_ != nullptr || served_ != nullptr; }
  static bool answers_at_once(Kind kind) { return kind == Kind::pattern || kind == Kind::embedding; }

  /// A new judge of its own. Requires: answers_at_once(kind).
  std::unique_ptr<score::Judge> make(Kind kind) const;
  /// Requires: not answers_at_once(kind).
  score::Judge& shared(Kind kind);
  /// Nothing when no model is asked.
  llm::LanguageModel* model() { return model_ ? model_.get() : served_.get(); }

  /// Keeps the fingerprints of what answers each scorer (keep_method). What `way` says of a scorer, how it asks, is
  /// added to those of scorers with right and wrong answers and of simulation.
  void keep_methods(const std::vector<score::Scorer>& scorers, store::Store& store,
                    const std::function<std::string(score::Scorer)>& way, bool redo) const;

 private:
  void make_embedding(const JudgeOptions& options, store::Store& store);
  void make_generation(const JudgeOptions& options, Reporter& report);

  const RunData* data_;
  std::string classifier_;  // pattern, llm, or "" when nothing needs one
  std::unique_ptr<llm::LanguageModel> model_;
  std::unique_ptr<score::LlmJudge> llm_;
  std::unique_ptr<score::SurprisalJudge> surprisal_;
  std::unique_ptr<Subject> subject_;  // where a scorer is an experiment
  std::unique_ptr<score::GenerationJudge> generation_;
  std::unique_ptr<score::SimulationJudge> simulation_;
  std::unique_ptr<score::InterventionJudge> intervention_;
  score::EmbeddingJudge::Embed embed_;
  std::unique_ptr<llm::LanguageModel> served_;  // of embeddings
  std::unique_ptr<score::ServedEmbeddingJudge> served_embedding_;
  std::string embedder_, embedder_fingerprint_;
  std::shared_ptr<const explain::Vocabulary> vocabulary_;  // of the pattern judge
};

}  // namespace gloss::app
