// The oneDNN kernels against the plain ones, over swept shapes.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lib/base/error.h"
#include "lib/exec/ref/convolution.h"
#include "lib/exec/ref/pooling.h"
#include "lib/graph/attributes.h"
#include "tests/exec/run_model.h"

namespace narrow::exec {
namespace {

using ::testing::ElementsAre;
using ::testing::FloatNear;
using ::testing::Pointwise;

onnx::NodeProto node(const std::string& op, int inputs) {
  onnx::NodeProto result;
  result.set_op_type(op);
  for (int i = 0; i < inputs; ++i) result.add_input("in" + std::to_string(i));
  result.add_output("out");
  return result;
}

void set_auto_pad(onnx::NodeProto& target, const std::string& text) {
  auto* attribute = target.add_attribute();
  attribute->set_name("auto_pad");
  attribute->set_type(onnx::AttributeProto::STRING);
  attribute->set_s(text);
}

// Once with the weight constant (oneDNN), once as an input (reference).
void expect_same_convolution(const onnx::NodeProto& conv, const Tensor& x, const Tensor& w) {
  Workspace workspace;
  std::vector<Tensor> outputs(1);
  const KernelPtr fast =
      make_kernel({.node = &conv, .opset = 17, .constant = [&](int input) { return input == 1 ? &w : nullptr; }});
  ASSERT_EQ(fast->implementation().substr(0, 6), "onednn");
  std::vector<Tensor> inputs{to_layout(x, Layout::kChannelsLast), Tensor()};
  fast->run(inputs, outputs, workspace);
  const Tensor actual = to_layout(outputs[0], Layout::kPlain);
  const KernelPtr plain = make_kernel({.node = &conv, .opset = 17, .constant = [](int) { return nullptr; }});
  inputs = {x, w};
  plain->run(inputs, outputs, workspace);
  ASSERT_EQ(actual.shape(), outputs[0].shape());
  EXPECT_THAT(values_of<float>(actual), Pointwise(FloatNear(1e-4F), values_of<float>(outputs[0])));
}

TEST(Convolution, TellsItsImplementationAfterAFailure) {
  onnx::NodeProto conv = node("Conv", 2);
  graph::set_int_attribute(conv, "group", 2);
  const Tensor w = pseudo_random({3, 1, 1, 1}, 1);  // 3 outputs of 2 groups
  const KernelPtr kernel =
      make_kernel({.node = &conv, .opset = 17, .constant = [&](int input) { return input == 1 ? &w : nullptr; }});
  Workspace workspace;
  std::vector<Tensor> inputs{to_layout(pseudo_random({1, 2, 3, 3}, 2), Layout::kChannelsLast), Tensor()};
  std::vector<Tensor> outputs(1);
  EXPECT_THROW(kernel->run(inputs, outputs, workspace), Error);
  EXPECT_EQ(kernel->implementation(), "onednn");
}

TEST(Convolution, OnednnAgreesWithReference) {
  for (const int64_t groups : {1, 2, 4}) {
    for (const int64_t stride : {1, 2, 3}) {
      for (const int64_t dilation : {1, 2}) {
        for (const int64_t pad : {0, 1}) {
          onnx::NodeProto conv = node("Conv", 2);
          graph::set_int_attribute(conv, "group", groups);
          graph::set_ints_attribute(conv, "strides", {stride, 1});
          graph::set_ints_attribute(conv, "dilations", {dilation, dilation});
          graph::set_ints_attribute(conv, "pads", {pad, 0, pad, 1});
          SCOPED_TRACE(fmt::format("groups {} stride {} dilation {} pad {}", groups, stride, dilation, pad));
          expect_same_convolution(conv, pseudo_random({2, 4, 9, 7}, 1), pseudo_random({8, 4 / groups, 3, 2}, 2));
        }
      }
    }
  }
}

TEST(Convolution, OneAndThreeSpatialAxesAndAutoPad) {
  onnx::NodeProto conv = node("Conv", 2);
  expect_same_convolution(conv, pseudo_random({1, 3, 11}, 3), pseudo_random({5, 3, 4}, 4));
  expect_same_convolution(conv, pseudo_random({1, 2, 4, 5, 6}, 3), pseudo_random({3, 2, 2, 3, 1}, 4));
  for (const char* mode : {"SAME_UPPER", "SAME_LOWER", "VALID"}) {
    onnx::NodeProto padded = node("Conv", 2);
    set_auto_pad(padded, mode);
    graph::set_ints_attribute(padded, "strides", {2, 2});
    expect_same_convolution(padded, pseudo_random({1, 2, 8, 7}, 3), pseudo_random({3, 2, 3, 3}, 4));
  }
}

// 1 x 1 x 4 rows [1 2 3 4] convolved with [1 10]: SAME_UPPER puts the odd pad behind, SAME_LOWER in front.
TEST(Convolution, AutoPadPutsTheOddPadWhereItSays) {
  const Feed feed{{"x", floats({1, 1, 4}, {1, 2, 3, 4})}};
  const auto run = [&](const std::string& mode) {
    return values_of<float>(
        run_text("g (float[1,1,4] x) => (float[1,1,4] y) <float[1,1,2] w = {1, 10}> { y = Conv <auto_pad = \"" + mode +
                     "\"> (x, w) }",
                 feed)[0]);
  };
  EXPECT_THAT(run("SAME_UPPER"), ElementsAre(21, 32, 43, 4));
  EXPECT_THAT(run("SAME_LOWER"), ElementsAre(10, 21, 32, 43));
  EXPECT_THAT(run("VALID"), ElementsAre(21, 32, 43));
}

TEST(Pooling, OnednnAgreesWithReference) {
  const Tensor x = pseudo_random({2, 3, 8, 9}, 7);
  for (const char* op : {"MaxPool", "AveragePool"}) {
    for (const int64_t stride : {1, 2, 3}) {
      for (const int64_t ceil_mode : {0, 1}) {
        for (const int64_t include : {0, 1}) {
          onnx::NodeProto pool_node = node(op, 1);
          graph::set_ints_attribute(pool_node, "kernel_shape", {3, 2});
          graph::set_ints_attribute(pool_node, "strides", {stride, stride});
          graph::set_ints_attribute(pool_node, "pads", {1, 0, 1, 1});
          graph::set_int_attribute(pool_node, "ceil_mode", ceil_mode);
          graph::set_int_attribute(pool_node, "count_include_pad", include);
          SCOPED_TRACE(fmt::format("{} stride {} ceil {} include {}", op, stride, ceil_mode, include));
          const KernelPtr kernel = make_kernel({.node = &pool_node, .opset = 17, .constant = nullptr});
          Workspace workspace;
          std::vector<Tensor> outputs(1);
          std::vector<Tensor> inputs{to_layout(x, Layout::kChannelsLast)};
          kernel->run(inputs, outputs, workspace);
          const Tensor actual = to_layout(outputs[0], Layout::kPlain);
          inputs = {x};
          kernel->run(inputs, outputs, workspace);  // plain input: the reference
          ASSERT_EQ(actual.shape(), outputs[0].shape());
          EXPECT_THAT(values_of<float>(actual), Pointwise(FloatNear(1e-5F), values_of<float>(outputs[0])));
        }
      }
    }
  }
}

TEST(Pooling, CeilModeAndPadding) {
  // Windows of 2 at stride 2 over 1 2 3: [1 2] and [3 -].
  const Feed feed{{"x", floats({1, 1, 3}, {1, 2, 3})}};
  const auto average = run_text(
      "g (float[1,1,3] x) => (float[1,1,2] y) { y = AveragePool <kernel_shape = [2], strides = [2], ceil_mode = 1> (x) "
      "}",
      feed);
  EXPECT_THAT(values_of<float>(average[0]), ElementsAre(1.5F, 3));
  const auto padded = run_text(
      "g (float[1,1,3] x) => (float[1,1,2] y) { y = AveragePool <kernel_shape = [2], strides = [2], pads = [0, 1], "
      "count_include_pad = 1> (x) }",
      feed);
  EXPECT_THAT(values_of<float>(padded[0]), ElementsAre(1.5F, 1.5F));
}

}  // namespace
}  // namespace narrow::exec
