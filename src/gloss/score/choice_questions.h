#pragma once
/// Questions with several answers of which one is right. Method: docs/methods.md 14.
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "gloss/score/judge.h"

namespace gloss::score {

/// See QuestionOptions. Without order.
std::vector<Question> intruder_questions(Scorer scorer, std::string_view hookpoint,
                                         const examples::LatentExamples& examples, const QuestionOptions& options);
std::vector<Question> forced_choice_questions(Scorer scorer, std::string_view hookpoint,
                                              const examples::LatentExamples& examples, const QuestionOptions& options);

/// Gives each forced-choice question its wrong answers and the place of the right one: drawn for each question from the
/// 30 explanations of `others` whose latents are nearest in density. Left out: this latent's own explanation and
/// whatever reads like `judged`. All questions are removed when there are too few. Shapes: others, densities [n].
void add_rivals(std::vector<Question>& questions, std::string_view hookpoint, const explain::Explanation& judged,
                double density, std::span<const explain::Explanation> others, std::span<const double> densities,
                const QuestionOptions& options);

/// The windows of a question in the order in which they are shown. Lifetime: the question's.
std::vector<const examples::Window*> windows_shown(Scorer scorer, const Question& question);
std::vector<const std::vector<bool>*> marks_shown(Scorer scorer, const Question& question);
/// The explanations of a forced-choice question in the order in which they are shown, the judged one at its place.
std::vector<const explain::Explanation*> explanations_shown(const Question& question,
                                                            const explain::Explanation& judged);
/// How many answers there are to choose from.
std::size_t answers_of(Scorer scorer, const Question& question);

}  // namespace gloss::score
