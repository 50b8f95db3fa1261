// Kernels whose meaning changed between opset versions, or whose formulas are easy to get wrong. Expected values by
// hand.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

#include "lib/base/error.h"
#include "tests/exec/run_model.h"

namespace narrow::exec {
namespace {

using ::testing::ElementsAre;
using ::testing::FloatNear;
using ::testing::Pointwise;

TEST(Softmax, FlattensBeforeOpset13) {
  const Feed feed{{"x", floats({1, 2, 2}, {0, 0, 0, 0})}};
  const std::string graph = "g (float[1,2,2] x) => (float[1,2,2] y) { y = Softmax <axis = 1> (x) }";
  EXPECT_THAT(values_of<float>(run_text(graph, feed, 11)[0]), ElementsAre(0.25F, 0.25F, 0.25F, 0.25F));
  EXPECT_THAT(values_of<float>(run_text(graph, feed, 13)[0]), ElementsAre(0.5F, 0.5F, 0.5F, 0.5F));
}

TEST(Clip, BoundsAreAttributesThenInputs) {
  const Feed feed{{"x", floats({3}, {-2, 0, 2})}};
  EXPECT_THAT(
      values_of<float>(run_text("g (float[3] x) => (float[3] y) { y = Clip <min = -1.0, max = 1.0> (x) }", feed, 6)[0]),
      ElementsAre(-1, 0, 1));
  EXPECT_THAT(
      values_of<float>(run_text("g (float[3] x) => (float[3] y) <float h = {1}> { y = Clip(x, , h) }", feed, 13)[0]),
      ElementsAre(-2, 0, 1));
}

TEST(Erf, IsTheErrorFunctionFromTinyToLarge) {
  Tensor x(DataType::kFloat32, {4001});
  for (int i = 0; i <= 4000; ++i) x.mutable_data<float>()[static_cast<size_t>(i)] = static_cast<float>(i - 2000) / 400;
  const Tensor y = run_text("g (float[4001] x) => (float[4001] y) { y = Erf (x) }", {{"x", x}})[0];
  for (size_t i = 0; i <= 4000; ++i) {
    const double wanted = std::erf(static_cast<double>(x.data<float>()[i]));
    EXPECT_NEAR(y.data<float>()[i], wanted, 5e-7 * std::abs(wanted)) << x.data<float>()[i];
  }
  const Feed ends{{"x", floats({4}, {INFINITY, -INFINITY, NAN, 1e-30F})}};
  const Tensor far = run_text("g (float[4] x) => (float[4] y) { y = Erf (x) }", ends)[0];
  EXPECT_EQ(far.data<float>()[0], 1);
  EXPECT_EQ(far.data<float>()[1], -1);
  EXPECT_TRUE(std::isnan(far.data<float>()[2]));
  EXPECT_NEAR(far.data<float>()[3], 1.1283792e-30F, 1e-36);
}

TEST(Add, BroadcastsFromAnAxisUpToOpset6) {
  const Feed feed{{"x", floats({1, 2, 2}, {1, 2, 3, 4})}, {"b", floats({2}, {10, 20})}};
  const auto sum = [&](const std::string& attributes) {
    const std::string graph =
        "g (float[1,2,2] x, float[2] b) => (float[1,2,2] y) { y = Add <" + attributes + "> (x, b) }";
    return values_of<float>(run_text(graph, feed, 6)[0]);
  };
  EXPECT_THAT(sum("broadcast = 1, axis = 1"), ElementsAre(11, 12, 23, 24));
  EXPECT_THAT(sum("broadcast = 1, axis = -2"), ElementsAre(11, 12, 23, 24));
  EXPECT_THAT(sum("broadcast = 1, axis = 2"), ElementsAre(11, 22, 13, 24));
  EXPECT_THAT(sum("broadcast = 1"), ElementsAre(11, 22, 13, 24));
  EXPECT_THROW(sum("broadcast = 1, axis = 3"), Error);
}

TEST(Slice, AttributesInputsAndNegativeSteps) {
  const Feed feed{{"x", floats({4}, {1, 2, 3, 4})}};
  EXPECT_THAT(values_of<float>(
                  run_text("g (float[4] x) => (float[N] y) { y = Slice <starts = [1], ends = [-1]> (x) }", feed, 9)[0]),
              ElementsAre(2, 3));
  EXPECT_THAT(values_of<float>(run_text(R"(g (float[4] x) => (float[N] y)
      <int64[1] s = {-1}, int64[1] e = {-100}, int64[1] a = {0}, int64[1] t = {-2}> { y = Slice(x, s, e, a, t) })",
                                        feed)[0]),
              ElementsAre(4, 2));
}

TEST(Pad, ModesOfBothForms) {
  const Feed feed{{"x", floats({3}, {1, 2, 3})}};
  EXPECT_THAT(values_of<float>(
                  run_text("g (float[3] x) => (float[N] y) { y = Pad <pads = [1, 2], value = 9.0> (x) }", feed, 10)[0]),
              ElementsAre(9, 1, 2, 3, 9, 9));
  const auto run = [&](const std::string& mode) {
    return values_of<float>(
        run_text("g (float[3] x) => (float[N] y) <int64[2] p = {2, 1}> { y = Pad <mode = \"" + mode + "\"> (x, p) }",
                 feed, 19)[0]);
  };
  EXPECT_THAT(run("reflect"), ElementsAre(3, 2, 1, 2, 3, 2));
  EXPECT_THAT(run("edge"), ElementsAre(1, 1, 1, 2, 3, 3));
  EXPECT_THAT(run("wrap"), ElementsAre(2, 3, 1, 2, 3, 1));
}

// Over axes before others, many columns at once.
TEST(Reduce, SumsAndMeansOfColumns) {
  const Tensor x = pseudo_random({3, 2, 5, 70}, 1);
  const Feed feed{{"x", x}};
  const auto reduced = [&](const std::string& node) {
    return run_text("g (float[3,2,5,70] x) => (float[A,B,C,D] y) <int64[2] a = {1, -2}> { y = " + node + " }", feed,
                    18)[0];
  };
  const Tensor sums = reduced("ReduceSum(x, a)");
  const Tensor means = reduced("ReduceMean(x, a)");
  ASSERT_EQ(sums.shape(), (Shape{3, 1, 1, 70}));
  for (size_t n = 0; n < 3; ++n) {
    for (size_t c = 0; c < 70; ++c) {
      double sum = 0;
      for (size_t row = 0; row < 10; ++row) sum += static_cast<double>(x.data<float>()[(n * 10 + row) * 70 + c]);
      EXPECT_EQ(sums.data<float>()[n * 70 + c], static_cast<float>(sum));
      EXPECT_EQ(means.data<float>()[n * 70 + c], static_cast<float>(sum / 10));
    }
  }
}

TEST(Reduce, AxesMovedToAnInput) {
  const Feed feed{{"x", floats({2, 2}, {1, 2, 3, 4})}};
  EXPECT_THAT(values_of<float>(run_text(
                  "g (float[2,2] x) => (float[2] y) { y = ReduceMean <axes = [0], keepdims = 0> (x) }", feed, 13)[0]),
              ElementsAre(2, 3));
  EXPECT_THAT(
      values_of<float>(run_text(
          "g (float[2,2] x) => (float[2] y) <int64[1] a = {1}> { y = ReduceSum <keepdims = 0> (x, a) }", feed, 13)[0]),
      ElementsAre(3, 7));
}

TEST(Reshape, CopiesAndInfersDimensions) {
  const auto y = run_text("g (float[2,3] x) => (float[A,B,C] y) <int64[3] s = {0, -1, 1}> { y = Reshape(x, s) }",
                          {{"x", pseudo_random({2, 3}, 1)}});
  EXPECT_EQ(y[0].shape(), (Shape{2, 3, 1}));
}

TEST(Elementwise, BroadcastsAgainstChannelsLastValues) {
  // The pooling makes channels-last; the constants have full, lower and scalar rank.
  const auto y = run_text(R"(g (float[1,2,1,2] x) => (float[1,2,1,2] y)
      <float[1,2,1,1] a = {10, 20}, float[2,1,1] b = {100, 200}, float c = {1000}>
      { p = MaxPool <kernel_shape = [1, 1]> (x) 
        q = Add(p, a) 
        r = Add(b, q) 
        y = Add(r, c) })",
                          {{"x", floats({1, 2, 1, 2}, {1, 2, 3, 4})}});
  EXPECT_THAT(values_of<float>(y[0]), ElementsAre(1111, 1112, 1223, 1224));
}

