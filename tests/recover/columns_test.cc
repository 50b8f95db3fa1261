// The columns of a layer times its weights are what the layer computes.
#include "lib/recover/columns.h"

#include <gtest/gtest.h>

#include <numeric>
#include <random>

#include "lib/exec/float_program.h"
#include "tests/support/model_text.h"

namespace narrow::recover {
namespace {

Tensor random_tensor(Shape shape, unsigned seed) {
  std::mt19937 random(seed);
  std::uniform_real_distribution<float> uniform(-1, 1);
  Tensor result(DataType::kFloat32, std::move(shape));
  for (float& value : result.mutable_data<float>()) value = uniform(random);
  return result;
}

void expect_product(const std::string& node_text, const Shape& x_shape, const Shape& w_shape) {
  SCOPED_TRACE(node_text);
  const graph::Model model =
      test::graph_from_text("g (float x, float w) => (float y) { y = " + node_text + " (x, w) }");
  const onnx::NodeProto& node = model.graph().node(0);
  const Tensor x = random_tensor(x_shape, 1);
  const Tensor w = random_tensor(w_shape, 2);
  graph::Model untyped = model;
  for (auto& input : *untyped.mutable_graph().mutable_input()) {
    input.mutable_type()->mutable_tensor_type()->clear_shape();
  }
  Workspace workspace;
  const Tensor y = exec::compile_float(untyped).run({{"x", x}, {"w", w}}, workspace)[0];
  const auto columns = Columns::of(node, w_shape);
  ASSERT_TRUE(columns);
  std::vector<int64_t> positions(static_cast<size_t>(columns->positions(y.shape())));
  std::iota(positions.begin(), positions.end(), 0);
  ASSERT_EQ(columns->groups() * columns->outputs() * static_cast<int64_t>(positions.size()), y.size());
  const auto groups = static_cast<size_t>(columns->groups());
  const auto channels = static_cast<size_t>(columns->columns() / columns->taps());
  std::vector<float> inputs(positions.size() * groups * static_cast<size_t>(columns->columns()));
  std::vector<float> outputs(positions.size() * groups * static_cast<size_t>(columns->outputs()));
  for (const Layout layout :
       {Layout::kPlain, x.rank() > 2 && node.op_type() == "Conv" ? Layout::kChannelsLast : Layout::kPlain}) {
    columns->read_inputs(to_layout(x, layout), y.shape(), positions, inputs);
    columns->read_outputs(to_layout(y, layout), positions, outputs);
    for (size_t i = 0; i < outputs.size(); ++i) {
      const size_t group = i / static_cast<size_t>(columns->outputs()) % groups;
      const size_t row = i / static_cast<size_t>(columns->outputs()) / groups;
      double sum = 0;
      for (size_t k = 0; k < static_cast<size_t>(columns->columns()); ++k) {
        const size_t tap = row * static_cast<size_t>(columns->taps()) + k / channels;
        sum += static_cast<double>(inputs[(tap * groups + group) * channels + k % channels]) *
               w.data<float>()[columns->weight_index(
                   static_cast<int64_t>(group), static_cast<int64_t>(i) % columns->outputs(), static_cast<int64_t>(k))];
      }
      ASSERT_NEAR(sum, outputs[i], 1e-5);
    }
  }
}

TEST(Columns, TimesWeightsAreTheLayersOutput) {
  expect_product("Conv <strides: ints = [2, 1], pads: ints = [1, 0, 2, 1]>", {2, 3, 7, 6}, {4, 3, 3, 2});
  expect_product("Conv <group: int = 4, pads: ints = [1, 1, 1, 1]>", {1, 4, 5, 5}, {8, 1, 3, 3});
  expect_product("Conv <group: int = 2, dilations: ints = [2, 2]>", {1, 6, 8, 9}, {4, 3, 2, 3});
  expect_product("Conv <auto_pad: string = \"SAME_UPPER\", strides: ints = [2, 2]>", {1, 2, 6, 5}, {3, 2, 3, 3});
  expect_product("Conv <pads: ints = [1, 1]>", {2, 3, 9}, {5, 3, 3});
  expect_product("Gemm", {3, 5}, {5, 4});
  expect_product("Gemm <transB: int = 1>", {3, 5}, {4, 5});
  expect_product("MatMul", {2, 3, 5}, {5, 4});
}

TEST(Columns, OtherNodesHaveNone) {
  const graph::Model model =
      test::graph_from_text("g (float[2,3] x, float[2,4] w) => (float y) { y = Gemm <transA: int = 1> (x, w) }");
  EXPECT_FALSE(Columns::of(model.graph().node(0), {2, 4}));
  const graph::Model transposed =
      test::graph_from_text("g (float[1,3,4,4] x, float[3,2,2,2] w) => (float y) { y = ConvTranspose (x, w) }");
  EXPECT_FALSE(Columns::of(transposed.graph().node(0), {3, 2, 2, 2}));
}

}  // namespace
}  // namespace narrow::recover
