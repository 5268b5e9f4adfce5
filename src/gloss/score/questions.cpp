#include <algorithm>
#include <array>
#include <cmath>
#include <span>
#include <string>
#include <utility>

#include "gloss/base/error.h"
#include "gloss/base/random.h"
#include "gloss/score/judge.h"

namespace gloss::score {
namespace {

using examples::LatentExamples;
using examples::Window;

constexpr std::array<std::string_view, 2> kNames{"detection", "fuzz"};

/// The test windows of one quantile, in the order of the split.
std::vector<const Window*> windows_of(const LatentExamples& examples, std::uint32_t quantile) {
  std::vector<const Window*> found;
  for (const Window& w : examples.test) {
    if (w.quantile == quantile) found.push_back(&w);
  }
  return found;
}

std::vector<Question> detection_questions(const LatentExamples& examples, const QuestionOptions& options) {
  std::vector<Question> questions;
  const auto ask = [&](const Window& w, bool truth) {
    questions.push_back({w, std::vector<bool>(w.activation.size(), false), truth});
  };
  for (std::uint32_t q = 1; q <= options.quantiles; ++q) {
    const std::vector<const Window*> windows = windows_of(examples, q);
    const std::size_t count = std::min<std::size_t>(windows.size(), options.detection_per_quantile);
    for (std::size_t i = 0; i < count; ++i) ask(*windows[i], true);
  }
  for (const Window& w : examples.test_silent) ask(w, false);
  return questions;
}

std::vector<bool> right_marks(const Window& w, float tau) {
  std::vector<bool> marked(w.activation.size());
  for (std::size_t i = 0; i < marked.size(); ++i) marked[i] = examples::is_marked(w, i, tau);
  return marked;
}

std::vector<std::size_t> silent_tokens(const Window& w) {
  std::vector<std::size_t> silent;
  for (std::size_t i = 0; i < w.activation.size(); ++i) {
    if (!(w.activation[i] > 0.0F)) silent.push_back(i);
  }
  return silent;
}

/// N: marked tokens of a test window on average, rounded to nearest, at least 1.
std::size_t mean_marked(const LatentExamples& examples, float tau) {
  std::size_t total = 0;
  for (const Window& w : examples.test) {
    const std::vector<bool> marked = right_marks(w, tau);
    total += static_cast<std::size_t>(std::count(marked.begin(), marked.end(), true));
  }
  const std::size_t n = std::max<std::size_t>(1, examples.test.size());
  return std::max<std::size_t>(1, (2 * total + n) / (2 * n));
}

/// `count` silent tokens of the window; which ones depends on (seed, hookpoint, latent, window) alone.
std::vector<bool> wrong_marks(const Window& w, std::size_t count, std::string_view hookpoint, LatentId latent,
                              std::uint64_t seed) {
  const std::vector<std::size_t> silent = silent_tokens(w);
  Random random = Random::for_latent(seed, hookpoint, latent, "fuzz-marks", w.start);
  std::vector<bool> marked(w.activation.size(), false);
  for (const std::uint64_t chosen : random.sample(silent.size(), count)) marked[silent[chosen]] = true;
  return marked;
}

/// How many of `found` windows are marked wrongly: the wanted number, or their share of a shortage, to nearest.
std::size_t wrong_count(std::size_t found, const QuestionOptions& options) {
  const std::size_t wanted = std::size_t{options.fuzz_right_per_quantile} + options.fuzz_wrong_per_quantile;
  if (wanted == 0 || found >= wanted) return options.fuzz_wrong_per_quantile;
  return (2 * found * options.fuzz_wrong_per_quantile + wanted) / (2 * wanted);
}

std::vector<Question> fuzz_questions(std::string_view hookpoint, const LatentExamples& examples,
                                     const QuestionOptions& options) {
  const std::size_t marks = mean_marked(examples, options.tau);
  std::vector<Question> questions;
  for (std::uint32_t q = 1; q <= options.quantiles; ++q) {
    std::vector<const Window*> windows = windows_of(examples, q);
    const std::size_t most = std::size_t{options.fuzz_right_per_quantile} + options.fuzz_wrong_per_quantile;
    windows.resize(std::min(windows.size(), most));
    std::size_t wrong = wrong_count(windows.size(), options);
    std::size_t right = windows.size() - wrong;
    // From the end, so that the first windows are marked rightly; a window that fires everywhere cannot be marked
    // wrongly.
    for (std::size_t i = windows.size(); i-- > 0;) {
      const Window& w = *windows[i];
      if (wrong > 0 && !silent_tokens(w).empty()) {
        questions.push_back({w, wrong_marks(w, marks, hookpoint, examples.latent, options.seed), false});
        --wrong;
      } else if (right > 0) {
        questions.push_back({w, right_marks(w, options.tau), true});
        --right;
      }
    }
  }
  return questions;
}

}  // namespace

std::string_view name_of(Scorer scorer) { return kNames[static_cast<std::size_t>(scorer)]; }

Scorer parse_scorer(std::string_view name) {
  for (std::size_t i = 0; i < kNames.size(); ++i) {
    if (kNames[i] == name) return static_cast<Scorer>(i);
  }
  const std::vector<std::string> known(kNames.begin(), kNames.end());
  fail_unknown_name("scorer", name, known);
}

std::vector<Question> make_questions(Scorer scorer, std::string_view hookpoint, const LatentExamples& examples,
                                     const QuestionOptions& options) {
  std::vector<Question> questions = scorer == Scorer::detection ? detection_questions(examples, options)
                                                                : fuzz_questions(hookpoint, examples, options);
  Random random = Random::for_latent(options.seed, hookpoint, examples.latent, "question-order",
                                     static_cast<std::uint64_t>(scorer));
  random.shuffle(std::span(questions));
  return questions;
}

}  // namespace gloss::score
