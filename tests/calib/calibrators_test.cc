#include "calib/calibrators/calibrators.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "calib/choose_ranges.h"
#include "lib/base/error.h"

namespace narrow::calib {
namespace {

using quant::CalibrationMethod;
using quant::QuantType;
using quant::Range;
using quant::Scheme;

constexpr Scheme kAffine{.type = QuantType::kUint8, .symmetric = false, .reduce_range = false};
constexpr Scheme kSymmetric{.type = QuantType::kInt8, .symmetric = true, .reduce_range = false};
constexpr std::array kMethods{CalibrationMethod::kMinMax, CalibrationMethod::kPercentile, CalibrationMethod::kEntropy,
                              CalibrationMethod::kMse};

ValueStatistics statistics_of(const std::vector<float>& values) {
  ValueStatistics seen;
  seen.histogram.emplace();
  seen.add(Tensor::of<float>({static_cast<int64_t>(values.size())}, std::span<const float>(values)));
  return seen;
}

/// Sums of uniform draws: near to normal, the same on every platform.
std::vector<float> gaussian(size_t count, float outlier) {
  std::mt19937 random(11);
  std::vector<float> values;
  for (size_t i = 0; i < count; ++i) {
    double sum = 0;
    for (int k = 0; k < 12; ++k) sum += static_cast<double>(random()) / 4294967296.0;
    values.push_back(static_cast<float>(sum - 6));
  }
  if (outlier != 0) values[count / 2] = outlier;
  return values;
}

std::vector<float> rectified(std::vector<float> values) {
  for (float& x : values) x = std::max(x, 0.0F);
  return values;
}

Range range_of(const ValueStatistics& seen, CalibrationMethod method, const Scheme& scheme, double percentile = 99.9) {
  return choose_range(seen, {.calibrator = {.method = method, .percentile = percentile}, .scheme = scheme});
}

TEST(ChooseRangeTest, AllZerosGiveAnEmptyRange) {
  for (const auto method : kMethods) EXPECT_EQ(range_of(statistics_of({0.0F, 0.0F}), method, kAffine), (Range{0, 0}));
  EXPECT_EQ(range_of(ValueStatistics(), CalibrationMethod::kMinMax, kAffine), (Range{0, 0}));
}

TEST(ChooseRangeTest, EachRangeContainsZeroAndStaysWithinWhatWasSeen) {
  const std::vector<std::vector<float>> cases{{5.0F},
                                              {-5.0F, -6.0F},
                                              {2.0F, 3.0F},
                                              {-1.0F, 1e-20F},
                                              {1e-42F},
                                              gaussian(2000, 50),
                                              rectified(gaussian(2000, 50))};
  for (const auto& values : cases) {
    const ValueStatistics seen = statistics_of(values);
    for (const auto method : kMethods) {
      for (const Scheme& scheme : {kAffine, kSymmetric}) {
        const Range range = range_of(seen, method, scheme);
        EXPECT_GE(range.rmin, std::min(seen.min, 0.0F));
        EXPECT_LE(range.rmin, 0.0F);
        EXPECT_GE(range.rmax, 0.0F);
        EXPECT_LE(range.rmax, std::max(seen.max, 0.0F));
        EXPECT_LT(range.rmin, range.rmax);
      }
    }
  }
}

TEST(ChooseRangeTest, OneConstantIsKept) {
  for (const auto method : kMethods) {
    const Range range = range_of(statistics_of(std::vector<float>(100, 6.0F)), method, kAffine, 100);
    EXPECT_NEAR(range.rmax, 6.0F, 0.01F) << quant::calibration_method_name(method);
    EXPECT_EQ(range.rmin, 0.0F);
  }
}

TEST(ChooseRangeTest, RefusesAShareThatIsNone) {
  const ValueStatistics seen = statistics_of({1.0F});
  EXPECT_THROW(range_of(seen, CalibrationMethod::kPercentile, kAffine, 0), Error);
  EXPECT_THROW(range_of(seen, CalibrationMethod::kPercentile, kAffine, 100.1), Error);
}

TEST(MinMaxTest, IsWhatWasSeen) {
  EXPECT_EQ(range_of(statistics_of({-1.5F, 4.0F, 2.0F}), CalibrationMethod::kMinMax, kAffine), (Range{-1.5F, 4.0F}));
  EXPECT_EQ(range_of(statistics_of({1.5F, 4.0F}), CalibrationMethod::kMinMax, kAffine), (Range{0, 4.0F}));
}

// 1 ... 100 have bins of 128 / 4096 = 1/32 each: 99 elements of 100 end with the bin that begins at 99.
TEST(PercentileTest, OfOneSignClipsTheFarEnd) {
  std::vector<float> values;
  for (int i = 1; i <= 100; ++i) values.push_back(static_cast<float>(i));
  EXPECT_EQ(range_of(statistics_of(values), CalibrationMethod::kPercentile, kAffine, 99), (Range{0, 99 + 1.0F / 32}));
  EXPECT_EQ(range_of(statistics_of(values), CalibrationMethod::kPercentile, kAffine, 100), (Range{0, 100}));
  for (float& x : values) x = -x;
  EXPECT_EQ(range_of(statistics_of(values), CalibrationMethod::kPercentile, kAffine, 99), (Range{-99 - 1.0F / 32, 0}));
}

// -50 ... 50: 90 % of 101 cuts 5.05 at each end. 51 elements are not above 0, so 95.95 are reached 0.95 of the way
// through the bin of 45, which is 1/64 wide.
TEST(PercentileTest, OfBothSignsCutsBothEndsAlike) {
  std::vector<float> values;
  for (int i = -50; i <= 50; ++i) values.push_back(static_cast<float>(i));
  const Range range = range_of(statistics_of(values), CalibrationMethod::kPercentile, kAffine, 90);
  EXPECT_FLOAT_EQ(range.rmax, 45 + 0.95F / 64);
  EXPECT_FLOAT_EQ(range.rmin, -45 - 0.95F / 64);
}

// Magnitudes: one zero and two of each of 1 ... 50; 90.9 of 101 lie 0.95 of the way (89 before, 2 there) through 45's
// bin.
TEST(PercentileTest, OfASymmetricSchemeCountsMagnitudes) {
  std::vector<float> values;
  for (int i = -50; i <= 50; ++i) values.push_back(static_cast<float>(i));
  const Range range = range_of(statistics_of(values), CalibrationMethod::kPercentile, kSymmetric, 90);
  EXPECT_FLOAT_EQ(range.rmax, 45 + 0.95F / 64);
  EXPECT_FLOAT_EQ(range.rmin, -45 - 0.95F / 64);
}

TEST(PercentileTest, ZerosCountAndAnEndOfFewElementsIsCutToZero) {
  std::vector<float> values(1000, 0.0F);
  for (int i = 0; i < 500; ++i) values.push_back(1.0F);
  values.push_back(-8.0F);  // less than the 0.5 % that are cut from each end
  const Range range = range_of(statistics_of(values), CalibrationMethod::kPercentile, kAffine, 99);
  EXPECT_EQ(range.rmin, 0.0F);
  EXPECT_NEAR(range.rmax, 1.0F, 8.0F / 4096);
}

/// KL(P || Q) as published, with whole distributions.
double plain_divergence(const Histogram& histogram, int bins, int levels) {
  std::vector<double> p(static_cast<size_t>(bins));
  for (int k = 0; k < bins; ++k) p[static_cast<size_t>(k)] = static_cast<double>(histogram.magnitude_count(k));
  std::vector<double> q(p.size(), 0.0);
  for (int level = 0; level < levels; ++level) {
    const auto begin = static_cast<size_t>(level * bins / levels);
    const auto end = static_cast<size_t>((level + 1) * bins / levels);
    double sum = 0;
    double filled = 0;
    for (size_t k = begin; k < end; ++k) {
      sum += p[k];
      filled += p[k] > 0 ? 1 : 0;
    }
    for (size_t k = begin; k < end; ++k) q[k] = p[k] > 0 ? sum / filled : 0;
  }
  for (int k = bins; k < Histogram::kSideBins; ++k) p.back() += static_cast<double>(histogram.magnitude_count(k));
  double p_sum = 0;
  double q_sum = 0;
  for (const double x : p) p_sum += x;
  for (const double x : q) q_sum += x;
  double divergence = 0;
  for (size_t k = 0; k < p.size(); ++k) {
    if (p[k] == 0) continue;
    divergence += p[k] / p_sum * std::log((p[k] / p_sum) / (q[k] > 0 ? q[k] / q_sum : 1e-4));
  }
  return divergence;
}

void expect_least_divergence(const std::vector<float>& values, const Scheme& scheme, int levels) {
  const ValueStatistics seen = statistics_of(values);
  const Range range = entropy_range(seen, scheme);
  const int chosen = static_cast<int>(std::lround(range.rmax / seen.histogram->width()));
  const double least = plain_divergence(*seen.histogram, chosen, levels);
  for (int bins = levels; bins <= 4096; bins += 61) {
    EXPECT_LE(least, plain_divergence(*seen.histogram, bins, levels) + 1e-3) << "bins " << bins << " chosen " << chosen;
  }
}

TEST(EntropyTest, HasTheLeastDivergence) {
  expect_least_divergence(gaussian(200000, 40), kSymmetric, 128);
  expect_least_divergence(rectified(gaussian(200000, 40)), kAffine, 256);
}

TEST(EntropyTest, ClipsAnOutlierAndIgnoresZeros) {
  std::vector<float> values = rectified(gaussian(100000, 60));
  const Range range = range_of(statistics_of(values), CalibrationMethod::kEntropy, kAffine);
  EXPECT_LT(range.rmax, 10.0F);
  EXPECT_GT(range.rmax, 2.0F);
  values.resize(values.size() * 3, 0.0F);
  EXPECT_EQ(range_of(statistics_of(values), CalibrationMethod::kEntropy, kAffine), range);
}

TEST(EntropyTest, KeepsAllWhereLevelsAreAsFineAsBins) {
  const Scheme scheme{.type = QuantType::kInt16, .symmetric = true, .reduce_range = false};
  EXPECT_EQ(range_of(statistics_of({-3.0F, 8.0F}), CalibrationMethod::kEntropy, scheme), (Range{-3.0F, 8.0F}));
}

/// The error of really quantizing the values.
double true_error(const std::vector<float>& values, Range range, const Scheme& scheme) {
  const auto params = quant::choose_params(range, scheme);
  double sum = 0;
  for (const float x : values) {
    const int32_t q = quant::quantize_value(x, params.scale, params.zero_point, scheme.type);
    const double error =
        static_cast<double>(quant::dequantize_value(q, params.scale, params.zero_point)) - static_cast<double>(x);
    sum += error * error;
  }
  return sum;
}

void expect_least_error(const std::vector<float>& values, const Scheme& scheme) {
  const ValueStatistics seen = statistics_of(values);
  const Range chosen = choose_range(seen, {.calibrator = {.method = CalibrationMethod::kMse}, .scheme = scheme});
  const double least = true_error(values, chosen, scheme);
  EXPECT_NEAR(squared_error(*seen.histogram, chosen, scheme), least, 0.02 * least);
  for (int low = 1; low <= 10; ++low) {
    for (int high = 1; high <= 10; ++high) {
      const Range other{std::min(seen.min, 0.0F) * static_cast<float>(low) / 10,
                        seen.max * static_cast<float>(high) / 10};
      EXPECT_LE(least, 1.02 * true_error(values, other, scheme)) << other.rmin << " " << other.rmax;
    }
  }
}

TEST(MseTest, HasTheLeastErrorOfReallyQuantizing) {
  expect_least_error(gaussian(20000, 14), kAffine);
  expect_least_error(gaussian(20000, 14), kSymmetric);
  expect_least_error(rectified(gaussian(20000, 14)), kAffine);
}

TEST(MseTest, ClipsAFarOutlierOfMany) {
  const auto values = gaussian(400000, 20);
  const Range range = range_of(statistics_of(values), CalibrationMethod::kMse, kSymmetric);
  EXPECT_LT(range.rmax, 12.0F);
}

TEST(MseTest, IsNeverWorseThanMinMaxByItsMeasure) {
  for (const float outlier : {0.0F, 7.0F, 30.0F, -100.0F}) {
    const ValueStatistics seen = statistics_of(gaussian(5000, outlier));
    for (const Scheme& scheme : {kAffine, kSymmetric}) {
      EXPECT_LE(squared_error(*seen.histogram, mse_range(seen, scheme), scheme),
                squared_error(*seen.histogram, {seen.min, seen.max}, scheme));
    }
  }
}

TEST(ChooseRangesTest, TellsWhatWasSeenAndHowItWasChosen) {
  Observations seen;
  seen.values["x"] = statistics_of({-1.0F, 3.0F});
  seen.values["x"].not_finite = 4;
  const auto ranges =
      choose_ranges(seen, {{"x", {.calibrator = {.method = CalibrationMethod::kMinMax}, .scheme = kAffine}}});
  ASSERT_EQ(ranges.size(), 1U);
  EXPECT_EQ(ranges.at("x").range, (Range{-1.0F, 3.0F}));
  EXPECT_EQ(ranges.at("x").count, 2);
  EXPECT_EQ(ranges.at("x").not_finite, 4);
  EXPECT_EQ(ranges.at("x").calibrator.method, CalibrationMethod::kMinMax);
  EXPECT_THROW(choose_ranges(seen, {}), Error);
}

TEST(ChooseRangesTest, OfSeveralFailuresTheFirstValueIsNamed) {
  Observations seen;
  std::map<std::string, CalibratorChoice> choices;
  for (const std::string name : {"a", "b", "c", "d", "e"}) {
    seen.values[name] = statistics_of({-1.0F, 3.0F});
    const double percentile = name == "a" ? 99 : 200;
    choices[name] = {.calibrator = {.method = CalibrationMethod::kPercentile, .percentile = percentile},
                     .scheme = kAffine};
  }
  try {
    choose_ranges(seen, choices);
    FAIL() << "a percentile of 200 was taken";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("value 'b'"), std::string::npos) << error.what();
  }
}

}  // namespace
}  // namespace narrow::calib
