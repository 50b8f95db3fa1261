#include "lib/recover/tile.h"

#include <gtest/gtest.h>

#include <random>

#include "lib/base/thread_scope.h"
#include "lib/recover/vector_math.h"

namespace narrow::recover {
namespace {

TEST(Tile, CholeskySolvesAKnownSystem) {
  // A = L L^T with L = [[2,0,0],[1,3,0],[4,5,6]].
  Matrix a(3, 3);
  a.values = {4, 2, 8, 2, 10, 19, 8, 19, 77};
  ASSERT_TRUE(factor_cholesky(a));
  EXPECT_DOUBLE_EQ(a.at(0, 0), 2);
  EXPECT_DOUBLE_EQ(a.at(2, 1), 5);
  EXPECT_DOUBLE_EQ(a.at(1, 2), 5);
  EXPECT_DOUBLE_EQ(a.at(2, 2), 6);
  Tile x(3);  // A times [1, 2, 3], and twice that
  const std::array<double, 3> b{4 + 4 + 24, 2 + 20 + 57, 8 + 38 + 231};
  for (int64_t i = 0; i < 3; ++i) {
    x.at(i, 0) = b[static_cast<size_t>(i)];
    x.at(i, 5) = 2 * b[static_cast<size_t>(i)];
  }
  solve_lower(a, x);
  solve_upper_choosing(a, x, [](int64_t, TileRow&) {});
  for (int64_t i = 0; i < 3; ++i) {
    EXPECT_NEAR(x.at(i, 0), static_cast<double>(i + 1), 1e-12);
    EXPECT_NEAR(x.at(i, 5), static_cast<double>(2 * (i + 1)), 1e-12);
  }
}

/// G G^T plus a diagonal.
Matrix random_definite(int64_t size) {
  std::mt19937 random(5);
  std::uniform_real_distribution<double> uniform(-1, 1);
  Matrix g(size, size);
  for (double& value : g.values) value = uniform(random);
  Matrix a(size, size);
  for (int64_t i = 0; i < size; ++i) {
    for (int64_t j = 0; j < size; ++j) a.at(i, j) = dot(g.row(i), g.row(j)) + (i == j ? 1 : 0);
  }
  return a;
}

// Sizes around what panels and rows at once are made of.
TEST(Tile, FactorTimesItsTransposeIsTheMatrix) {
  for (const int64_t size : {1, 4, 5, 31, 32, 33, 70, 97}) {
    const Matrix a = random_definite(size);
    Matrix factor = a;
    ASSERT_TRUE(factor_cholesky(factor));
    for (int64_t i = 0; i < size; ++i) {
      for (int64_t j = 0; j <= i; ++j) {
        const auto length = static_cast<size_t>(j + 1);
        ASSERT_NEAR(dot(factor.row(i).first(length), factor.row(j).first(length)), a.at(i, j), 1e-9);
        ASSERT_EQ(factor.at(i, j), factor.at(j, i));
      }
    }
  }
}

TEST(Tile, FactorDoesNotDependOnTheThreads) {
  Matrix one = random_definite(150);
  Matrix three = one;
  {
    const ThreadCountScope threads(1);
    factor_cholesky(one);
  }
  const ThreadCountScope threads(3);
  factor_cholesky(three);
  EXPECT_EQ(one.values, three.values);
}

// What is chosen for a row counts for the rows before it: back substitution by hand.
TEST(Tile, ChoicesForLaterRowsCountForEarlierOnes) {
  const int64_t size = 11;
  Matrix factor = random_definite(size);
  factor_cholesky(factor);
  Tile x(size);
  for (int64_t i = 0; i < size; ++i) x.at(i, 3) = static_cast<double>(3 * i) - 7;
  const Tile given = x;
  solve_upper_choosing(factor, x, [](int64_t, TileRow& row) { row.values[3] = std::nearbyint(row.values[3]); });
  std::vector<double> wanted(static_cast<size_t>(size));
  for (int64_t i = size; i-- > 0;) {
    double rest = given.at(i, 3);
    for (int64_t k = i + 1; k < size; ++k) rest -= factor.at(k, i) * wanted[static_cast<size_t>(k)];
    wanted[static_cast<size_t>(i)] = std::nearbyint(rest / factor.at(i, i));
    EXPECT_EQ(x.at(i, 3), wanted[static_cast<size_t>(i)]);
  }
}

TEST(Tile, SubtractsAProduct) {
  Matrix a(6, 6);
  for (size_t i = 0; i < a.values.size(); ++i) a.values[i] = static_cast<double>(i % 7);
  Tile x(6);
  Tile b(6);
  for (int64_t i = 0; i < 6; ++i) x.at(i, 31) = static_cast<double>(i + 1);
  subtract_product(b, a, x);
  for (int64_t i = 0; i < 6; ++i) {
    double sum = 0;
    for (int64_t k = 0; k < 6; ++k) sum += a.at(i, k) * static_cast<double>(k + 1);
    EXPECT_EQ(b.at(i, 31), -sum);
    EXPECT_EQ(b.at(i, 0), 0);
  }
}

TEST(Tile, CholeskyRefusesWhatIsNotPositiveDefinite) {
  Matrix a(2, 2);
  a.values = {1, 2, 2, 1};
  EXPECT_FALSE(factor_cholesky(a));
}

TEST(VectorMath, DotCountsEveryElement) {
  for (const size_t length : {0U, 1U, 7U, 8U, 9U, 31U, 32U, 45U, 100U}) {
    std::vector<double> ones(length, 1.0);
    EXPECT_EQ(dot(ones, ones), static_cast<double>(length));
  }
}

}  // namespace
}  // namespace narrow::recover
