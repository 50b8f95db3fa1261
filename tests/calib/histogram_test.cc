#include "calib/histogram.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <random>

#include "calib/histogram_kernels.h"
#include "calib/observe.h"

namespace narrow::calib {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();

std::vector<float> mixed_values(size_t count) {
  std::mt19937 random(7);
  std::vector<float> values(count);
  for (float& x : values) {
    const auto draw = static_cast<double>(random()) / 4294967296.0;
    x = random() % 5 == 0 ? (random() % 2 == 0 ? 0.0F : -0.0F)
                          : static_cast<float>(std::ldexp(draw - 0.4, static_cast<int>(random() % 9)));
  }
  return values;
}

Histogram histogram_of(const std::vector<float>& values) {
  Histogram histogram;
  histogram.add(values, find_extremes(values));
  return histogram;
}

/// The definition, one value at a time.
int plain_bin(float x, double width) {
  const auto magnitude = static_cast<int>(std::floor(std::abs(static_cast<double>(x)) / width));
  return std::signbit(x) ? -1 - magnitude : magnitude;
}

TEST(HistogramTest, WidthIsTheNarrowestPowerOfTwoThatHoldsTheLargestMagnitude) {
  EXPECT_EQ(histogram_of({1.0F}).width(), 2.0 / 4096);  // [0, 1) would not hold 1 itself
  EXPECT_EQ(histogram_of({0.999F}).width(), 1.0 / 4096);
  EXPECT_EQ(histogram_of({-3.0F}).width(), 4.0 / 4096);
  EXPECT_EQ(histogram_of({1e-45F}).width(), Histogram::kMinWidth);
  EXPECT_EQ(histogram_of({3.4e38F}).width(), 0x1p116);
}

TEST(HistogramTest, CountsByHand) {
  const Histogram histogram = histogram_of({0.0F, -0.0F, 3.0F, -3.0F, 0.5F, 0.0001F, -0.0001F, 3.0F});
  EXPECT_EQ(histogram.zeros(), 2);
  EXPECT_EQ(histogram.count(3072), 2);   // 3 / (4 / 4096)
  EXPECT_EQ(histogram.count(-3073), 1);  // its mirror image
  EXPECT_EQ(histogram.count(512), 1);
  EXPECT_EQ(histogram.count(0), 1);
  EXPECT_EQ(histogram.count(-1), 1);
  EXPECT_EQ(histogram.magnitude_count(3072), 3);
  EXPECT_EQ(histogram.total(), 8);
}

// Sizes around each switch between the plain, the short and the long path.
TEST(HistogramTest, CountsAsTheDefinitionSaysAtAnySize) {
  for (const size_t size : {1UL, 7UL, 255UL, 257UL, 1025UL, 8191UL, 8193UL, 65537UL, 200003UL}) {
    const std::vector<float> values = mixed_values(size);
    const Histogram histogram = histogram_of(values);
    std::map<int, int64_t> expected;
    int64_t zeros = 0;
    for (const float x : values) ++(x == 0 ? zeros : expected[plain_bin(x, histogram.width())]);
    ASSERT_EQ(histogram.zeros(), zeros) << size;
    for (int k = -Histogram::kSideBins; k < Histogram::kSideBins; ++k) {
      ASSERT_EQ(histogram.count(k), expected.contains(k) ? expected[k] : 0) << size << " bin " << k;
    }
  }
}

TEST(HistogramTest, ManyEqualValuesDoNotOverflowACounter) {
  const Histogram histogram = histogram_of(std::vector<float>(1000000, 1.5F));
  EXPECT_EQ(histogram.count(3072), 1000000);
  EXPECT_EQ(histogram_of(std::vector<float>(300000, 0.0F)).zeros(), 300000);
}

TEST(HistogramTest, OrderAndSplittingDoNotMatter) {
  std::vector<float> values = mixed_values(30000);
  values[100] = -1e-30F;  // too small for its quotient to keep a sign in a wide histogram
  const Histogram whole = histogram_of(values);
  std::sort(values.begin(), values.end(), [](float a, float b) { return std::abs(a) < std::abs(b); });
  Histogram growing;
  for (size_t i = 0; i < values.size(); i += 1000) {
    const std::vector<float> piece(values.begin() + static_cast<int64_t>(i),
                                   values.begin() + static_cast<int64_t>(i) + 1000);
    growing.add(piece, find_extremes(piece));
  }
  EXPECT_EQ(growing, whole);
  const Histogram low = histogram_of({values.begin(), values.begin() + 15000});
  Histogram merged = low;
  merged.merge(histogram_of({values.begin() + 15000, values.end()}));
  EXPECT_EQ(merged, whole);
  Histogram other_way = histogram_of({values.begin() + 15000, values.end()});
  other_way.merge(low);
  EXPECT_EQ(other_way, whole);
}

TEST(HistogramTest, MergingWithNothingChangesNothing) {
  Histogram histogram = histogram_of({1.0F, 2.0F});
  const Histogram before = histogram;
  histogram.merge(Histogram());
  EXPECT_EQ(histogram, before);
  Histogram empty;
  empty.merge(before);
  EXPECT_EQ(empty, before);
}

TEST(ExtremesTest, AreFoundAtEachPositionOfEachSize) {
  for (const size_t size : {1UL, 3UL, 255UL, 256UL, 300UL, 1031UL}) {
    for (size_t at = 0; at < size; at += 17) {
      std::vector<float> values(size, 1.0F);
      values[at] = -2.0F;
      values[size - 1 - at] = values[size - 1 - at] < 0 ? -2.0F : 5.0F;
      const Extremes seen = find_extremes(values);
      ASSERT_EQ(seen.min, -2.0F) << size << " " << at;
      if (at != size - 1 - at) {
        ASSERT_EQ(seen.max, 5.0F) << size << " " << at;
      }
    }
  }
}

TEST(ExtremesTest, LeaveNanAndInfinityOut) {
  for (const size_t size : {4UL, 2000UL}) {
    for (const size_t at : {size_t{0}, size / 2, size - 2}) {
      std::vector<float> values(size, 2.0F);
      values[at] = kNan;
      values[at + 1] = -kInfinity;
      const Extremes seen = find_extremes(values);
      ASSERT_EQ(seen.not_finite, 2);
      ASSERT_EQ(seen.min, 2.0F);
      ASSERT_EQ(seen.max, 2.0F);
    }
  }
  const std::vector<float> none{kNan, kInfinity};
  EXPECT_EQ(find_extremes(none).not_finite, 2);
  EXPECT_EQ(find_extremes(none).max, 0.0F);
  EXPECT_EQ(find_extremes({}).not_finite, 0);
}

TEST(ExtremesTest, NegativeZeroIsZero) {
  const std::vector<float> values{-0.0F, -0.0F};
  EXPECT_FALSE(std::signbit(find_extremes(values).min));
}

TEST(ValueStatisticsTest, SeesAConstantAsItIs) {
  ValueStatistics seen;
  seen.add(Tensor::of<float>({3}, {-4.0F, -4.0F, -4.0F}));
  EXPECT_EQ(seen.min, -4.0F);
  EXPECT_EQ(seen.max, -4.0F);
  EXPECT_EQ(seen.count, 3);
}

TEST(ValueStatisticsTest, TakesAnyLayoutAndCountsWhatIsNotFinite) {
  ValueStatistics seen;
  seen.histogram.emplace();
  seen.add(to_layout(Tensor::of<float>({1, 2, 1, 2}, {1.0F, kNan, -0.5F, 0.0F}), Layout::kChannelsLast));
  EXPECT_EQ(seen.count, 3);
  EXPECT_EQ(seen.not_finite, 1);
  EXPECT_EQ(seen.min, -0.5F);
  EXPECT_EQ(seen.max, 1.0F);
  EXPECT_EQ(seen.histogram->total(), 3);
  EXPECT_EQ(seen.histogram->zeros(), 1);
}

TEST(ValueStatisticsTest, MergeTakesNoExtremesFromNothing) {
  ValueStatistics seen;
  seen.add(Tensor::of<float>({2}, {2.0F, 3.0F}));
  seen.merge(ValueStatistics());
  EXPECT_EQ(seen.min, 2.0F);
  ValueStatistics empty;
  empty.merge(seen);
  EXPECT_EQ(empty.min, 2.0F);
  EXPECT_EQ(empty.max, 3.0F);
}

}  // namespace
}  // namespace narrow::calib
