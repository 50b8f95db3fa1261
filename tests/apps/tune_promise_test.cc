#include "apps/tune_promise.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace narrow::apps {
namespace {

using testing::HasSubstr;

validate::Validation with(int64_t samples, validate::OutputComparison output) {
  validate::Validation validation;
  validation.samples = samples;
  output.name = "y";
  validation.outputs.push_back(output);
  return validation;
}

TuneLimit drop(double points, Lost lost) {
  return {.limit = tune::Limit::kDrop, .value = points, .lost = lost};
}

TEST(TunePromise, BinomialTail) {
  EXPECT_EQ(binomial_tail(0, 10, 0.1), 1);
  EXPECT_NEAR(binomial_tail(2, 3, 0.5), 0.5, 1e-12);
  EXPECT_NEAR(binomial_tail(1, 150, 0.005), 1 - std::pow(0.995, 150), 1e-12);
}

TEST(TunePromise, FewAnswersLeaveLessToExpectation) {
  // Of 150 answers none may change: (1 - p)^150 = 0.9.
  EXPECT_NEAR(expected_share(0.5, 150), (1 - std::pow(0.9, 1 / 150.0)) / 0.005, 1e-9);
  // Of 250 one may.
  const double p = expected_share(0.5, 250) * 0.005;
  EXPECT_NEAR(std::pow(1 - p, 250) + 250 * p * std::pow(1 - p, 249), 0.9, 1e-9);
  EXPECT_EQ(expected_share(0.5, 10000), 0.5);
  EXPECT_EQ(expected_share(0.5, 0), 0.5);
  EXPECT_EQ(expected_share(0, 100), 0.5);
}

// At 0.5 points of 150 samples three or more change by chance in 4 of 100 cases, two or more in 17.
TEST(TunePromise, AgreementBreaksByMoreThanChance) {
  const auto said = [](int64_t changed) {
    return broken_promise(drop(0.5, Lost::kAgreement),
                          with(150, {.agreement = 1 - static_cast<double>(changed) / 150}));
  };
  EXPECT_FALSE(said(2));
  ASSERT_TRUE(said(3));
  EXPECT_THAT(*said(5), HasSubstr("3.33 points (5 answers)"));
  EXPECT_THAT(*said(5), HasSubstr("at most 0.5 points of agreement lost"));
}

// 4 of 100 lost in all where 6 of 100 change: the error of the 4 points is sqrt(0.06 - 0.0016) / 10 = 2.4 points.
TEST(TunePromise, LostHitsBreakByMoreThanChance) {
  const validate::OutputComparison output{.agreement = 0.94, .accuracy = {{.top1_float = 0.8, .top1_quantized = 0.76}}};
  EXPECT_FALSE(broken_promise(drop(0.5, Lost::kTop1), with(100, output)));
  EXPECT_TRUE(broken_promise(drop(0.5, Lost::kTop1), with(1000, output)));
  // Without labels for the evaluation nothing is known of hits.
  EXPECT_FALSE(broken_promise(drop(0.5, Lost::kTop1), with(1000, {.agreement = 0.5})));
}

TEST(TunePromise, CosineAndSqnrBreakAtAll) {
  validate::OutputComparison output;
  output.metrics = {.sqnr_db = 29.9, .cosine = 0.994};
  EXPECT_TRUE(broken_promise(drop(0.5, Lost::kCosine), with(10, output)));
  EXPECT_FALSE(broken_promise(drop(0.7, Lost::kCosine), with(10, output)));
  const auto at_least = [&](double decibels) {
    return broken_promise({.limit = tune::Limit::kSqnr, .value = decibels}, with(10, output));
  };
  EXPECT_FALSE(at_least(29.9));
  ASSERT_TRUE(at_least(30));
  EXPECT_THAT(*at_least(30), HasSubstr("29.90 dB"));
  EXPECT_FALSE(broken_promise({.limit = tune::Limit::kBytes, .value = 0.1}, with(10, output)));
}

}  // namespace
}  // namespace narrow::apps