TEST(Elementwise, LowerRankInputForcesPlain) {
  const auto y = run_text(R"(g (float[1,2,1,2] x, float[2,1,1] b) => (float[1,2,1,2] y)
      { p = MaxPool <kernel_shape = [1, 1]> (x) 
        y = Mul(p, b) })",
                          {{"x", floats({1, 2, 1, 2}, {1, 2, 3, 4})}, {"b", floats({2, 1, 1}, {10, 100})}});
  EXPECT_THAT(values_of<float>(y[0]), ElementsAre(10, 20, 300, 400));
}

TEST(Elementwise, IntegersDivideTowardsZeroAndRefuseZero) {
  const std::string graph = "g (int32[2] x, int32[2] z) => (int32[2] y) { y = Div(x, z) }";
  const Tensor x = Tensor::of<int32_t>({2}, {-7, 7});
  EXPECT_THAT(values_of<int32_t>(run_text(graph, {{"x", x}, {"z", Tensor::of<int32_t>({2}, {2, -2})}})[0]),
              ElementsAre(-3, -3));
  EXPECT_THROW(run_text(graph, {{"x", x}, {"z", Tensor::of<int32_t>({2}, {0, 1})}}), Error);
}

TEST(Concat, ChannelsLastAlongChannels) {
  const auto y = run_text(R"(g (float[1,1,1,2] x, float[1,2,1,2] z) => (float[1,3,1,2] y)
      { p = MaxPool <kernel_shape = [1, 1]> (x) 
        q = MaxPool <kernel_shape = [1, 1]> (z) 
        y = Concat <axis = 1> (p, q) })",
                          {{"x", floats({1, 1, 1, 2}, {1, 2})}, {"z", floats({1, 2, 1, 2}, {3, 4, 5, 6})}});
  EXPECT_THAT(values_of<float>(y[0]), ElementsAre(1, 2, 3, 4, 5, 6));
}

