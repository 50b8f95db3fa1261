#include "apps/judge.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "tests/support/model_text.h"

namespace narrow::apps {
namespace {

using testing::DoubleNear;

/// Sample 0 is 1, sample 1 is 100.
class TwoSamples : public calib::DataReader {
 public:
  int64_t size() const override { return 2; }
  int64_t samples() const override { return 2; }
  std::string source(int64_t) const override { return ""; }
  std::vector<std::filesystem::path> files() const override { return {}; }
  exec::Feed read(int64_t index) const override {
    return {{"x", Tensor::of<float>({1, 1}, {index == 0 ? 1.0F : 100.0F})}};
  }
};

graph::Model adding(const std::string& number) {
  return test::graph_from_text("g (float[1,1] x) => (float[1,1] y) <float c = {" + number + "}> { y = Add (x, c) }");
}

// An error of 0.1 is 20 dB below 1 and 60 dB below 100.
TEST(Judge, JudgesEachSample) {
  const TwoSamples data;
  const Judge judge(adding("0"), data, {0, 1}, 2);
  EXPECT_THAT(judge.judge(adding("0.1")).sqnr_db, testing::ElementsAre(DoubleNear(20, 0.01), DoubleNear(60, 0.01)));
}

TEST(Judge, OutputsThatAreKnownAreNotComputedAgain) {
  const TwoSamples data;
  const Judge judge({{Tensor::of<float>({1, 1}, {1.0F})}, {Tensor::of<float>({1, 1}, {100.0F})}}, data, {0, 1}, 1);
  EXPECT_THAT(judge.judge(adding("0.1")).sqnr_db, testing::ElementsAre(DoubleNear(20, 0.01), DoubleNear(60, 0.01)));
}

// Differences 1, 3 and 5: mean 3, deviation 2, and of the mean 2 / sqrt(3).
TEST(Judge, ALeadHasTheStandardErrorOfItsMean) {
  const Lead lead = lead_of({11, 13, 20}, {10, 10, 15});
  EXPECT_NEAR(lead.mean, 3, 1e-12);
  EXPECT_NEAR(lead.error, 2 / std::sqrt(3.0), 1e-12);
  EXPECT_TRUE(std::isinf(lead_of({7}, {5}).error));
}

/// Error 1 on the sample of 100 and none on the other, or 0.01 on both: 40 dB and 77 dB in all, 70 and 60 in the mean.
TEST(Judge, AFewSamplesDecideWhatIsPooled) {
  const auto judged = [](const std::vector<std::pair<float, float>>& samples) {
    Judged result;
    for (const auto& [x, error] : samples) {
      ErrorStatistics statistics;
      const std::vector<float> a{x};
      const std::vector<float> b{x + error};
      statistics.add(a, b);
      result.outputs.push_back({statistics});
    }
    return result;
  };
  EXPECT_NEAR(pooled_lead(judged({{1, 0}, {100, 1}}), judged({{1, 0.01F}, {100, 0.01F}})), 40 - 77, 0.1);
}

TEST(Judge, SamplesOfWhichNothingCanBeComparedAreLeftOut) {
  const double none = std::numeric_limits<double>::quiet_NaN();
  EXPECT_EQ(mean_of({10, none, 20}), 15);
  EXPECT_EQ(lead_of({10, none, 20, 30}, {9, 5, none, 27}).mean, 2);
  EXPECT_EQ(lead_of({none}, {1}).mean, 0);
}

}  // namespace
}  // namespace narrow::apps
