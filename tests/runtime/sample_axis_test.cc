#include "lib/exec/sample_axis.h"

#include <gtest/gtest.h>

#include "lib/base/thread_scope.h"
#include "lib/runtime/sample_graph.h"
#include "tests/runtime/qdq_text.h"

namespace narrow::runtime {
namespace {

bool apart(std::string_view text) {
  const graph::Model model = test::qdq_model(text);
  const QuantGraph quant(model, model.graph(), {});
  const exec::Constants constants(model, model.graph(), {});
  const LowerContext context(quant, constants, KernelChoice::kFast);
  return exec::treats_samples_apart(sample_graph(context));
}

TEST(SampleAxis, LayersAndHeadsOfImageModels) {
  EXPECT_TRUE(apart(R"(agraph (float[N,3,8,8] x) => (float[N,4] y)
<float s = {0.5}, uint8 z = {0}, float[4,3,3,3] w, float[4,4] g, float[4] b>
{
  q = QuantizeLinear(x, s, z)
  d = DequantizeLinear(q, s, z)
  c = Conv(d, w)
  r = Relu(c)
  p = GlobalAveragePool(r)
  f = Flatten(p)
  m = Gemm(f, g, b)
  y = Softmax<axis = -1>(m)
})"));
}

TEST(SampleAxis, ShapesMadeFromTheNumberOfSamples) {
  // As exporters write x.view(x.size(0), x.size(1), 2, 2), and positions expanded to the batch.
  EXPECT_TRUE(apart(R"(agraph (int64[N,S] x) => (float[N,S,2,2] y)
<int64 i0 = {0}, int64 i1 = {1}, int64[1] a = {0}, int64[1] two = {2}, float[9,4] table, int64[1,9] places,
 int64[2] minus = {-1, -1}, int64[2] ones = {1, 1}>
{
  e = Gather(table, x)
  shape = Shape(x)
  n = Gather(shape, i0)
  s = Gather(shape, i1)
  n1 = Unsqueeze(n, a)
  s1 = Unsqueeze(s, a)
  ns = Concat<axis = 0>(n1, s1)
  free = Equal(ns, minus)
  to = Where(free, ones, ns)
  all = Expand(places, to)
  p = Gather(table, all)
  t = Add(e, p)
  split = Concat<axis = 0>(n1, s1, two, two)
  y = Reshape(t, split)
})"));
}

TEST(SampleAxis, PositionsCutToTheLengthOfTheSamples) {
  // As exporters write table[:, :x.size(1)].expand(x.shape): shape inference does not know how long the cut is.
  const std::string text = R"(agraph (int64[N,S] x) => (float[N,S,4] y)
<int64 i1 = {1}, int64[1] a = {0}, int64[1] AXES, float[9,4] table, int64[ROWS,9] places, int64[1] minus = {-1}>
{
  e = Gather(table, x)
  shape = Shape(x)
  s = Gather(shape, i1)
  s1 = Unsqueeze(s, a)
  own = Slice(places, a, s1, axes)
  rank = Shape(shape)
  ones = ConstantOfShape<value = int64[1] {1}>(rank)
  least = Mul(ones, minus)
  free = Equal(shape, least)
  to = Where(free, ones, shape)
  all = Expand(own, to)
  p = Gather(table, all)
  q = Gather(table, own)
  t = Add(e, p)
  y = Add(t, q)
})";
  const auto with = [&](const std::string& axes, const std::string& rows) {
    std::string result = text;
    result.replace(result.find("AXES"), 4, "axes = {" + axes + "}");
    return result.replace(result.find("ROWS"), 4, rows);
  };
  EXPECT_TRUE(apart(with("1", "1")));
  EXPECT_FALSE(apart(with("0", "1")));  // as many rows as the samples are long
  EXPECT_FALSE(apart(with("1", "3")));  // fits three samples only
}

TEST(SampleAxis, LargeActivationsOfConvolutionsFillTheCaches) {
  const auto fills = [](const std::string& spatial, const std::string& node) {
    const graph::Model model = test::qdq_model(
        "agraph (float[N,8," + spatial + "] x, float[16,8,1,1] w) => (float[N,16," + spatial + "] y) { " + node + " }");
    const QuantGraph quant(model, model.graph(), {});
    const exec::Constants constants(model, model.graph(), {});
    const LowerContext context(quant, constants, KernelChoice::kFast);
    return exec::fills_caches(sample_graph(context));
  };
  EXPECT_TRUE(fills("128,128", "y = Conv(x, w)"));  // 16 * 128 * 128 bytes are 256 KiB
  EXPECT_FALSE(fills("127,128", "y = Conv(x, w)"));
  EXPECT_TRUE(fills("H,W", "y = Conv(x, w)"));
  EXPECT_FALSE(fills("128,128", "m = MatMul(x, x) y = Conv(m, w)"));
}

TEST(SampleAxis, OutputsThatAreAbsentAreNoSamples) {
  graph::Model model = test::qdq_model(R"(agraph (float[N,4] x) => (float[N,2] y) <float high = {1}> {
  left, right = Split<axis = 1>(x)
  y = Clip(right, , high)
})");
  model.mutable_graph().mutable_node(0)->set_output(0, "");
  const QuantGraph quant(model, model.graph(), {});
  const exec::Constants constants(model, model.graph(), {});
  EXPECT_TRUE(exec::treats_samples_apart(sample_graph(LowerContext(quant, constants, KernelChoice::kFast))));
}

TEST(SampleAxis, WhatMixesSamples) {
  const auto with = [](std::string_view nodes) {
    return "agraph (float[N,4] x) => (float[N,4] y) <int64[1] zero = {0}, int64[2] turned = {4, -1}, float[4,4] w, "
           "int64[1] a = {0}, int64[2] rows = {2, 4}> { " +
           std::string(nodes) + " }";
  };
  EXPECT_TRUE(apart(with("y = Relu(x)")));
  EXPECT_FALSE(apart(with("y = Softmax<axis = 0>(x)")));
  EXPECT_FALSE(apart(with("y = Softmax<axis = -2>(x)")));
  EXPECT_FALSE(apart(with("m = ReduceMean<axes = [0]>(x) y = Sub(x, m)")));
  EXPECT_FALSE(apart(with("m = ReduceMean<axes = [-2]>(x) y = Sub(x, m)")));
  EXPECT_FALSE(apart(with("t = Transpose<perm = [1, 0]>(x) y = Transpose<perm = [1, 0]>(t)")));
  EXPECT_FALSE(apart(with("t = Reshape(x, turned) y = Reshape(t, turned)")));
  EXPECT_FALSE(apart(with("y = Reshape(x, rows)")));
  EXPECT_FALSE(apart(with("y = Concat<axis = 0>(x, x)")));
  EXPECT_FALSE(apart(with("y = Gather(x, zero)")));
  EXPECT_FALSE(apart(with("y = CumSum(x, a)"))) << "no rule";
  EXPECT_FALSE(apart(with("s = Shape(x) n = Gather(s, a) f = Cast<to = 1>(n) y = Div(x, f)")));
  EXPECT_FALSE(apart(with("y = Identity(w)"))) << "the same for all";
  EXPECT_FALSE(apart("agraph (float[2,4] x) => (float[2,4] y) { y = Relu(x) }")) << "a fixed number of samples";
}

TEST(SampleAxis, AProgramGivesTheSameAtAnyThreadCount) {
  const graph::Model model = test::qdq_model(R"(agraph (float[N,3,4,4] x) => (float[N,2,4,4] y)
<float s = {0.05}, uint8 z = {7}, float sw = {0.1}, int8 zw = {0}, int8[2,3,1,1] w_q = {1, -2, 3, 4, 5, -6}>
{
  q = QuantizeLinear(x, s, z)
  d = DequantizeLinear(q, s, z)
  w = DequantizeLinear(w_q, sw, zw)
  c = Conv(d, w)
  c_q = QuantizeLinear(c, s, z)
  y = DequantizeLinear(c_q, s, z)
})");
  const LoweredModel lowered = lower(model);
  Tensor x(DataType::kFloat32, {5, 3, 4, 4});
  for (int64_t i = 0; i < x.size(); ++i)
    x.mutable_data<float>()[static_cast<size_t>(i)] = static_cast<float>(i % 37) / 9;
  std::vector<std::vector<float>> results;
  for (const int threads : {1, 2, 3, 5}) {
    const ThreadCountScope scope(threads);
    Workspace workspace;
    const Tensor y = lowered.program.run({{"x", x}}, workspace)[0];
    EXPECT_EQ(y.shape(), (Shape{5, 2, 4, 4}));
    results.emplace_back(y.data<float>().begin(), y.data<float>().end());
    EXPECT_EQ(results.back(), results.front());
  }
}

}  // namespace
}  // namespace narrow::runtime
