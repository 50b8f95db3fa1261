#include "lib/tune/judge.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/support/model_text.h"

namespace narrow::tune {
namespace {

/// Sample 0 is (1, 1), sample 1 is (100, 100).
validate::Samples two_samples() {
  return {.count = 2,
          .read =
              [](int64_t index) {
                const float x = index == 0 ? 1.0F : 100.0F;
                return exec::Feed{{"x", Tensor::of<float>({1, 2}, {x, x})}};
              },
          .labels = {}};
}

graph::Model made_by(const std::string& node, const std::string& constants) {
  return test::graph_from_text("g (float[1,2] x) => (float[1,2] y) <float[2] c = {" + constants + "}> { y = " + node +
                               " (x, c) }");
}

// An error of 0.1 is 20 dB below 1, 60 dB below 100, 57 below both: without sample 0 it is 3.01 dB more, without sample
// 1 more than 10 less, which counts as 10. Two such differences have the jackknife's error of half their distance.
TEST(TuneJudge, SqnrHasItsErrorOverTheSamples) {
  const Judge judge(made_by("Add", "0, 0"), two_samples(), 2);
  const Quality quality = judge.measure(made_by("Add", "0.1, 0.1"));
  const double all = 10 * std::log10(10001 / 0.02);
  EXPECT_NEAR(quality.sqnr_db, all, 1e-3);
  EXPECT_NEAR(quality.sqnr_error, (60 - all + 10) / 2, 1e-3);
  EXPECT_EQ(judge.measure(made_by("Add", "0, 0")).sqnr_error, 0);
}

// Turned by an angle whose cosine is c, both samples: no error over the samples. Only one turned: other data may be
// worse.
TEST(TuneJudge, CosineMayFallFurtherOnOtherSamples) {
  const Judge judge(made_by("Mul", "1, 1"), two_samples(), 2);
  const Quality both = judge.measure(made_by("Mul", "1.1, 0.9"));
  const double cosine = 2 / std::sqrt(2 * (1.21 + 0.81));
  EXPECT_NEAR(both.drop, 100 * (1 - cosine), 1e-4);
  EXPECT_NEAR(both.most_drop, both.drop, 1e-4);
  const Quality one = judge.measure(made_by("Add", "1, -1"));
  EXPECT_GT(one.most_drop, 1.5 * one.drop);
}

TEST(TuneJudge, WhatIsNotFiniteHasLostAll) {
  const Judge judge(made_by("Add", "1, 1"), two_samples(), 2);
  EXPECT_EQ(judge.measure(made_by("Div", "0, 0")).drop, 100);
}

}  // namespace
}  // namespace narrow::tune
