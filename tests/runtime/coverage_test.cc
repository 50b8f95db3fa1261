#include <gtest/gtest.h>

#include <limits>

#include "lib/base/error.h"
#include "lib/runtime/lower.h"
#include "lib/runtime/mac_count.h"
#include "tests/runtime/qdq_text.h"

namespace narrow::runtime {
namespace {

using test::coverage_of;
using test::qdq_model;

TEST(Coverage, FloatNodesHaveReasonsAndMacsAreCountedByShape) {
  const graph::Model model = qdq_model(R"(agraph (float[N,3,H,4] x) => (float[N,2,H,4] y)
<float s = {1.0}, uint8 z = {0}, int8[3,3,1,1] w_q = {1,0,0, 0,1,0, 0,0,1}, float sw = {1.0}, int8 zw = {0}, 
 float[2,3,1,1] w2 = {1,1,1,1,1,1}>
{
  x_q = QuantizeLinear(x, s, z)
  x_dq = DequantizeLinear(x_q, s, z)
  w = DequantizeLinear(w_q, sw, zw)
  [one] c = Conv(x_dq, w)
  c_q = QuantizeLinear(c, s, z)
  c_dq = DequantizeLinear(c_q, s, z)
  [two] y = Conv(c_dq, w2)
})");
  LoweredModel lowered = lower(model);
  EXPECT_FALSE(coverage_of(lowered, "one").macs.has_value());  // H is free
  count_macs(lowered, {{"x", Tensor::of<float>({1, 3, 2, 4}, std::vector<float>(24, 1.0F))}});
  EXPECT_EQ(coverage_of(lowered, "one").macs, 8 * 3 * 3);
  EXPECT_EQ(coverage_of(lowered, "two").macs, 8 * 2 * 3);
  EXPECT_FALSE(coverage_of(lowered, "two").integer);
  EXPECT_EQ(coverage_of(lowered, "two").reason->code, ReasonCode::kNotFusable);
  EXPECT_DOUBLE_EQ(lowered.coverage.mac_share(), 0.6);
  EXPECT_DOUBLE_EQ(lowered.coverage.node_share(), 0.5);
}

TEST(Coverage, RecurrentProductsCount) {
  const graph::Model model = qdq_model(R"(agraph (float[S,2,3] x) => (float[S,1,2,1] y)
<float[1,4,3] w = {1,2,3, 4,5,6, 7,8,9, 1,2,3}, float[1,4,1] r = {1,2,3,4}>
{
  [memory] y = LSTM <hidden_size = 1> (x, w, r)
})");
  LoweredModel lowered = lower(model);
  count_macs(lowered, {{"x", Tensor::of<float>({5, 2, 3}, std::vector<float>(30, 0.1F))}});
  // 5 steps of 2 sequences, 4 gates of 3 inputs and 1 hidden element.
  EXPECT_EQ(coverage_of(lowered, "memory").macs, 5 * 2 * 4 * (3 + 1));
  EXPECT_EQ(lowered.coverage.mac_share(), 0.0);
}

TEST(Coverage, SixteenBitsHaveNoIntegerKernel) {
  const graph::Model model = qdq_model(R"(agraph (float[2] x) => (float[2] y)
<float s = {0.001}, uint16 z = {0}>
{
  x_q = QuantizeLinear(x, s, z)
  x_dq = DequantizeLinear(x_q, s, z)
  [act] a = Sigmoid(x_dq)
  y_q = QuantizeLinear(a, s, z)
  y = DequantizeLinear(y_q, s, z)
})",
                                       21);
  const LoweredModel lowered = lower(model);
  EXPECT_FALSE(coverage_of(lowered, "act").integer);
  EXPECT_EQ(coverage_of(lowered, "act").reason->code, ReasonCode::kNoIntegerKernel);
  const auto ran = test::run(lowered, {{"x", Tensor::of<float>({2}, {0, 1})}});
  EXPECT_FLOAT_EQ(ran.outputs[0].data<float>()[0], 0.5F);
  EXPECT_FLOAT_EQ(ran.outputs[0].data<float>()[1], 0.731F);
}

TEST(Coverage, NothingToCountIsAWhole) {
  EXPECT_EQ(Coverage{}.mac_share(), 1.0);
  EXPECT_EQ(Coverage{}.node_share(), 1.0);
}

TEST(Coverage, CountsDoNotOverflow) {
  const MacCount count{.node = 0, .value = "y", .per_element = int64_t{1} << 40, .inner = {}};
  EXPECT_EQ(macs_of(count, {2, 4}, 3), (int64_t{1} << 40) * 24);
  EXPECT_THROW(macs_of(count, {int64_t{1} << 30}, 1), Error);
  const NodeCoverage huge{.node = "n", .op_type = "Conv", .integer = true, .reason = {}, .macs = int64_t{1} << 62};
  const Coverage coverage{.nodes = {huge, huge, huge}};
  EXPECT_EQ(coverage.total_macs(), std::numeric_limits<int64_t>::max());
  EXPECT_EQ(coverage.integer_macs(), std::numeric_limits<int64_t>::max());
}

}  // namespace
}  // namespace narrow::runtime
