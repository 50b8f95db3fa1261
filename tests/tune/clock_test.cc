#include "lib/tune/clock.h"

#include <gtest/gtest.h>

#include "tests/support/shaped_model.h"

namespace narrow::tune {
namespace {

Space space_of_two() {
  Space space;
  for (const char* node : {"first", "second"}) {
    space.items.push_back({.node = node,
                           .op_type = "Gemm",
                           .macs = 4,
                           .options = {{.choice = Choice::kConfig, .weight = "", .on_integers = true, .bytes = 0},
                                       {.choice = Choice::kFloat, .weight = "", .on_integers = false, .bytes = 0}}});
  }
  space.macs = 8;
  return space;
}

TEST(Clock, TimesBothKindsOfEachLayer) {
  const graph::Model model = test::shaped_graph(R"(agraph (float[1,2] x) => (float[1,2] y)
<float[2,2] w = {1,0, 0,1}>
{
  [first] h = Gemm(x, w)
  [second] y = Gemm(h, w)
})");
  const graph::Model quantized = test::shaped_graph(R"(agraph (float[1,2] x) => (float[1,2] y)
<int8[2,2] w_q = {1,0, 0,1}, float one = {1.0}, int8 z = {0}>
{
  x_q = QuantizeLinear(x, one, z)
  x_dq = DequantizeLinear(x_q, one, z)
  w = DequantizeLinear(w_q, one, z)
  [first] h = Gemm(x_dq, w)
  h_q = QuantizeLinear(h, one, z)
  h_dq = DequantizeLinear(h_q, one, z)
  [second] y = Gemm(h_dq, w)
})");
  const std::vector<float> values{1, 2};
  Clock clock(model, {{{"x", Tensor::of<float>({1, 2}, std::span<const float>(values))}}});
  EXPECT_GT(clock.float_seconds(), 0);
  EXPECT_GT(clock.seconds(quantized), 0);
  Space space = space_of_two();
  clock.time_options(quantized, space);
  double in_float = 0;
  for (const Item& item : space.items) {
    EXPECT_GT(item.options[0].seconds, 0);
    EXPECT_GT(item.options[1].seconds, 0);
    in_float += item.options[1].seconds;
  }
  EXPECT_DOUBLE_EQ(space.float_seconds, in_float);
}

}  // namespace
}  // namespace narrow::tune