TEST(Resize, NearestAndLinear) {
  const Feed feed{{"x", floats({1, 1, 2}, {1, 3})}};
  // asymmetric, floor: 0 0.5 1 1.5 -> 0 0 1 1.
  EXPECT_THAT(values_of<float>(run_text("g (float[1,1,2] x) => (float[1,1,4] y) <float[3] s = {1, 1, 2}> { y = "
                                        "Upsample <mode = \"nearest\"> (x, s) }",
                                        feed, 9)[0]),
              ElementsAre(1, 1, 3, 3));
  // half_pixel: -0.25 0.25 0.75 1.25, clamped at the border.
  EXPECT_THAT(
      values_of<float>(run_text(
          "g (float[1,1,2] x) => (float[1,1,4] y) <float[3] s = {1, 1, 2}> { y = Resize <mode = \"linear\"> (x, , s) }",
          feed, 13)[0]),
      ElementsAre(1, 1.5F, 2.5F, 3));
  EXPECT_THAT(values_of<float>(run_text(
                  R"(g (float[1,1,2] x) => (float[1,1,3] y) <int64[3] s = {1, 1, 3}>
                  { y = Resize <mode = "linear", coordinate_transformation_mode = "align_corners"> (x, , , s) })",
                  feed, 13)[0]),
              ElementsAre(1, 2, 3));
}

// (4 + 0.5) / (9 / 7) - 0.5 is 3 in float32, where onnxruntime computes it, and a little less in float64.
/// onnxruntime 1.31 and OpenVINO: 7, 7, 23 (the float32 nearest to each scale is a little below it).
TEST(Resize, SizesAreProductsInFloat32) {
  for (const auto& [scale, input, output] : {std::tuple{0.7F, 10, 7}, {1.4F, 5, 7}, {2.3F, 10, 23}, {0.6F, 5, 3}}) {
    const auto y = run_text("g (float[N] x, float[1] s) => (float[M] y) { y = Resize <mode = \"nearest\"> (x, , s) }",
                            {{"x", Tensor(DataType::kFloat32, {input})}, {"s", floats({1}, {scale})}});
    EXPECT_EQ(y[0].shape(), Shape{output}) << scale;
  }
}

