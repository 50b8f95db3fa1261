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
