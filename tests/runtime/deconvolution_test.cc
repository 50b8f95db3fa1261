// ConvTranspose on integers, against its float kernel on the dequantized values.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "lib/exec/float_program.h"
#include "lib/runtime/lower.h"
#include "tests/runtime/qdq_text.h"

namespace narrow::runtime {
namespace {

using test::coverage_of;
using test::integers;
using test::qdq_model;
using testing::ElementsAre;

struct Case {
  const char* name;
  const char* attributes;
  int64_t groups;
  int64_t kernel;
  size_t axes = 2;
  bool by_channel = false;
};

constexpr int64_t kChannels = 4;

std::string numbers(int64_t count, int seed) {
  std::mt19937 random(static_cast<unsigned>(seed));
  std::string text;
  for (int64_t i = 0; i < count; ++i)
    text += (i == 0 ? "" : ",") + std::to_string(static_cast<int>(random() % 127) - 63);
  return text;
}

Shape sizes_of(const Case& tested) {
  Shape sizes{2, kChannels, 5, 6, 3};
  sizes.resize(tested.axes + 2);
  return sizes;
}

std::string text_of(const Shape& shape) {
  std::string text;
  for (const int64_t size : shape) text += (text.empty() ? "" : ",") + std::to_string(size);
  return text;
}

std::string graph_of(const Case& tested) {
  const int64_t outputs = 6 / tested.groups;
  Shape weights{kChannels, outputs};
  weights.resize(tested.axes + 2, tested.kernel);
  const std::string scales = tested.by_channel ? "float[" + std::to_string(outputs) + "] sw = {" : "float sw = {";
  const std::string zeros = tested.by_channel ? "int8[" + std::to_string(outputs) + "] zw = {" : "int8 zw = {";
  std::string scale_values;
  std::string zero_values;
  for (int64_t i = 0; i < (tested.by_channel ? outputs : 1); ++i) {
    scale_values += (i == 0 ? "0.03" : ", 0.0" + std::to_string(i + 1));
    zero_values += (i == 0 ? "0" : ", 0");
  }
  return "agraph (float[" + text_of(sizes_of(tested)) +
         "] x) => (float[] y) <float sx = {0.05}, uint8 zx = {90}, int8[" + text_of(weights) + "] w_q = {" +
         numbers(element_count(weights), 1) + "}, " + scales + scale_values + "}, " + zeros + zero_values +
         "}, float[6] b = {1, -2, 0.5, 3, 0, -1}, float sy = {0.3713}, uint8 zy = {120}>" +
         R"({ x_q = QuantizeLinear(x, sx, zx)
  x_r = DequantizeLinear(x_q, sx, zx)
  w = DequantizeLinear<axis = 1>(w_q, sw, zw)
  [up] c = ConvTranspose<)" +
         tested.attributes + R"(>(x_r, w, b)
  [clamp] r = Relu(c)
  y_q = QuantizeLinear(r, sy, zy)
  y = DequantizeLinear(y_q, sy, zy) })";
}

class Deconvolutions : public testing::TestWithParam<Case> {};

TEST_P(Deconvolutions, EqualTheirDefinition) {
  const graph::Model model = qdq_model(graph_of(GetParam()));
  Tensor x(DataType::kFloat32, sizes_of(GetParam()));
  std::mt19937 random(7);
  for (float& value : x.mutable_data<float>()) value = static_cast<float>(random() % 2001) / 200.0F - 4.0F;
  Workspace workspace;
  const Tensor expected = to_layout(exec::compile_float(model).run({{"x", x}}, workspace)[0], Layout::kPlain);
  const LoweredModel lowered = lower(model);
  EXPECT_TRUE(coverage_of(lowered, "up").integer);
  EXPECT_TRUE(coverage_of(lowered, "clamp").integer);
  const Tensor actual = to_layout(test::run(lowered, {{"x", x}}).outputs[0], Layout::kPlain);
  ASSERT_EQ(actual.shape(), expected.shape());
  int different = 0;
  for (size_t i = 0; i < actual.data<float>().size(); ++i) {
    const float apart = std::abs(actual.data<float>()[i] - expected.data<float>()[i]);
    EXPECT_LT(apart, 0.38F);
    different += apart > 0.01F ? 1 : 0;
  }
  EXPECT_LE(different, 1);  // near a tie
}