TEST(Resize, TiesAreDecidedInFloat32) {
  EXPECT_EQ(values_of<float>(run_text(R"(g (float[1,1,7] x) => (float[1,1,9] y) <int64[3] s = {1, 1, 9}>
      { y = Resize <coordinate_transformation_mode = "pytorch_half_pixel", nearest_mode = "floor"> (x, , , s) })",
                                      {{"x", floats({1, 1, 7}, {0, 1, 2, 3, 4, 5, 6})}})[0])[4],
            3);
}

// Coordinates are (x + 0.5) * 20 / 6 - 0.5 = 1.17 4.5 7.83 11.17 14.5 17.83; float32 has 14.499999 for the second tie.
TEST(Resize, TiesHiddenByFloat32AreTies) {
  Tensor x(DataType::kFloat32, {1, 1, 20});
  const std::span<float> samples = x.mutable_data<float>();
  std::iota(samples.begin(), samples.end(), 0.0F);
  const auto indices = [&](const std::string& rounding) {
    return values_of<float>(
        run_text("g (float[1,1,20] x) => (float[1,1,6] y) <int64[3] s = {1, 1, 6}> { y = Resize "
                 "<nearest_mode = \"" +
                     rounding + "\"> (x, , , s) }",
                 {{"x", x}})[0]);
  };
  EXPECT_THAT(indices("round_prefer_ceil"), ElementsAre(1, 5, 8, 11, 15, 18));
  EXPECT_THAT(indices("round_prefer_floor"), ElementsAre(1, 4, 8, 11, 14, 18));
}

// Means of 3 2 0 / 5 1 4 by hand: rows 3 2.75 2.25 1.5 0.5 0, 3.5 3.0625 2.1875 1.5625 1.1875 1 and so on. What is
// behind the point is cut off at the end, not between the axes: 3.0625 would become 2.
TEST(Resize, MeansOfIntegersAreCutOffOnce) {
  const Feed feed{{"x", Tensor::of<uint8_t>({1, 1, 2, 3}, {3, 2, 0, 5, 1, 4})}};
  const auto y = run_text(R"(g (uint8[1,1,2,3] x) => (uint8[1,1,4,6] y) <float[4] s = {1, 1, 2, 2}>
      { y = Resize <mode = "linear"> (x, , s) })",
                          feed, 18);
  EXPECT_THAT(values_of<uint8_t>(y[0]),
              ElementsAre(3, 2, 2, 1, 0, 0, 3, 3, 2, 1, 1, 1, 4, 3, 2, 1, 2, 3, 5, 4, 2, 1, 3, 4));
}

// Opset 10 had no nearest_mode; where images shrink, onnxruntime takes the next sample: 0 and 1 / 0.6 = 1.67 -> 2.
TEST(Resize, NearestOfOpset10GoesUpWhereImagesShrink) {
  const Feed feed{{"x", floats({1, 1, 4}, {1, 2, 3, 4})}};
  EXPECT_THAT(values_of<float>(run_text(R"(g (float[1,1,4] x) => (float[1,1,2] y) <float[3] s = {1, 1, 0.6}>
      { y = Resize <mode = "nearest"> (x, s) })",
                                        feed, 10)[0]),
              ElementsAre(1, 3));
}

TEST(Normalization, OfNothingIsNothing) {
  for (const Shape& shape : {Shape{0, 2, 3}, Shape{2, 2, 0}}) {
    const Feed feed{{"x", Tensor(DataType::kFloat32, shape)}};
    EXPECT_EQ(run_text(R"(g (float[N,2,W] x) => (float[N,2,W] y) <float[2] a = {1, 2}>
        { y = BatchNormalization (x, a, a, a, a) })",
                       feed)[0]
                  .shape(),
              shape);
  }
  const Feed feed{{"x", Tensor(DataType::kFloat32, {2, 0, 3})}, {"a", Tensor(DataType::kFloat32, {0})}};
  EXPECT_EQ(run_text(R"(g (float[2,C,3] x, float[C] a) => (float[2,C,3] y) { b = InstanceNormalization (x, a, a)
        y = BatchNormalization (b, a, a, a, a) })",
                     feed)[0]
                .shape(),
            (Shape{2, 0, 3}));
}

