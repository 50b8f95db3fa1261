#include "lib/recover/absorb.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "lib/exec/float_program.h"
#include "lib/graph/graph_index.h"
#include "lib/io/load.h"
#include "tests/support/model_text.h"

namespace narrow::recover {
namespace {

constexpr int64_t kSamples = 4;

Tensor sample(int64_t index) {
  std::vector<float> values;
  for (int i = 0; i < 8; ++i) values.push_back(std::sin(static_cast<float>(index * 8 + i)));
  return Tensor::of<float>({1, 2, 2, 2}, std::span<const float>(values));
}

graph::Model model_of(const std::string& text) {
  graph::Model model = test::graph_from_text(text);
  io::infer_shapes(model);
  return model;
}

ValueChannels seen_in(const graph::Model& model) {
  const Samples samples{.count = kSamples, .read = [](int64_t index) { return exec::Feed{{"x", sample(index)}}; }};
  return observe_channels(model, samples, absorbable_values(model), 2);
}

Tensor run(const graph::Model& model, int64_t index) {
  Workspace workspace;
  return exec::compile_float(model).run({{"x", sample(index)}}, workspace)[0];
}

Tensor constant(const graph::Model& model, const std::string& name) {
  return model.tensor(*graph::GraphIndex(model.graph()).initializer(name));
}

void expect_same_outputs(const graph::Model& a, const graph::Model& b) {
  for (int64_t index = 0; index < kSamples; ++index) {
    const Tensor before = run(a, index);
    const Tensor after = run(b, index);
    ASSERT_EQ(before.size(), after.size());
    for (int64_t i = 0; i < before.size(); ++i) {
      const auto at = static_cast<size_t>(i);
      EXPECT_NEAR(before.data<float>()[at], after.data<float>()[at], 1e-5) << "sample " << index << ", element " << i;
    }
  }
}

double range(const ChannelStatistics& statistics) {
  return *std::max_element(statistics.highs.begin(), statistics.highs.end()) -
         *std::min_element(statistics.lows.begin(), statistics.lows.end());
}

// Channels of equal width around 10 and -6: around 0 they share a range that is not a tenth of it.
TEST(Absorb, ChannelsThatNothingClampsComeToLieAroundZero) {
  const graph::Model model = model_of(R"(g (float[1,2,2,2] x) => (float[1,1,2,2] y)
    <float[2,2,1,1] v = {0.5, 0, 0, 0.5}, float[2] b = {10, -6}, float[1,2,1,1] w = {2, 3}> {
      [first] a = Conv (x, v, b)
      [second] y = Conv (a, w) })");
  EXPECT_EQ(absorbable_values(model), std::vector<std::string>{"a"});
  const ValueChannels seen = seen_in(model);
  const AbsorbResult result = absorb(model, seen, {});
  EXPECT_EQ(result.values, 1);
  EXPECT_LT(range(seen_in(result.model).at("a")), 0.1 * range(seen.at("a")));
  EXPECT_NEAR(constant(result.model, "b").data<float>()[0], 0, 0.5);
  EXPECT_NEAR(constant(result.model, "b").data<float>()[1], 0, 0.5);
  expect_same_outputs(model, result.model);
}

// Behind a Relu the first channel never falls below 9.5; the second does not stay above 0.
TEST(Absorb, BehindAReluTheFloorAloneGoes) {
  const graph::Model model = model_of(R"(g (float[1,2,2,2] x) => (float[1,1,2,2] y)
    <float[2,2,1,1] v = {0.5, 0, 0, 0.5}, float[2] b = {10, 0.1}, float[1,2,1,1] w = {2, 3}, float[1] c = {1}> {
      a = Conv (x, v, b)
      r = Relu (a)
      y = Conv (r, w, c) })");
  const ValueChannels seen = seen_in(model);
  const AbsorbResult result = absorb(model, seen, {});
  EXPECT_EQ(result.values, 1);
  const double floor = 10 - constant(result.model, "b").data<float>()[0];
  EXPECT_GT(floor, 8);
  EXPECT_LT(floor, seen.at("r").lows[0]) << "other data may fall below what a few samples show";
  EXPECT_FLOAT_EQ(constant(result.model, "b").data<float>()[1], 0.1F);
  EXPECT_NEAR(constant(result.model, "c").data<float>()[0], 1 + 2 * floor, 1e-5);
  expect_same_outputs(model, result.model);
}

// As inverted residuals have them: the sum takes the shifts of both parts.
TEST(Absorb, SumsShiftWithTheirParts) {
  const graph::Model model = model_of(R"(g (float[1,2,2,2] x) => (float[1,1,2,2] y)
    <float[2,2,1,1] v = {1, 0, 0, 1}, float[2] b = {5, -5}, float[2,2,1,1] u = {0, 1, 1, 0}, float[2] d = {3, 4},
     float[1,2,1,1] w = {2, 3}> {
      a = Conv (x, v, b)
      p = Conv (a, u, d)
      s = Add (a, p)
      y = Conv (s, w) })");
  EXPECT_EQ(absorbable_values(model), (std::vector<std::string>{"a", "p", "s"}));
  const ValueChannels seen = seen_in(model);
  const AbsorbResult result = absorb(model, seen, {});
  const ValueChannels after = seen_in(result.model);
  EXPECT_LT(range(after.at("a")), 0.5 * range(seen.at("a")));
  EXPECT_LT(range(after.at("s")), 0.7 * range(seen.at("s")));
  EXPECT_LE(range(after.at("p")), range(seen.at("p")) * (1 + 1e-6));
  expect_same_outputs(model, result.model);
}

// What a Relu cuts has no middle: on one side or on both.
TEST(Absorb, SumsOfWhatAReluCutsStay) {
  for (const std::string body :
       {"a = Conv (x, v, b) r = Relu (a) p = Conv (r, u, d) s = Add (r, p) y = Conv (s, w)",
        "a = Conv (x, v, b) r = Relu (a) p = Conv (x, u, d) q = Relu (p) s = Add (r, q) y = Conv (s, w)",
        "a = Conv (x, v, b) p = Conv (x, u, d) q = Relu (p) s = Add (a, q) y = Conv (s, w)"}) {
    const graph::Model model = model_of(R"(g (float[1,2,2,2] x) => (float[1,1,2,2] y)
      <float[2,2,1,1] v = {1, 0, 0, 1}, float[2] b = {5, -5}, float[2,2,1,1] u = {0, 1, 1, 0}, float[2] d = {3, 4},
       float[1,2,1,1] w = {2, 3}> { )" + body +
                                        " }");
    expect_same_outputs(model, absorb(model, seen_in(model), {}).model);
  }
}

TEST(Absorb, GroupsAndTransposedMatricesTakeShiftsBack) {
  const graph::Model grouped = model_of(R"(g (float[1,2,2,2] x) => (float[1,4,2,2] y)
    <float[2,2,1,1] v = {0.5, 0, 0, 0.5}, float[2] b = {10, -6}, float[4,1,1,1] w = {2, 3, 4, 5}> {
      a = Conv (x, v, b)
      y = Conv <group: int = 2> (a, w) })");
  const AbsorbResult result = absorb(grouped, seen_in(grouped), {});
  EXPECT_EQ(result.values, 1);
  expect_same_outputs(grouped, result.model);
  const graph::Model products = model_of(R"(g (float[1,2,2,2] x) => (float[1,3] y)
    <float[2,8] v = {0.5, 0, 0.1, 0, 0.2, 0, 0, 0.5, 0, 0.5, 0.3, 0, 0, 0.2, 0.4, 0}, float[2] b = {10, -6},
     float[3,2] w = {2, 3, 4, 5, 6, 7}> {
      f = Flatten (x)
      a = Gemm <transB: int = 1> (f, v, b)
      y = Gemm <transB: int = 1> (a, w) })");
  const AbsorbResult product = absorb(products, seen_in(products), {});
  EXPECT_EQ(product.values, 1);
  expect_same_outputs(products, product.model);
}

TEST(Absorb, ASumThatNeverRanKeepsItsParts) {
  const graph::Model model = model_of(R"(g (float[1,2,2,2] x) => (float[1,1,2,2] y)
    <float[2,2,1,1] v = {1, 0, 0, 1}, float[2] b = {5, -5}, float[1,2,1,1] w = {2, 3}> {
      a = Conv (x, v, b)
      p = Conv (x, v, b)
      s = Add (a, p)
      y = Conv (s, w) })");
  ValueChannels seen = seen_in(model);
  seen.erase("s");
  EXPECT_EQ(absorb(model, seen, {}).values, 0);
}

TEST(Absorb, WhatCanNotTakeAShiftBackStays) {
  // Padding, another reader, a square, a Clip's upper bound that the data reach.
  for (const std::string body : {"a = Conv (x, v, b) y = Conv <pads: ints = [1, 1, 1, 1]> (a, w)",
                                 "a = Conv (x, v, b) t = Tanh (a) s = Conv (a, w) q = Conv (t, k) y = Add (s, q)",
                                 "t = Conv (x, v, b) a = Mul (t, t) y = Conv (a, w)",
                                 "a = Conv (x, v, b) c = Clip (a, low, high) y = Conv (c, w)"}) {
    const graph::Model model = model_of(R"(g (float[1,2,2,2] x) => (float[1,1,N,M] y)
      <float[2,2,1,1] v = {0.5, 0, 0, 0.5}, float[2] b = {10, 6}, float[1,2,1,1] w = {2, 3}, float[1,2,1,1] k = {2, 3},
       float low = {0}, float high = {3}> { )" +
                                        body + " }");
    const AbsorbResult result = absorb(model, seen_in(model), {});
    EXPECT_EQ(result.values, 0) << body;
    EXPECT_EQ(constant(result.model, "b").data<float>()[0], 10) << body;
  }
}

TEST(Absorb, NothingToGainChangesNothing) {
  const graph::Model model = model_of(R"(g (float[1,2,2,2] x) => (float[1,1,2,2] y)
    <float[2,2,1,1] v = {1, 0, 0, 0.1}, float[1,2,1,1] w = {2, 3}> {
      a = Conv (x, v)
      y = Conv (a, w) })");
  // The first channel is the range and lies around 0: sin takes both signs alike.
  ValueChannels seen = seen_in(model);
  seen.at("a").lows = {-1, 0.05};
  seen.at("a").highs = {1, 0.1};
  const AbsorbResult result = absorb(model, seen, {});
  EXPECT_EQ(result.values, 0);
  EXPECT_EQ(result.model.graph().SerializeAsString(), model.graph().SerializeAsString());
}

TEST(Absorb, HeldLayersStay) {
  const graph::Model model = model_of(R"(g (float[1,2,2,2] x) => (float[1,1,2,2] y)
    <float[2,2,1,1] v = {0.5, 0, 0, 0.5}, float[2] b = {10, -6}, float[1,2,1,1] w = {2, 3}> {
      [first] a = Conv (x, v, b)
      [second] y = Conv (a, w) })");
  const ValueChannels seen = seen_in(model);
  EXPECT_EQ(absorb(model, seen, {.untouched = {"first"}}).values, 0);
  EXPECT_EQ(absorb(model, seen, {.untouched = {"second"}}).values, 0);
}

}  // namespace
}  // namespace narrow::recover
