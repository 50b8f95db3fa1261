#include "lib/tensor/metrics.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

namespace narrow {
namespace {

ErrorStatistics statistics(const std::vector<float>& x, const std::vector<float>& y) {
  ErrorStatistics result;
  result.add(x, y);
  return result;
}

TEST(MetricsTest, SqnrOfAKnownCase) {
  // Signal 100, noise 1: 20 dB.
  const ErrorStatistics s = statistics({6, 8}, {6, 7});
  EXPECT_DOUBLE_EQ(s.sqnr_db(), 20);
  EXPECT_DOUBLE_EQ(s.max_abs_error(), 1);
  EXPECT_DOUBLE_EQ(s.mean_squared_error(), 0.5);
  EXPECT_NEAR(s.cosine(), (36 + 56) / (10 * std::sqrt(85.0)), 1e-15);
}

TEST(MetricsTest, EqualTensorsAndZeros) {
  EXPECT_EQ(statistics({1, 2}, {1, 2}).sqnr_db(), std::numeric_limits<double>::infinity());
  EXPECT_EQ(statistics({0, 0}, {0, 0}).cosine(), 1);
  EXPECT_EQ(statistics({0, 0}, {1, 0}).sqnr_db(), -std::numeric_limits<double>::infinity());
  EXPECT_EQ(statistics({0, 0}, {1, 0}).cosine(), 0);
}

TEST(MetricsTest, NotANumberIsNeverGood) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const ErrorStatistics s = statistics({1, 2}, {1, nan});
  EXPECT_TRUE(std::isnan(s.sqnr_db()));
  EXPECT_EQ(s.max_abs_error(), std::numeric_limits<double>::infinity());
}

TEST(MetricsTest, CountsWhatIsNotFiniteWhereTheReferenceIs) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const float inf = std::numeric_limits<float>::infinity();
  ErrorStatistics s = statistics({1, 2, 3, inf, nan, 6}, {1, nan, -inf, inf, nan, 7});
  EXPECT_EQ(s.not_finite(), 2);
  s.add(statistics({1}, {inf}));
  EXPECT_EQ(s.not_finite(), 3);
  EXPECT_EQ(s.count(), 7);
}

TEST(MetricsTest, PiecesAddUpToTheWhole) {
  ErrorStatistics pieces = statistics({6}, {6});
  pieces.add(statistics({8}, {7}));
  EXPECT_DOUBLE_EQ(pieces.sqnr_db(), statistics({6, 8}, {6, 7}).sqnr_db());
  EXPECT_EQ(pieces.count(), 2);
}

TEST(MetricsTest, ArgmaxTakesTheFirstOfEquals) {
  EXPECT_EQ(argmax(std::vector<float>{1, 3, 3}), 1);
  EXPECT_TRUE(in_top_k(std::vector<float>{1, 3, 3}, 1, 1));
  EXPECT_FALSE(in_top_k(std::vector<float>{1, 3, 3}, 2, 1));
  EXPECT_TRUE(in_top_k(std::vector<float>{1, 3, 3}, 2, 2));
}

}  // namespace
}  // namespace narrow
