#include "lib/tune/standard_error.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace narrow::tune {
namespace {

ErrorStatistics of(float reference, float actual) {
  ErrorStatistics statistics;
  statistics.add(std::vector<float>{reference}, std::vector<float>{actual});
  return statistics;
}

TEST(StandardError, SumsWithoutEachSample) {
  const std::vector<ErrorStatistics> samples{of(1, 2), of(10, 10), of(3, 5)};
  const std::vector<ErrorStatistics> without = without_each(samples);
  ASSERT_EQ(without.size(), 3U);
  EXPECT_DOUBLE_EQ(without[0].sqnr_db(), 10 * std::log10(109.0 / 4));
  EXPECT_DOUBLE_EQ(without[1].sqnr_db(), 10 * std::log10(10.0 / 5));
  EXPECT_DOUBLE_EQ(without[2].sqnr_db(), 10 * std::log10(101.0 / 1));
}

// Of a mean the jackknife gives what everybody does: of 1, 2 and 6 the deviation sqrt(7), of their mean sqrt(7 / 3).
TEST(StandardError, OfAMean) {
  EXPECT_NEAR(jackknife_error(3, std::vector<double>{4, 3.5, 1.5}, 100), std::sqrt(7.0 / 3), 1e-12);
}

TEST(StandardError, WhatOneSampleCountsIsBounded) {
  const double none = std::numeric_limits<double>::infinity();
  // 10 dB away without the third: deviation of 0, 0, 10 about their mean, times two thirds.
  EXPECT_NEAR(jackknife_error(30, std::vector<double>{30, 30, none}, 10), std::sqrt(2.0 / 3 * 200.0 / 3), 1e-12);
  EXPECT_EQ(jackknife_error(30, std::vector<double>{none}, 10), 10);
  EXPECT_EQ(jackknife_error(none, std::vector<double>{none, none}, 10), 0);
}

}  // namespace
}  // namespace narrow::tune