INSTANTIATE_TEST_SUITE_P(
    Lower, Deconvolutions,
    testing::Values(Case{"doubles", "strides = [2, 2]", 1, 2},
                    Case{"overlaps", "strides = [2, 2], pads = [1, 1, 1, 1]", 1, 4},
                    Case{"odd_kernel", "strides = [2, 2], pads = [1, 0, 0, 1], output_padding = [1, 0]", 1, 3},
                    Case{"groups", "group = 2, strides = [3, 3], pads = [0, 1, 2, 0]", 2, 4},
                    Case{"stride_of_one", "pads = [1, 1, 1, 1]", 1, 3}, Case{"gaps", "strides = [3, 3]", 1, 2},
                    Case{"strides_differ", "strides = [2, 3], pads = [1, 0, 1, 2]", 1, 4},
                    Case{"dilated", "dilations = [2, 3], strides = [2, 2]", 1, 3},
                    Case{"one_axis", "strides = [2], pads = [1, 1]", 1, 4, 1},
                    Case{"three_axes", "strides = [2, 1, 2], group = 2", 2, 2, 3},
                    Case{"same_upper", "strides = [2, 2], auto_pad = \"SAME_UPPER\"", 1, 3},
                    Case{"same_lower", "strides = [2, 2], auto_pad = \"SAME_LOWER\"", 1, 3},
                    Case{"output_shape", "strides = [2, 2], output_shape = [10, 13]", 1, 3},
                    Case{"larger_output_shape", "strides = [2, 2], output_shape = [14, 16]", 1, 2},
                    Case{"more_than_windows", "strides = [2, 2], output_padding = [1, 1]", 1, 2},
                    Case{"scales_of_group_channels", "group = 2, strides = [2, 2]", 2, 3, 2, true}),
    [](const auto& tested) { return tested.param.name; });

// 1-D sums by hand are in the float kernel's tests; here a scale for each channel on axis 1, and no quantized result.
TEST(Deconvolution, ScalesGoByOutputChannel) {
  const LoweredModel lowered = lower(qdq_model(R"(agraph (float[1,1,1,2] x) => (float[1,2,1,4] y)
<float sx = {0.5}, uint8 zx = {0}, int8[1,2,1,2] w_q = {1, 2, 3, -4}, float[2] sw = {0.5, 0.25}, int8[2] zw = {0, 0}>
{
  x_q = QuantizeLinear(x, sx, zx)
  x_r = DequantizeLinear(x_q, sx, zx)
  w = DequantizeLinear<axis = 1>(w_q, sw, zw)
  [up] y = ConvTranspose<strides = [2, 2], kernel_shape = [1, 2]>(x_r, w)
})"));
  EXPECT_TRUE(coverage_of(lowered, "up").integer);
  const auto ran = test::run(lowered, {{"x", Tensor::of<float>({1, 1, 1, 2}, {1, 2})}});
  EXPECT_THAT(to_layout(ran.outputs[0], Layout::kPlain).data<float>(), ElementsAre(0.5F, 1, 1, 2, 0.75F, -1, 1.5F, -2));
}

TEST(Deconvolution, WhatHasNoSuchFormSaysWhy) {
  std::string graph = graph_of({"output_shape", "strides = [2, 2], output_shape = [10, 13]", 1, 3});
  graph.replace(graph.find("[2,4,5,6]"), std::string("[2,4,5,6]").size(), "[2,4,H,W]");
  const LoweredModel lowered = lower(qdq_model(graph));
  EXPECT_FALSE(coverage_of(lowered, "up").integer);
  EXPECT_EQ(coverage_of(lowered, "up").reason->detail, "its pads depend on its size");
}

}  // namespace
}  // namespace narrow::runtime
