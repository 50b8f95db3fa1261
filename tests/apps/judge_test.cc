#include "apps/judge.h"

#include <gtest/gtest.h>

#include "tests/support/model_text.h"

namespace narrow::apps {
namespace {

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

// An error of 0.1 is 20 dB below 1 and 60 dB below 100. Of all energy together it would be 57 dB.
TEST(Judge, TakesTheMeanOfTheSamples) {
  const TwoSamples data;
  const Judge judge(adding("0"), data, {0, 1}, 2);
  EXPECT_NEAR(judge.sqnr_db(adding("0.1")), 40, 0.01);
}

TEST(Judge, OutputsThatAreKnownAreNotComputedAgain) {
  const TwoSamples data;
  const Judge judge({{Tensor::of<float>({1, 1}, {1.0F})}, {Tensor::of<float>({1, 1}, {100.0F})}}, data, {0, 1}, 1);
  EXPECT_NEAR(judge.sqnr_db(adding("0.1")), 40, 0.01);
}

}  // namespace
}  // namespace narrow::apps
