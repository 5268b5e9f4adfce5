#include "gloss/score/choice_questions.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>

namespace gloss::score {
namespace {

using examples::LatentExamples;
using examples::Window;
using examples::WindowKind;

Window window_of(std::uint32_t start, std::uint8_t quantile) {
  Window w;
  w.start = start;
  w.quantile = quantile;
  w.activation.assign(8, 0.0F);
  w.kind = quantile > 0 ? WindowKind::activating : WindowKind::silent_random;
  if (quantile > 0) {
    w.activation[start / 8 % 7] = w.activation[start / 8 % 7 + 1] = 1.0F;
    w.max = 1.0F;
  }
  return w;
}

LatentExamples examples_of(std::size_t per_quantile, std::size_t silent) {
  LatentExamples e;
  e.latent = LatentId{5};
  std::uint32_t start = 0;
  for (std::uint8_t q = 1; q <= 10; ++q) {
    for (std::size_t i = 0; i < per_quantile; ++i, start += 8) {
      e.test.push_back(window_of(start, q));
      e.explain.push_back(window_of(start + 100'000, q));
    }
  }
  for (std::size_t i = 0; i < silent; ++i, start += 8) e.test_silent.push_back(window_of(start, 0));
  return e;
}

std::size_t count_of(const std::vector<bool>& marks) {
  return static_cast<std::size_t>(std::count(marks.begin(), marks.end(), true));
}

TEST(IntruderQuestions, ShowFourWindowsOfOneDecileAndASilentOneMarkedAlike) {
  const std::vector<Question> questions = make_questions(Scorer::intruder, "layers.2", examples_of(7, 50), {});
  ASSERT_EQ(questions.size(), 50U);
  std::set<std::uint32_t> intruders, named;
  std::map<std::size_t, int> places;
  for (const Question& q : questions) {
    const auto windows = windows_shown(Scorer::intruder, q);
    const auto marks = marks_shown(Scorer::intruder, q);
    ASSERT_EQ(windows.size(), 5U);
    ASSERT_EQ(answers_of(Scorer::intruder, q), 5U);
    std::set<std::uint32_t> starts;
    for (std::size_t i = 0; i < 5; ++i) {
      EXPECT_EQ(windows[i]->quantile == 0, i == q.place) << "only the intruder is silent";
      EXPECT_TRUE(i == q.place || windows[i]->quantile == q.window.quantile);
      EXPECT_EQ(count_of(*marks[i]), 2U);
      EXPECT_LT(windows[i]->start, 100'000U) << "a window of the explainer's is judged";
      starts.insert(windows[i]->start);
    }
    EXPECT_EQ(starts.size(), 5U);
    EXPECT_TRUE(q.truth);
    EXPECT_TRUE(intruders.insert(windows[q.place]->start).second) << "an intruder twice";
    EXPECT_TRUE(named.insert(q.window.start).second);
    ++places[q.place];
  }
  for (std::size_t place = 0; place < 5; ++place) EXPECT_GE(places[place], 3) << place;
}

TEST(IntruderQuestions, AreFewerWhenWindowsAre) {
  EXPECT_EQ(make_questions(Scorer::intruder, "h", examples_of(7, 12), {}).size(), 12U);
  EXPECT_TRUE(make_questions(Scorer::intruder, "h", examples_of(3, 50), {}).empty());
  EXPECT_TRUE(make_questions(Scorer::intruder, "h", LatentExamples{}, {}).empty());
}

TEST(NeighbourQuestions, LeaveOutOtherSilentWindows) {
  LatentExamples e = examples_of(5, 6);
  e.test_silent[1].kind = e.test_silent[4].kind = WindowKind::silent_neighbour;
  const std::vector<Question> questions = make_questions(Scorer::neighbours, "h", e, {});
  ASSERT_EQ(questions.size(), 52U);
  e.test_neighbours.push_back(window_of(50'000, 0));
  EXPECT_EQ(make_questions(Scorer::neighbours, "h", e, {}).size(), 53U);
  EXPECT_EQ(make_questions(Scorer::detection, "h", e, {}).size(), 56U);
  EXPECT_EQ(std::count_if(questions.begin(), questions.end(), [](const Question& q) { return !q.truth; }), 2);
}

std::vector<explain::Explanation> explanations(std::size_t n) {
  std::vector<explain::Explanation> all;
  for (std::size_t i = 0; i < n; ++i) {
    explain::Explanation& e = all.emplace_back();
    e.latent = LatentId{static_cast<std::uint32_t>(i)};
    e.text = "text " + std::to_string(i);
  }
  return all;
}

TEST(ForcedChoice, HasThreeRivalsOfLikeDensityAndNeverTheLatentsOwn) {
  const std::vector<explain::Explanation> all = explanations(100);
  std::vector<double> densities;
  for (std::size_t i = 0; i < all.size(); ++i) densities.push_back(static_cast<double>(i));
  std::vector<Question> questions = make_questions(Scorer::forced_choice, "h", examples_of(7, 5), {});
  ASSERT_EQ(questions.size(), 10U);
  add_rivals(questions, "h", all[50], 50.0, all, densities, {});
  std::set<std::string> seen;
  for (const Question& q : questions) {
    EXPECT_EQ(windows_shown(Scorer::forced_choice, q).size(), 5U);
    const auto shown = explanations_shown(q, all[50]);
    ASSERT_EQ(shown.size(), 4U);
    for (std::size_t i = 0; i < 4; ++i) {
      EXPECT_EQ(shown[i]->latent == LatentId{50}, i == q.place);
      EXPECT_NEAR(densities[to_index(shown[i]->latent)], 50.0, 15.0);
      seen.insert(shown[i]->text);
    }
  }
  EXPECT_GT(seen.size(), 10U) << "each question has rivals of its own";
  // Judged with another's explanation, that one is no rival either.
  explain::Explanation moved = all[51];
  moved.latent = LatentId{50};
  questions = make_questions(Scorer::forced_choice, "h", examples_of(7, 5), {});
  add_rivals(questions, "h", moved, 50.0, all, densities, {});
  for (const Question& q : questions) {
    for (const explain::Explanation& e : q.rivals) EXPECT_TRUE(e.latent != LatentId{50} && e.latent != LatentId{51});
  }
}

TEST(ForcedChoice, AsksNothingWithoutThreeRivals) {
  const std::vector<explain::Explanation> all = explanations(3);
  const std::vector<double> densities{1, 2, 3};
  std::vector<Question> questions = make_questions(Scorer::forced_choice, "h", examples_of(7, 5), {});
  add_rivals(questions, "h", all[0], 1.0, all, densities, {});
  EXPECT_TRUE(questions.empty());
}

TEST(Headline, IsAccuracyOfChoicesAreaOfRankingsElseBalancedAccuracy) {
  LatentScore one;
  one.recall = {0.4, 0.3, 0.5};
  one.balanced_accuracy = {0.7, 0.6, 0.8};
  one.auc = 0.9;
  EXPECT_EQ(headline("intruder", one).value.value, 0.4);
  EXPECT_EQ(headline("intruder", one).chance, 0.2);
  EXPECT_EQ(headline("forced-choice", one).chance, 0.25);
  EXPECT_EQ(headline("embedding", one).value.value, 0.9);
  EXPECT_EQ(headline("surprisal", one).name, "AUC");
  EXPECT_EQ(headline("neighbours", one).value.value, 0.7);
  EXPECT_EQ(headline("of a newer gloss", one).value.value, 0.7);
  EXPECT_TRUE(has_probabilities("detection"));
  EXPECT_FALSE(has_probabilities("embedding") || has_probabilities("forced-choice"));
}

}  // namespace
}  // namespace gloss::score
