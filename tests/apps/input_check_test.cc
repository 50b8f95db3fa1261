// Doubts about the data: not what the model was trained with, or too little of it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "lib/base/json.h"
#include "lib/io/load.h"
#include "tests/apps/program.h"
#include "tests/support/model_text.h"

namespace narrow::test {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

/// 16 samples of 1 x 4 x 4 that run through [0, 1) times a factor of each.
template <class Factor>
std::string samples(Factor factor) {
  std::string elements;
  for (int i = 0; i < 16 * 16; ++i) {
    const float x = static_cast<float>(i * 37 % 256) / 256 * factor(i / 16);
    elements.append(reinterpret_cast<const char*>(&x), sizeof(x));
  }
  return npy("<f4", "16, 1, 4, 4", elements);
}

class InputCheckTest : public testing::Test {
 protected:
  Json report(const std::string& graph, const std::string& data) {
    io::save_model(graph_from_text(graph), folder_.path("m.onnx"));
    const Outcome outcome =
        run_narrow("quantize " + folder_.path("m.onnx") + " --data " + folder_.write("x.npy", data) +
                   " --recovery none --no-speed --quiet --format json -o " + folder_.path("q.onnx"));
    EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
    return parse_json(outcome.out, "stdout");
  }

  std::vector<std::string> warnings(const std::string& graph, const std::string& data) {
    return report(graph, data)["warnings"].get<std::vector<std::string>>();
  }

  TemporaryFolder folder_;
};

const std::string kNormalized = R"(g (float[N,1,4,4] x) => (float[N,1,4,4] y)
  <float[1,1,1,1] w = {2}, float[1] scale = {1}, float[1] shift = {0}, float[1] mean = {1}, float[1] var = {0.5}> {
    c = Conv (x, w)
    y = BatchNormalization (c, scale, shift, mean, var) })";

TEST_F(InputCheckTest, PixelsInPlaceOfNormalizedValuesShowInTheStatistics) {
  EXPECT_THAT(warnings(kNormalized, samples([](int) { return 1.0F; })), IsEmpty());
  EXPECT_THAT(warnings(kNormalized, samples([](int) { return 255.0F; })),
              ElementsAre(testing::AllOf(HasSubstr("input 'x' has values from 0 to 2"),
                                         HasSubstr("the first BatchNormalization is 2"))));
  EXPECT_THAT(warnings(kNormalized, samples([](int) { return 0.01F; })),
              ElementsAre(HasSubstr("times as large as in its training: check its scale, mean and std")));
}

/// A mean like the training's hides in the power that the values hardly vary.
TEST_F(InputCheckTest, ScaledValuesShowInTheVariance) {
  const std::string shifted = R"(g (float[N,1,4,4] x) => (float[N,1,4,4] y)
    <float[1,1,1,1] w = {2}, float[1] scale = {1}, float[1] shift = {0}, float[1] mean = {1}, float[1] var = {10}> {
      c = Conv (x, w)
      y = BatchNormalization (c, scale, shift, mean, var) })";
  EXPECT_THAT(warnings(shifted, samples([](int) { return 1.0F; })),
              ElementsAre(HasSubstr("the first BatchNormalization varies 0.18")));
  EXPECT_THAT(warnings(shifted, samples([](int) { return 3.0F; })), IsEmpty());
}

TEST_F(InputCheckTest, ASampleFarBeyondAllOthersIsNamed) {
  const std::string graph =
      R"(g (float[N,1,4,4] x) => (float[N,1,4,4] y) <float[1,1,1,1] w = {2}> { y = Conv (x, w) })";
  EXPECT_THAT(warnings(graph, samples([](int i) { return i == 5 ? -1e30F : 1.0F; })),
              Contains(HasSubstr("input 'x': sample 5 has -9.9")));
  EXPECT_THAT(warnings(graph, samples([](int i) { return i == 15 ? 3000.0F : 1.0F; })),
              Contains(testing::AllOf(HasSubstr("sample 15 has"), HasSubstr("goes beyond 0.99"))));
  const auto beyond = Contains(HasSubstr("no other calibration sample"));
  // Loud and quiet, and nothing but silence in most.
  EXPECT_THAT(warnings(graph, samples([](int i) { return std::pow(10.0F, static_cast<float>(i) / 2); })), Not(beyond));
  EXPECT_THAT(warnings(graph, samples([](int i) { return i == 5 ? 1.0F : 0.0F; })),
              Not(Contains(HasSubstr("sample 5"))));
  EXPECT_THAT(warnings(graph, samples([](int i) { return i == 5 ? 500.0F : 1.0F; })), Not(beyond));
}

TEST_F(InputCheckTest, FlatSamplesTellLittle) {
  std::string elements;
  for (int i = 0; i < 16 * 16; ++i) {
    const float x = static_cast<float>(i / 16) / 16;
    elements.append(reinterpret_cast<const char*>(&x), sizeof(x));
  }
  EXPECT_THAT(warnings(kNormalized, npy("<f4", "16, 1, 4, 4", elements)),
              Contains(HasSubstr("of 8 samples of input 'x' that were looked at, 8 hold a single number")));
}

TEST_F(InputCheckTest, PixelsDrownTheBiasThatFoldingLeft) {
  const std::string folded = R"(g (float[N,1,4,4] x) => (float[N,1,4,4] y)
    <float[1,1,1,1] w = {2}, float[1] b = {-0.75}> { y = Conv (x, w, b) })";
  EXPECT_THAT(warnings(folded, samples([](int) { return 1.0F; })), IsEmpty());
  EXPECT_THAT(warnings(folded, samples([](int) { return 255.0F; })), ElementsAre(HasSubstr("where its bias is 0.75")));
}

TEST_F(InputCheckTest, RangesThatMoveBetweenTheHalves) {
  const Json steady = report(kNormalized, samples([](int) { return 1.0F; }));
  EXPECT_THAT(steady["notes"].get<std::vector<std::string>>(),
              Contains(HasSubstr("half of the 16 calibration samples differ by")));
  EXPECT_THAT(warnings(kNormalized, samples([](int sample) { return sample % 2 == 0 ? 0.5F : 1.0F; })),
              Contains(HasSubstr("give more samples")));
}

}  // namespace
}  // namespace narrow::test
