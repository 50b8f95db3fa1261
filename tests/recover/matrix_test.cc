#include "lib/recover/matrix.h"

#include <gtest/gtest.h>

#include "lib/recover/vector_math.h"

namespace narrow::recover {
namespace {

TEST(Matrix, CholeskySolvesAKnownSystem) {
  // A = L L^T with L = [[2,0,0],[1,3,0],[4,5,6]]; A [1,2,3]^T = [32, 79... by hand below.
  Matrix a(3, 3);
  a.values = {4, 2, 8, 2, 10, 19, 8, 19, 77};
  std::vector<double> x{4 + 4 + 24, 2 + 20 + 57, 8 + 38 + 231};
  ASSERT_TRUE(factor_cholesky(a));
  EXPECT_DOUBLE_EQ(a.at(0, 0), 2);
  EXPECT_DOUBLE_EQ(a.at(2, 1), 5);
  EXPECT_DOUBLE_EQ(a.at(2, 2), 6);
  solve_cholesky(a, x);
  EXPECT_NEAR(x[0], 1, 1e-12);
  EXPECT_NEAR(x[1], 2, 1e-12);
  EXPECT_NEAR(x[2], 3, 1e-12);
}

TEST(Matrix, CholeskyRefusesWhatIsNotPositiveDefinite) {
  Matrix a(2, 2);
  a.values = {1, 2, 2, 1};
  EXPECT_FALSE(factor_cholesky(a));
}

TEST(Matrix, DotCountsEveryElement) {
  for (const size_t length : {0U, 1U, 7U, 8U, 9U, 31U, 32U, 45U, 100U}) {
    std::vector<double> ones(length, 1.0);
    EXPECT_EQ(dot(ones, ones), static_cast<double>(length));
  }
}

}  // namespace
}  // namespace narrow::recover
