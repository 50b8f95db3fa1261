#include "lib/recover/equalize.h"

#include <gtest/gtest.h>

#include <cmath>

#include "lib/exec/float_program.h"
#include "lib/graph/graph_index.h"
#include "lib/io/load.h"
#include "lib/recover/channel_statistics.h"
#include "tests/support/model_text.h"

namespace narrow::recover {
namespace {

// Two channels of very different size between a pointwise and a depthwise convolution, clipped at 6.
graph::Model clipped_model() {
  graph::Model model = test::graph_from_text(R"(g (float[1,1,2,2] x) => (float[1,2,2,2] y)
    <float[2,1,1,1] v = {6, 0.25}, float[2] b = {0.0, 0.125}, float[2,1,1,1] w = {1.0, 8.0}, float low = {0}, float high = {6}> {
      [pointwise] a = Conv (x, v, b)
      c = Clip (a, low, high)
      [depthwise] y = Conv <group: int = 2> (c, w) })");
  io::infer_shapes(model);
  return model;
}

Tensor run(const graph::Model& model, const Tensor& x) {
  Workspace workspace;
  return exec::compile_float(model).run({{"x", x}}, workspace)[0];
}

Tensor constant(const graph::Model& model, const std::string& name) {
  return model.tensor(*graph::GraphIndex(model.graph()).initializer(name));
}

/// Statistics of channels with these maxima in every sample, a quarter of whose squares is the mean.
ValueChannels channels(const std::map<std::string, std::vector<double>>& maxima) {
  ValueChannels seen;
  for (const auto& [value, most] : maxima) {
    seen[value].maxima = most;
    seen[value].spreads.assign(most.size(), 0);
    for (const double x : most) seen[value].squares.push_back(x * x / 4);
  }
  return seen;
}

const Tensor kInput = Tensor::of<float>({1, 1, 2, 2}, {-1, 0, 0.5, 1});

TEST(Equalize, DepthwiseChannelsGetTheFullFactorUpToTheClip) {
  const graph::Model model = clipped_model();
  const Samples samples{.count = 1, .read = [](int64_t) { return exec::Feed{{"x", kInput}}; }};
  const ValueChannels seen = observe_channels(model, samples, ChannelClasses(model).values(), 2);
  EXPECT_EQ(seen.at("c").maxima, (std::vector<double>{6, 0.375}));
  EXPECT_EQ(seen.at("c").spreads, (std::vector<double>{0, 0}));
  EXPECT_DOUBLE_EQ(seen.at("c").squares[0], (9 + 36) / 4.0);
  const EqualizeResult result = equalize(model, seen, {});
  EXPECT_EQ(result.channels, 1);
  EXPECT_DOUBLE_EQ(result.largest, 16);  // 6 / 0.375
  EXPECT_FLOAT_EQ(constant(result.model, "v").data<float>()[1], 4);
  EXPECT_FLOAT_EQ(constant(result.model, "b").data<float>()[1], 2);
  EXPECT_FLOAT_EQ(constant(result.model, "w").data<float>()[1], 0.5);
  EXPECT_FLOAT_EQ(constant(result.model, "v").data<float>()[0], 6);
  const Tensor before = run(model, kInput);
  const Tensor after = run(result.model, kInput);
  for (size_t i = 0; i < 8; ++i) EXPECT_FLOAT_EQ(before.data<float>()[i], after.data<float>()[i]);
}

TEST(Equalize, ChannelsOfALayerThatIsHeldStay) {
  const graph::Model model = clipped_model();
  const ValueChannels seen = channels({{"a", {6, 0.375}}, {"c", {6, 0.375}}});
  EXPECT_EQ(equalize(model, seen, {}).channels, 1);
  for (const onnx::NodeProto& node : model.graph().node()) {
    if (node.op_type() != "Conv") continue;
    EXPECT_EQ(equalize(model, seen, {.untouched = {node.name()}}).channels, 0) << "on either side: " << node.name();
  }
}

// Whose bias all outputs share.
TEST(Equalize, OneNumberForAllOutputsTakesNoFactors) {
  for (const bool shared : {true, false}) {
    const std::string bias = shared ? "float[1] b = {1}" : "float[2] b = {1, 1}";
    graph::Model model = test::graph_from_text("g (float[1,2] x) => (float[1,2] y) <float[2,2] v = {1, 0, 0, 0.01}, " +
                                               bias + ", float[2,2] w = {1, 0, 0, 1}> " +
                                               "{ a = Gemm (x, v, b) c = Relu (a) y = Gemm (c, w) }");
    io::infer_shapes(model);
    const EqualizeResult result = equalize(model, channels({{"a", {6, 0.1}}, {"c", {6, 0.1}}}), {});
    EXPECT_EQ(result.channels, shared ? 0 : 1) << bias;
  }
}

TEST(Equalize, AClipThatAChannelReachesIsNotMoved) {
  const graph::Model model = clipped_model();
  // Before the clip the small channel reached 7: scaled, it would be clipped elsewhere.
  const EqualizeResult result = equalize(model, channels({{"a", {12, 7}}, {"c", {6, 6}}}), {});
  EXPECT_EQ(result.channels, 0);
  EXPECT_EQ(result.largest, 1);
}

constexpr const char* kReluModel = R"(g (float[1,1,2,2] x) => (float[1,1,2,2] y)
    <float[2,1,1,1] v = {4, 1}, float[1,2,1,1] w = {1.0, 1.0}> {
      a = Conv (x, v)
      c = Relu (a)
      y = Conv (c, w) })";

TEST(Equalize, MixedChannelsBalanceTheNoiseOfBothSides) {
  graph::Model model = test::graph_from_text(kReluModel);
  io::infer_shapes(model);
  const ValueChannels seen = channels({{"a", {4, 1}}, {"c", {4, 1}}});
  // Channel 1: activation noise w^2 (4/255)^2, weight noise (2/255)^2 E[c^2] with E[c^2] = 1/4: the fourth root of
  // their ratio, 16 / weight_noise.
  EXPECT_NEAR(equalize(model, seen, {.weight_noise = 1}).largest, 2, 1e-9);
  EXPECT_NEAR(equalize(model, seen, {.weight_noise = 0.25}).largest, std::sqrt(8), 1e-9);
  EXPECT_NEAR(equalize(model, seen, {.weight_noise = 0}).largest, 4, 1e-9);  // the widest channel's range
  EXPECT_EQ(equalize(model, seen, {.weight_noise = 16}).channels, 0);
  const EqualizeResult half = equalize(model, seen, {.weight_noise = 1});
  EXPECT_FLOAT_EQ(constant(half.model, "w").data<float>()[1], 0.5);
  EXPECT_FLOAT_EQ(run(half.model, kInput).data<float>()[3], 5);
}

TEST(Equalize, ChannelsKeepRoomForWhatFewSamplesDoNotShow) {
  graph::Model model = test::graph_from_text(kReluModel);
  io::infer_shapes(model);
  ValueChannels seen = channels({{"a", {4, 1}}, {"c", {4, 1}}});
  seen["c"].spreads = {1, 0.25};
  // 4 / (1 + ln(4) * sqrt(6) / pi * 0.25)
  EXPECT_NEAR(equalize(model, seen, {.weight_noise = 0}).largest, 3.149, 1e-3);
  // What these samples never show may be anything.
  seen = channels({{"a", {4, 0}}, {"c", {4, 0}}});
  EXPECT_EQ(equalize(model, seen, {.weight_noise = 0}).channels, 0);
  // One that would reach the other's range anyway stays.
  seen = channels({{"a", {4, 3}}, {"c", {4, 3}}});
  seen["c"].spreads = {0, 1};
  EXPECT_EQ(equalize(model, seen, {.weight_noise = 0}).channels, 0);
}

// The Add's sum is twice as wide as what the first layer hands over: each value limits a channel by its own range.
TEST(Equalize, ChannelsOfSeveralValuesAreScaledWithinEachOne) {
  graph::Model model = test::graph_from_text(R"(g (float[1,1,2,2] x) => (float[1,1,2,2] y)
    <float[2,1,1,1] v = {1, 0.25}, float[2,1,1,1] u = {7, 1}, float[1,2,1,1] w = {1.0, 1.0}> {
      a = Conv (x, v)
      b = Conv (x, u)
      c = Add (a, b)
      y = Conv (c, w) })");
  io::infer_shapes(model);
  const ValueChannels seen = channels({{"a", {1, 0.25}}, {"b", {7, 1}}, {"c", {8, 1.25}}});
  EXPECT_NEAR(equalize(model, seen, {.weight_noise = 0}).largest, 4, 1e-9);  // of 4, 7 and 6.4
}

TEST(Equalize, EqualChannelsStayAsTheyAre) {
  const graph::Model model = clipped_model();
  const EqualizeResult result = equalize(model, channels({{"a", {3, 3}}, {"c", {3, 3}}}), {.weight_noise = 0});
  EXPECT_EQ(result.channels, 0);
  EXPECT_EQ(constant(result.model, "w").data<float>()[1], 8);
}

}  // namespace
}  // namespace narrow::recover
