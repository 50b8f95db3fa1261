#include "lib/validate/compare.h"

#include <gtest/gtest.h>

#include "lib/base/error.h"
#include "lib/base/spread.h"
#include "lib/tensor/convert.h"
#include "lib/validate/labels.h"

namespace narrow::validate {
namespace {

TEST(ScoreRows, OneRowPerSampleAlongTheLastLongAxis) {
  const auto rows = score_rows(Tensor::of<float>({2, 3, 1, 1}, {1, 2, 3, 4, 5, 6}));
  ASSERT_TRUE(rows);
  EXPECT_EQ(rows->rows(), 2);
  EXPECT_EQ(rows->columns, 3);
  EXPECT_EQ(rows->row(1)[0], 4.0F);
  EXPECT_FALSE(score_rows(Tensor::of<float>({1, 1}, {1})));
  EXPECT_FALSE(score_rows(Tensor::of<float>({3}, {1, 2, 3})));
  EXPECT_FALSE(score_rows(Tensor::of<float>({1, 2, 2}, {1, 2, 3, 4})));  // a map
  EXPECT_FALSE(score_rows(Tensor::of<int64_t>({1, 2}, {1, 2})));
}

TEST(ScoreRows, OfFloat16AreScoresToo) {
  Workspace workspace;
  const Tensor half = convert_elements(Tensor::of<float>({1, 3}, {0.5F, 2, -1}), DataType::kFloat16, workspace);
  const auto rows = score_rows(half);
  ASSERT_TRUE(rows);
  EXPECT_EQ(rows->row(0)[1], 2.0F);
  EXPECT_EQ(agreement(half, half)->equal, 1);
}

TEST(Agreement, CountsRowsWithTheSameWinner) {
  const Tensor x = Tensor::of<float>({3, 2}, {1, 2, 2, 1, 5, 0});
  const Tensor y = Tensor::of<float>({3, 2}, {0, 9, 0, 1, 1, 0});
  const auto found = agreement(x, y);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->rows, 3);
  EXPECT_EQ(found->equal, 2);
}

TEST(Compare, RefusesOtherRanksAndTypesButLeavesOutOtherSizes) {
  EXPECT_THROW(compare("v", Tensor::of<float>({1}, {1}), Tensor::of<int64_t>({1}, {1})), Error);
  EXPECT_FALSE(compare("v", Tensor::of<float>({2}, {1, 2}), Tensor::of<float>({1}, {1})));
  EXPECT_FALSE(compare("v", Tensor::of_strings({1}, {"cat"}), Tensor::of_strings({1}, {"dog"})));  // no numbers
  EXPECT_FALSE(compare("v", Tensor::of_sequence({}), Tensor::of_sequence({})));
  EXPECT_THROW(compare("v", Tensor::of<float>({2}, {1, 2}), Tensor::of<float>({1, 2}, {1, 2})), Error);
}

TEST(LabelHits, TopOneAndTopFive) {
  const Tensor x = Tensor::of<float>({1, 6}, {6, 5, 4, 3, 2, 1});
  const Tensor y = Tensor::of<float>({1, 6}, {1, 2, 3, 4, 5, 6});
  LabelHits hits;
  hits.add(x, y, 0);  // float right, quantized last of six
  hits.add(x, y, 5);  // the other way round
  hits.add(x, y, 4);  // second in y, fifth in x
  const Accuracy accuracy = hits.accuracy();
  EXPECT_DOUBLE_EQ(accuracy.top1_float, 1.0 / 3);
  EXPECT_DOUBLE_EQ(accuracy.top1_quantized, 1.0 / 3);
  EXPECT_DOUBLE_EQ(accuracy.top5_float, 2.0 / 3);
  EXPECT_DOUBLE_EQ(accuracy.top5_quantized, 2.0 / 3);
  EXPECT_THROW(hits.add(x, y, 6), Error);
  EXPECT_THROW(hits.add(x, y, -1), Error);
}

TEST(Spread, RoundsAsCalibrationDoes) {
  // 4.5 rounds to even.
  EXPECT_EQ(spread_indices(10, 3), (std::vector<int64_t>{0, 4, 9}));
  EXPECT_EQ(spread_indices(3, 10), (std::vector<int64_t>{0, 1, 2}));
  EXPECT_TRUE(spread_indices(0, 4).empty());
}

}  // namespace
}  // namespace narrow::validate
