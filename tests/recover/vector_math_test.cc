#include "lib/recover/vector_math.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

namespace narrow::recover {
namespace {

// Longer than every vector, and a rest behind it.
constexpr size_t kCount = 37;

std::vector<float> numbers() {
  std::vector<float> values;
  for (size_t i = 0; i < kCount; ++i) values.push_back(std::sin(static_cast<float>(i * i)) * 100);
  return values;
}

TEST(VectorMath, RowsLeaveNotANumberOutOfExtremesAndSquareInDouble) {
  std::vector<float> row = numbers();
  std::vector<float> least(kCount, -1);
  std::vector<float> most(kCount, 1);
  std::vector<double> squares(kCount, 0.5);
  take_row(row, least, most, squares);
  for (size_t i = 0; i < kCount; ++i) {
    EXPECT_EQ(least[i], std::min(-1.0F, row[i]));
    EXPECT_EQ(most[i], std::max(1.0F, row[i]));
    EXPECT_EQ(squares[i], 0.5 + static_cast<double>(row[i]) * row[i]);
  }
  row.assign(kCount, std::numeric_limits<float>::quiet_NaN());
  const std::vector<float> before = least;
  take_row(row, least, most, squares);
  EXPECT_EQ(least, before);
}

TEST(VectorMath, CodesAreRoundedHalfToEvenAndClamped) {
  const CodeGrid grid{.scale = 2, .zero = 3, .low = -3, .high = 252};
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const float infinite = std::numeric_limits<float>::infinity();
  const std::vector<float> some{1, 3, 5, -1, -3, nan, infinite, -infinite, 1e9F, -1e9F, 504, 10.9F};
  const std::vector<uint8_t> codes{3, 5, 5, 3, 1, 3, 255, 0, 255, 0, 255, 8};
  std::vector<float> values;
  std::vector<uint8_t> expected;
  for (size_t i = 0; i < kCount; ++i) {
    values.push_back(some[i % some.size()]);
    expected.push_back(codes[i % codes.size()]);
  }
  std::vector<uint8_t> actual(kCount);
  round_to_codes(values, grid, actual);
  EXPECT_EQ(actual, expected);
}

TEST(VectorMath, CodesMayBeNegative) {
  const CodeGrid grid{.scale = 0.5F, .zero = -10, .low = -118, .high = 137};
  const std::vector<float> values(kCount, -20.25F);  // -40.5 steps
  std::vector<int8_t> actual(kCount);
  round_to_codes(values, grid, actual);
  EXPECT_EQ(actual, std::vector<int8_t>(kCount, -50));
}

}  // namespace
}  // namespace narrow::recover