// The convolution leaves its result channels-last, and so its conversion.
TEST(Layouts, PoolsOfFloat64BehindAConvolution) {
  const std::vector<Tensor> results = run_text(R"(g (float[1,1,2,2] x) => (double[1,2,1,2] y)
      <float[2,1,1,1] w = {1, -1}> { c = Conv (x, w)  d = Cast <to = 11> (c)
                                     y = MaxPool <kernel_shape = [2, 1]> (d) })",
                                               {{"x", floats({1, 1, 2, 2}, {1, 4, 3, 2})}});
  EXPECT_THAT(values_of<double>(to_layout(results[0], Layout::kPlain)), ElementsAre(3, 4, -1, -2));
}

// The pool has x in channels-last order when the sum reads it, and x's axes are not the constant's.
TEST(Layouts, ConstantOfHigherRankThanAChannelsLastValue) {
  const std::vector<Tensor> results = run_text(R"(g (float[1,2,2] x) => (float[1,2,1] m, float[1,1,2,2] y)
      <float[1,1,2,2] c = {10, 20, 30, 40}> { m = MaxPool <kernel_shape = [2]> (x)  y = Add (c, x) })",
                                               {{"x", floats({1, 2, 2}, {1, 2, 3, 4})}});
  EXPECT_THAT(values_of<float>(results[1]), ElementsAre(11, 22, 33, 44));
}

TEST(Layouts, SplitAndResizeOfChannelsLastValues) {
  const auto y = run_text(R"(g (float[1,2,1,2] x) => (float[1,1,1,4] a, float[1,1,1,2] b)
      <float[4] s = {1, 1, 1, 2}>
      { p = MaxPool <kernel_shape = [1, 1]> (x)
        q, b = Split <axis = 1> (p)
        a = Resize <coordinate_transformation_mode = "asymmetric", nearest_mode = "floor"> (q, , s) })",
                          {{"x", floats({1, 2, 1, 2}, {1, 2, 3, 4})}});
  EXPECT_THAT(values_of<float>(y[0]), ElementsAre(1, 1, 2, 2));
  EXPECT_THAT(values_of<float>(y[1]), ElementsAre(3, 4));
}

TEST(Quantize, RoundsHalfToEvenAndSaturates) {
  const Feed feed{{"x", floats({5}, {0.5F, 1.5F, 2.5F, 300, -300})}};
  const auto y = run_text(R"(g (float[5] x) => (uint8[5] q, float[5] y) <float s = {1}, uint8 z = {128}>
      { q = QuantizeLinear(x, s, z) 
        y = DequantizeLinear(q, s, z) })",
                          feed);
  EXPECT_THAT(values_of<uint8_t>(y[0]), ElementsAre(128, 130, 130, 255, 0));
  EXPECT_THAT(values_of<float>(y[1]), ElementsAre(0, 2, 2, 127, -128));
}

TEST(Quantize, PerAxis) {
  const auto y = run_text(R"(g (float[2,2] x) => (int8[2,2] q) <float[2] s = {1, 0.5}, int8[2] z = {0, 0}>
      { q = QuantizeLinear <axis = 0> (x, s, z) })",
                          {{"x", floats({2, 2}, {1, 2, 1, 2})}});
  EXPECT_THAT(values_of<int8_t>(y[0]), ElementsAre(1, 2, 2, 4));
}

TEST(LayerNormalization, OfTwoValues) {
  // mean 2, deviation 1.
  const auto y = run_text(R"(g (float[1,2] x) => (float[1,2] y) <float[2] s = {2, 2}, float[2] b = {1, 1}>
      { y = LayerNormalization <epsilon = 0.0> (x, s, b) })",
                          {{"x", floats({1, 2}, {1, 3})}});
  EXPECT_THAT(values_of<float>(y[0]), ElementsAre(-1, 3));
}

