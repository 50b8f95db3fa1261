#include "lib/recover/equalize.h"

#include <gtest/gtest.h>

#include "lib/exec/float_program.h"
#include "lib/graph/graph_index.h"
#include "lib/io/load.h"
#include "lib/recover/channel_maxima.h"
#include "tests/support/model_text.h"

namespace narrow::recover {
namespace {

// Two channels of very different size between a pointwise and a depthwise convolution, clipped at 6.
graph::Model clipped_model() {
  graph::Model model = test::graph_from_text(R"(g (float[1,1,2,2] x) => (float[1,2,2,2] y)
    <float[2,1,1,1] v = {6, 0.25}, float[2] b = {0.0, 0.125}, float[2,1,1,1] w = {1.0, 8.0}, float low = {0}, float high = {6}> {
      a = Conv (x, v, b)
      c = Clip (a, low, high)
      y = Conv <group: int = 2> (c, w) })");
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

const Tensor kInput = Tensor::of<float>({1, 1, 2, 2}, {-1, 0, 0.5, 1});

TEST(Equalize, DepthwiseChannelsGetTheFullFactorUpToTheClip) {
  const graph::Model model = clipped_model();
  const Samples samples{.count = 1, .read = [](int64_t) { return exec::Feed{{"x", kInput}}; }};
  const ChannelMaxima maxima = observe_channels(model, samples, ChannelClasses(model).values(), 2);
  EXPECT_EQ(maxima.at("c"), (std::vector<float>{6, 0.375F}));
  const EqualizeResult result = equalize(model, maxima, {});
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

TEST(Equalize, AClipThatAChannelReachesIsNotMoved) {
  const graph::Model model = clipped_model();
  // Before the clip the small channel reached 7: scaled, it would be clipped elsewhere.
  const EqualizeResult result = equalize(model, {{"a", {12, 7}}, {"c", {6, 6}}}, {});
  EXPECT_EQ(result.channels, 0);
  EXPECT_EQ(result.largest, 1);
}

TEST(Equalize, MixedChannelsGetWhatTheStrengthSays) {
  graph::Model model = test::graph_from_text(R"(g (float[1,1,2,2] x) => (float[1,1,2,2] y)
    <float[2,1,1,1] v = {4, 1}, float[1,2,1,1] w = {1.0, 1.0}> {
      a = Conv (x, v)
      c = Relu (a)
      y = Conv (c, w) })");
  io::infer_shapes(model);
  const ChannelMaxima maxima{{"a", {4, 1}}, {"c", {4, 1}}};
  EXPECT_EQ(equalize(model, maxima, {.mixed_strength = 0}).channels, 0);
  const EqualizeResult half = equalize(model, maxima, {.mixed_strength = 0.5});
  EXPECT_DOUBLE_EQ(half.largest, 2);
  EXPECT_FLOAT_EQ(constant(half.model, "w").data<float>()[1], 0.5);
  EXPECT_FLOAT_EQ(run(half.model, kInput).data<float>()[3], 5);
}

TEST(Equalize, EqualChannelsStayAsTheyAre) {
  const graph::Model model = clipped_model();
  const EqualizeResult result = equalize(model, {{"a", {3, 3}}, {"c", {3, 3}}}, {.mixed_strength = 1});
  EXPECT_EQ(result.channels, 0);
  EXPECT_EQ(constant(result.model, "w").data<float>()[1], 8);
}

}  // namespace
}  // namespace narrow::recover
