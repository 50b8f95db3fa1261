// Gradient against differences.
#include "lib/graph/gradient.h"

#include <gtest/gtest.h>

#include <cmath>

#include "lib/base/error.h"
#include "lib/exec/float_program.h"
#include "lib/io/load.h"
#include "tests/support/model_text.h"

namespace narrow::graph {
namespace {

Model training_model(const std::string& graph) {
  Model model =
      test::model_from_text("<ir_version: 8, opset_import: [\"\": 17, \"ai.onnx.preview.training\": 1]> " + graph);
  io::infer_shapes(model);
  return model;
}

/// `body` makes y from x and w. Outputs: the slopes at x and w, and the sum of y's elements.
Model with_gradient(const std::string& body, const std::string& w_shape) {
  return training_model("g (float[2,3] x, float" + w_shape + " w) => (float[2,3] dx, float" + w_shape +
                        " dw, float total) { " + body + R"( total = ReduceSum <keepdims = 0> (y)
      dx, dw = ai.onnx.preview.training.Gradient <xs = ["x", "w"], y = "y"> (x, w) })");
}

Tensor numbers(const Shape& shape, float first) {
  Tensor tensor(DataType::kFloat32, shape);
  float next = first;
  for (float& x : tensor.mutable_data<float>()) x = next += 0.37F * (next < 1.5F ? 1.0F : -2.1F);
  return tensor;
}

class Gradients : public testing::TestWithParam<std::pair<const char*, Shape>> {};

TEST_P(Gradients, AreTheLimitsOfDifferences) {
  const auto& [body, w_shape] = GetParam();
  Model model = with_gradient(body, w_shape.empty() ? "" : shape_text(w_shape));
  ASSERT_TRUE(spell_gradients(model));
  io::infer_shapes(model);
  const exec::Program program = exec::compile_float(model);
  const exec::Feed feed{{"x", numbers({2, 3}, 0.2F)}, {"w", numbers(w_shape, 0.7F)}};
  Workspace workspace;
  const std::vector<Tensor> outputs = program.run(feed, workspace);
  const auto sum_of_y = [&](const exec::Feed& at) {
    return static_cast<double>(program.run(at, workspace)[2].data<float>()[0]);
  };
  for (const auto& [name, slopes] : {std::pair{"x", outputs[0]}, {"w", outputs[1]}}) {
    ASSERT_EQ(slopes.shape(), feed.at(name).shape());
    for (int64_t i = 0; i < slopes.size(); ++i) {
      constexpr float kStep = 1e-2F;
      const auto moved = [&](float step) {
        exec::Feed at = feed;
        const auto from = feed.at(name).data<float>();
        Tensor tensor(DataType::kFloat32, slopes.shape());
        std::copy(from.begin(), from.end(), tensor.mutable_data<float>().begin());
        tensor.mutable_data<float>()[static_cast<size_t>(i)] += step;
        at.at(name) = tensor;
        return sum_of_y(at);
      };
      const double slope = (moved(kStep) - moved(-kStep)) / (2 * static_cast<double>(kStep));
      EXPECT_NEAR(static_cast<double>(slopes.data<float>()[static_cast<size_t>(i)]), slope,
                  2e-3 * (1 + std::abs(slope)))
          << body << " " << name << " " << i;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(
    Operators, Gradients,
    testing::Values(std::pair{"a = Add (x, w) y = Mul (a, x)", Shape{2, 3}},
                    std::pair{"a = Sub (x, w) b = Neg (a) y = Mul (b, w)", Shape{3}},
                    std::pair{"a = Div (x, w) y = Exp (a)", Shape{2, 1}},
                    std::pair{"a = Mul (x, w) y = Tanh (a)", Shape{}},
                    std::pair{"a = Mul (x, w) b = Sigmoid (a) y = Identity (b)", Shape{1, 3}},
                    std::pair{"a = Mul (x, x) b = Mul (w, w) c = Add (a, b) d = Sqrt (c) y = Log (d)", Shape{3}},
                    std::pair{"a = MatMul (x, w) b = Relu (a) y = Mul (b, b)", Shape{3, 4}}));

TEST(Gradient, IsTakenAtWhatIsFed) {
  // y = x * k with k fed as 5 in place of 3: dy/dx = 5; twice the slope of z = y * y at x = 2: 2 * 5 * 5 * 2.
  Model model = training_model(R"(g (float x, float a) => (float z, float slope)
      <float k = {3}, float five = {5}> { y = Mul (x, k) z = Mul (y, y)
      slope = ai.onnx.preview.training.Gradient <xs = ["x"], zs = ["k"], y = "z"> (a, five) })");
  ASSERT_TRUE(spell_gradients(model));
  Workspace workspace;
  const auto outputs =
      exec::compile_float(model).run({{"x", Tensor::scalar(1.0F)}, {"a", Tensor::scalar(2.0F)}}, workspace);
  EXPECT_EQ(outputs[0].data<float>()[0], 9);
  EXPECT_EQ(outputs[1].data<float>()[0], 100);
}

TEST(Gradient, NamesWhatItCanNotDo) {
  Model unknown = with_gradient("a = Add (x, w) y = Cos (a)", "[2,3]");
  EXPECT_THROW(spell_gradients(unknown), Error);
  Model apart = training_model(R"(g (float x, float w) => (float y, float s) { y = Neg (w)
      s = ai.onnx.preview.training.Gradient <xs = ["x"], y = "y"> (x) })");
  EXPECT_THROW(spell_gradients(apart), Error);
}

}  // namespace
}  // namespace narrow::graph