/// Scale and bias are "unidirectional broadcastable to X", whatever the rows are.
TEST(LayerNormalization, ScaleAndBiasBroadcast) {
  // Rows (-1, 1) and (1, -1) by mean and deviation; then one row of root mean square 3.
  const auto by_row =
      run_text(R"(g (float[2,2] x) => (float[2,2] y) <float[2,1] s = {1, 10}, float[2,2] b = {0, 1, 2, 3}>
      { y = LayerNormalization <epsilon = 0.0> (x, s, b) })",
               {{"x", floats({2, 2}, {1, 3, 5, 3})}});
  EXPECT_THAT(values_of<float>(by_row[0]), ElementsAre(-1, 2, 12, -7));
  const auto in_row = run_text(R"(g (float[1,2,2] x) => (float[1,2,2] y) <float[2] s = {1, 10}>
      { y = RMSNormalization <axis = 1, epsilon = 0.0> (x, s) })",
                               {{"x", floats({1, 2, 2}, {3, 3, -3, -3})}});
  EXPECT_THAT(values_of<float>(in_row[0]), ElementsAre(1, 10, -1, -10));
  EXPECT_THROW(run_text(R"(g (float[2,2] x) => (float[2,2] y) <float[3] s = {1, 2, 3}>
      { y = LayerNormalization (x, s) })",
                        {{"x", floats({2, 2}, {1, 3, 5, 3})}}),
               Error);
}

TEST(Matmul, BatchesBroadcastWithOnednnAndWithout) {
  const Tensor a = floats({2, 1, 2}, {1, 2, 3, 4});
  const Tensor b = floats({2, 2}, {1, 10, 100, 1000});
  const auto both =
      run_text("g (float[2,1,2] a, float[2,2] b) => (float[2,1,2] y) { y = MatMul(a, b) }", {{"a", a}, {"b", b}});
  const auto constant = run_text(
      "g (float[2,1,2] a) => (float[2,1,2] y) <float[2,2] b = {1, 10, 100, 1000}> { y = MatMul(a, b) }", {{"a", a}});
  EXPECT_THAT(values_of<float>(both[0]), ElementsAre(201, 2010, 403, 4030));
  EXPECT_THAT(values_of<float>(constant[0]), ElementsAre(201, 2010, 403, 4030));
}

TEST(ConvTranspose, SpreadsEachInput) {
  const auto y = run_text(R"(g (float[1,1,2] x) => (float[1,1,4] y) <float[1,1,2] w = {1, 10}>
      { y = ConvTranspose <strides = [2]> (x, w) })",
                          {{"x", floats({1, 1, 2}, {1, 2})}});
  EXPECT_THAT(values_of<float>(y[0]), ElementsAre(1, 10, 2, 20));
}

TEST(TopK, PutsTheFirstOfEqualsFirst) {
  const auto y = run_text("g (float[4] x) => (float[2] v, int64[2] i) <int64[1] k = {2}> { v, i = TopK(x, k) }",
                          {{"x", floats({4}, {1, 5, 5, 2})}});
  EXPECT_THAT(values_of<float>(y[0]), ElementsAre(5, 5));
  EXPECT_THAT(values_of<int64_t>(y[1]), ElementsAre(1, 2));
}

TEST(GatherND, BatchDimensionsMustAgree) {
  const std::string graph = "g (float[A,2] x, int64[B,1] i) => (float[B] y) { y = GatherND <batch_dims = 1> (x, i) }";
  const auto feed = [](int64_t batch) {
    return Feed{{"x", floats({2, 2}, {1, 2, 3, 4})},
                {"i", Tensor::of<int64_t>({batch, 1}, std::vector<int64_t>(static_cast<size_t>(batch), 1))}};
  };
  EXPECT_THAT(values_of<float>(run_text(graph, feed(2))[0]), ElementsAre(2, 4));
  EXPECT_THROW(run_text(graph, feed(1)), Error);  // divided by zero
  EXPECT_THROW(run_text(graph, feed(4)), Error);
}

}  // namespace
}  // namespace narrow::exec
