#include "lib/tune/scores.h"

#include <gtest/gtest.h>

#include <cmath>

namespace narrow::tune {
namespace {

RankedScores two_classes(double margin, double noise, int label_rank) {
  RankedScores row{.ranks = 2, .label_rank = label_rank};
  row.score = {margin, 0};
  row.noise = {noise, 0};
  return row;
}

TEST(Scores, ExpectedAnswersCountEveryPairOfRowAndNoise) {
  // Margins 1 and 3; noises -2 and 0: of four pairs only (margin 1, noise -2) changes its answer.
  const std::vector<RankedScores> rows{two_classes(1, 0, 0), two_classes(3, -2, 1)};
  const ExpectedAnswers answers = expected_answers(rows);
  EXPECT_DOUBLE_EQ(answers.agreement, 0.75);
  EXPECT_DOUBLE_EQ(answers.float_hits, 0.5);
  // Row 0 hits while it keeps its answer (one of two noises); row 1's label is second, which no noise brings up.
  EXPECT_DOUBLE_EQ(answers.hits, 0.25);
}

/// Margins 1 to `count`, each `times` times, and the same noise everywhere; every label is the float model's class.
std::vector<RankedScores> margins(int count, int times, double noise) {
  std::vector<RankedScores> rows;
  for (int i = 0; i < count * times; ++i) {
    rows.push_back(two_classes(1 + i % count, noise, 0));
    rows.back().sample = static_cast<size_t>(i);
  }
  return rows;
}

// Noise of -0.6 changes none of the margins 1 to 10; twice as large it changes one, four times two, which are a fifth.
// Shares over rows have the deviations sqrt(0.9 / 9) and sqrt(1.6 / 9), and those of the means are a sqrt(10)-th of it.
TEST(Scores, MostLostScalesNoiseUntilItChangesEnough) {
  const MostLost most = most_lost(margins(10, 1, -0.6));
  const double twice = (0.1 + 2 * std::sqrt(0.9 / 90)) / 2;
  const double four_times = (0.2 + 2 * std::sqrt(1.6 / 90)) / 4;
  EXPECT_NEAR(most.changed, std::max(twice, 1.5 * four_times), 1e-12);
  EXPECT_NEAR(most.hits, four_times, 1e-12);
}

TEST(Scores, MostLostFallsWithTheNumberOfSamples) {
  EXPECT_LT(most_lost(margins(100, 4, -0.6)).changed, most_lost(margins(100, 1, -0.6)).changed);
  EXPECT_LT(most_lost(margins(100, 1, -0.6)).changed, 0.8 * most_lost(margins(25, 1, -2.4)).changed);
  EXPECT_EQ(most_lost(margins(3, 1, 0)).changed, 0);
  // Four rows of each sample that do the same are no more than one.
  std::vector<RankedScores> rows = margins(100, 4, -0.6);
  for (RankedScores& row : rows) row.sample %= 100;
  EXPECT_GT(most_lost(rows).changed, 1.2 * most_lost(margins(100, 4, -0.6)).changed);
}

TEST(Scores, RanksAreTheFloatModelsAndNoiseIsInLogarithms) {
  const Tensor reference = Tensor::of<float>({1, 3}, {0.2F, 0.7F, 0.1F});
  const Tensor actual = Tensor::of<float>({1, 3}, {0.4F, 0.4F, 0.2F});
  const std::vector<RankedScores> rows = ranked_scores(reference, actual, 0);
  ASSERT_EQ(rows.size(), 1U);
  EXPECT_EQ(rows[0].ranks, 3U);
  EXPECT_EQ(rows[0].label_rank, 1);
  EXPECT_NEAR(rows[0].score[0] - rows[0].score[1], std::log(0.7 / 0.2), 1e-6);
  EXPECT_NEAR(rows[0].noise[0] - rows[0].noise[1], std::log(0.4 / 0.7) - std::log(0.4 / 0.2), 1e-6);
}

TEST(Scores, DivergenceOfDistributions) {
  const Tensor reference = Tensor::of<float>({1, 2}, {0.5F, 0.5F});
  const Tensor actual = Tensor::of<float>({1, 2}, {0.25F, 0.75F});
  EXPECT_NEAR(divergence(reference, actual), 0.5 * std::log(2.0) + 0.5 * std::log(2.0 / 3), 1e-6);
  EXPECT_NEAR(divergence(reference, reference), 0, 1e-12);
}

}  // namespace
}  // namespace narrow::tune
