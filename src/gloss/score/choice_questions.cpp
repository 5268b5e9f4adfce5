#include "gloss/score/choice_questions.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <string>

#include "gloss/base/random.h"
#include "gloss/score/fuzz_marks.h"

namespace gloss::score {
namespace {

using examples::LatentExamples;
using examples::Window;

constexpr std::size_t kNearest = 30;  // explanations of the nearest densities that rivals are drawn from

/// The windows beside the one a question is named after, in the order they are shown, with the last one at its place.
template <class Item, class Get>
std::vector<const Item*> in_order(Scorer scorer, const Question& q, const Item& first, const Get& get) {
  std::vector<const Item*> shown{&first};
  for (const Shown& s : q.beside) shown.push_back(&get(s));
  if (scorer == Scorer::intruder && shown.size() > 1) {
    const auto to = shown.begin() + static_cast<std::ptrdiff_t>(std::min(q.place, shown.size() - 1));
    std::rotate(to, shown.end() - 1, shown.end());
  }
  return shown;
}

}  // namespace

std::vector<Question> intruder_questions(Scorer, std::string_view hookpoint, const LatentExamples& examples,
                                         const QuestionOptions& options) {
  const std::size_t marks = mean_marked(examples, options.tau);
  std::vector<const Window*> silent;
  for (const Window& w : examples.test_silent) silent.push_back(&w);
  Random::for_latent(options.seed, hookpoint, examples.latent, "intruders").shuffle(std::span(silent));
  std::vector<Question> questions;
  // Round by round over the quantiles, so that a shortage of silent windows is shared by all.
  for (std::uint32_t round = 0; round < options.intruder_per_quantile; ++round) {
    for (std::uint32_t quantile = 1; quantile <= options.quantiles && questions.size() < silent.size(); ++quantile) {
      const std::vector<const Window*> windows = windows_of(examples, quantile);
      if (windows.size() < options.intruder_beside || round >= windows.size()) continue;
      const Window& intruder = *silent[questions.size()];
      const auto shown = [&](std::size_t i) { return windows[(round + i) % windows.size()]; };
      Question q{*shown(0), right_marks(*shown(0), options.tau), true};
      for (std::size_t i = 1; i < options.intruder_beside; ++i)
        q.beside.push_back({*shown(i), right_marks(*shown(i), options.tau)});
      Random random = Random::for_latent(options.seed, hookpoint, examples.latent, "intruder-marks", intruder.start);
      q.place = random.below(options.intruder_beside + 1);
      q.beside.push_back({intruder, scattered_marks(intruder, marks, random)});
      questions.push_back(std::move(q));
    }
  }
  return questions;
}

std::vector<Question> forced_choice_questions(Scorer, std::string_view, const LatentExamples& examples,
                                              const QuestionOptions& options) {
  std::vector<Question> questions;
  for (std::uint32_t quantile = 1; quantile <= options.quantiles; ++quantile) {
    const std::vector<const Window*> windows = windows_of(examples, quantile);
    if (windows.empty() || options.choice_windows == 0) continue;
    Question q{*windows.front(), right_marks(*windows.front(), options.tau), true};
    for (std::size_t i = 1; i < std::min<std::size_t>(windows.size(), options.choice_windows); ++i)
      q.beside.push_back({*windows[i], right_marks(*windows[i], options.tau)});
    questions.push_back(std::move(q));
  }
  return questions;
}

void add_rivals(std::vector<Question>& questions, std::string_view hookpoint, const explain::Explanation& judged,
                double density, std::span<const explain::Explanation> others, std::span<const double> densities,
                const QuestionOptions& options) {
  std::vector<std::size_t> near;
  for (std::size_t i = 0; i < std::min(others.size(), densities.size()); ++i) {
    if (others[i].ok() && others[i].latent != judged.latent && others[i].text != judged.text) near.push_back(i);
  }
  std::sort(near.begin(), near.end(), [&](std::size_t a, std::size_t b) {
    const double to_a = std::abs(densities[a] - density);
    const double to_b = std::abs(densities[b] - density);
    return to_a != to_b ? to_a < to_b : others[a].latent < others[b].latent;
  });
  near.resize(std::min(near.size(), kNearest));
  if (near.size() < options.choice_rivals) {
    questions.clear();
    return;
  }
  for (Question& q : questions) {
    Random random = Random::for_latent(options.seed, hookpoint, judged.latent, "rivals", q.window.start);
    for (const std::uint64_t i : random.sample(near.size(), options.choice_rivals)) q.rivals.push_back(others[near[i]]);
    q.place = random.below(options.choice_rivals + 1);
  }
}

std::vector<const Window*> windows_shown(Scorer scorer, const Question& q) {
  return in_order(scorer, q, q.window, [](const Shown& s) -> const Window& { return s.window; });
}

std::vector<const std::vector<bool>*> marks_shown(Scorer scorer, const Question& q) {
  return in_order(scorer, q, q.marked, [](const Shown& s) -> const std::vector<bool>& { return s.marked; });
}

std::vector<const explain::Explanation*> explanations_shown(const Question& q, const explain::Explanation& judged) {
  std::vector<const explain::Explanation*> shown;
  for (const explain::Explanation& e : q.rivals) shown.push_back(&e);
  shown.insert(shown.begin() + static_cast<std::ptrdiff_t>(std::min(q.place, shown.size())), &judged);
  return shown;
}

std::size_t answers_of(Scorer scorer, const Question& q) {
  return scorer == Scorer::intruder ? q.beside.size() + 1 : q.rivals.size() + 1;
}

}  // namespace gloss::score
