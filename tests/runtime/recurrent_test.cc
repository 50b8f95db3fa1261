// Recurrent layers on integers, against their definition in plain loops and against float execution of the same file.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <random>

#include "lib/exec/float_program.h"
#include "lib/graph/graph_index.h"
#include "lib/io/load.h"
#include "tests/runtime/qdq_text.h"
#include "tests/support/model_text.h"
#include "tests/support/random_tensor.h"

namespace narrow::runtime {
namespace {

using test::coverage_of;

constexpr int64_t kSteps = 4;
constexpr int64_t kInputs = 3;
constexpr int64_t kHidden = 5;
constexpr int64_t kGates = 4 * kHidden;

template <class T>
Tensor codes(const Shape& shape, uint32_t seed) {
  std::mt19937 random(seed);
  std::uniform_int_distribution<int> draw(std::numeric_limits<T>::min(), std::numeric_limits<T>::max());
  Tensor result(data_type_of<T>(), shape);
  for (T& element : result.mutable_data<T>()) element = static_cast<T>(draw(random));
  return result;
}

/// One row times codes [columns, gates] of one direction, the row quantized as DynamicQuantizeLinear does.
std::vector<double> dynamic_row(const std::vector<float>& row, const std::function<double(size_t, size_t)>& weight,
                                size_t gates, float low, float high) {
  const float scale = (high - low) / 255.0F;
  const float zero = scale == 0 ? 0 : std::nearbyint(-low / scale);
  std::vector<double> result(gates, 0.0);
  for (size_t k = 0; k < row.size(); ++k) {
    const float code = scale == 0 ? zero : std::clamp(std::nearbyint(row[k] / scale) + zero, 0.0F, 255.0F);
    for (size_t g = 0; g < gates; ++g) result[g] += static_cast<double>((code - zero) * scale) * weight(k, g);
  }
  return result;
}

double sigmoid(double x) {
  return 1 / (1 + std::exp(-x));
}

struct Weights {
  Tensor codes;   // [2, columns, gates]
  Tensor scales;  // [2] or [2, gates]
  Tensor zeros;   // of them

  double real(size_t direction, size_t column, size_t gate) const {
    const auto columns = static_cast<size_t>(codes.shape()[1]);
    const auto gates = static_cast<size_t>(codes.shape()[2]);
    const size_t group = scales.rank() == 1 ? direction : direction * gates + gate;
    const Tensor all = to_float32(codes);
    const float code = all.data<float>()[(direction * columns + column) * gates + gate];
    return static_cast<double>((code - to_float32(zeros).data<float>()[group]) * scales.data<float>()[group]);
  }
};

/// y [steps, 2, 1, hidden] of the bidirectional LSTM, batch 1. Gates are in the order i, o, f, c.
std::vector<double> by_definition(const Tensor& x, const Weights& w, const Weights& r, const Tensor& bias) {
  std::vector<double> y(static_cast<size_t>(kSteps * 2 * kHidden));
  const auto inputs = x.data<float>();
  const float low = std::min(0.0F, *std::min_element(inputs.begin(), inputs.end()));
  const float high = std::max(0.0F, *std::max_element(inputs.begin(), inputs.end()));
  for (size_t d = 0; d < 2; ++d) {
    std::vector<float> hidden(kHidden, 0.0F);
    std::vector<double> cell(kHidden, 0.0);
    for (size_t t = 0; t < kSteps; ++t) {
      const size_t step = d == 0 ? t : kSteps - 1 - t;
      const std::vector<float> row(inputs.begin() + static_cast<int64_t>(step) * kInputs,
                                   inputs.begin() + static_cast<int64_t>(step + 1) * kInputs);
      const auto from_x = dynamic_row(
          row, [&](size_t k, size_t g) { return w.real(d, k, g); }, kGates, low, high);
      const float least = std::min(0.0F, *std::min_element(hidden.begin(), hidden.end()));
      const float most = std::max(0.0F, *std::max_element(hidden.begin(), hidden.end()));
      const auto from_h = dynamic_row(
          hidden, [&](size_t k, size_t g) { return r.real(d, k, g); }, kGates, least, most);
      const auto gate = [&](size_t block, size_t i) {
        const size_t at = block * kHidden + i;
        const float* own = bias.data<float>().data() + d * 2 * kGates;
        return from_x[at] + from_h[at] + static_cast<double>(own[at]) + static_cast<double>(own[kGates + at]);
      };
      for (size_t i = 0; i < kHidden; ++i) {
        cell[i] = sigmoid(gate(2, i)) * cell[i] + sigmoid(gate(0, i)) * std::tanh(gate(3, i));
        const double h = sigmoid(gate(1, i)) * std::tanh(cell[i]);
        y[(step * 2 + d) * kHidden + i] = h;
      }
      for (size_t i = 0; i < kHidden; ++i) hidden[i] = static_cast<float>(y[(step * 2 + d) * kHidden + i]);
    }
  }
  return y;
}

graph::Model dynamic_model(const Weights& w, const Weights& r, const Tensor& bias) {
  graph::Model model = narrow::test::model_from_text(R"(<ir_version: 8, opset_import: ["": 17, "com.microsoft": 1]>
g (float[4,1,3] x) => (float[4,2,1,5] y) {
  [cells] y = com.microsoft.DynamicQuantizeLSTM <hidden_size = 5, direction = "bidirectional">
      (x, w, r, b, , , , , ws, wz, rs, rz)
})");
  const auto add = [&](const char* name, const Tensor& tensor) {
    *model.mutable_graph().add_initializer() = graph::tensor_proto(name, tensor);
  };
  add("w", w.codes);
  add("ws", w.scales);
  add("wz", w.zeros);
  add("r", r.codes);
  add("rs", r.scales);
  add("rz", r.zeros);
  add("b", bias);
  return model;
}

template <class T>
void expect_dynamic(const Shape& scale_shape) {
  const Weights w{codes<T>({2, kInputs, kGates}, 1), narrow::test::uniform(scale_shape, 2, 0.002F, 0.01F),
                  codes<T>(scale_shape, 3)};
  const Weights r{codes<T>({2, kHidden, kGates}, 4), narrow::test::uniform(scale_shape, 5, 0.002F, 0.01F),
                  codes<T>(scale_shape, 6)};
  const Tensor bias = narrow::test::uniform({2, 2 * kGates}, 7);
  const Tensor x = narrow::test::uniform({kSteps, 1, kInputs}, 8, -2, 3);
  const graph::Model model = dynamic_model(w, r, bias);
  LoweredModel lowered = lower(model);
  EXPECT_TRUE(coverage_of(lowered, "cells").integer);
  count_macs(lowered, {{"x", x}});
  EXPECT_EQ(coverage_of(lowered, "cells").macs, kSteps * 2 * kGates * (kInputs + kHidden));
  const Tensor y = test::run(lowered, {{"x", x}}).outputs[0];
  const std::vector<double> expected = by_definition(x, w, r, bias);
  for (size_t i = 0; i < expected.size(); ++i) EXPECT_NEAR(y.data<float>()[i], expected[i], 1e-6) << i;
}

TEST(DynamicLstm, OneScaleForEachDirection) {
  expect_dynamic<int8_t>({2});
}

TEST(DynamicLstm, UnsignedCodesAndScalesForEachGateWithZeroPoints) {
  expect_dynamic<uint8_t>({2, kGates});
}

TEST(DynamicLstm, ZeroPointsOfEachGate) {
  expect_dynamic<int8_t>({2, kGates});
}

struct QdqCase {
  const char* op_type;
  const char* attributes;
  int64_t gates;
  int64_t directions;
};

class QdqRecurrent : public testing::TestWithParam<QdqCase> {};

/// x has a QuantizeLinear in front, W and R are int8 with scales for each row of the gates.
graph::Model qdq_recurrent(const QdqCase& kind) {
  graph::Model model = narrow::test::graph_from_text(fmt::format(R"(g (float[4,2,3] x) => (float[4,D,2,5] y)
<float s = {{0.02}}, uint8 z = {{100}}> {{
  x_q = QuantizeLinear(x, s, z)
  x_r = DequantizeLinear(x_q, s, z)
  w = DequantizeLinear<axis = 1>(w_q, ws, wz)
  r = DequantizeLinear<axis = 1>(r_q, rs, wz)
  [cells] y = {} <hidden_size = 5{}> (x_r, w, r, b) }})",
                                                                 kind.op_type, kind.attributes));
  const int64_t rows = kind.gates * kHidden;
  const auto add = [&](const char* name, const Tensor& tensor) {
    *model.mutable_graph().add_initializer() = graph::tensor_proto(name, tensor);
  };
  add("w_q", codes<int8_t>({kind.directions, rows, kInputs}, 1));
  add("r_q", codes<int8_t>({kind.directions, rows, kHidden}, 2));
  add("ws", narrow::test::uniform({rows}, 3, 0.002F, 0.01F));
  add("rs", narrow::test::uniform({rows}, 4, 0.002F, 0.01F));
  Tensor zeros(DataType::kInt8, {rows});
  for (int8_t& zero : zeros.mutable_data<int8_t>()) zero = 0;
  add("wz", zeros);
  add("b", narrow::test::uniform({kind.directions, 2 * rows}, 5));
  io::infer_shapes(model);
  return model;
}

TEST_P(QdqRecurrent, TheProductOfQuantizedInputsRunsOnIntegers) {
  const graph::Model model = qdq_recurrent(GetParam());
  const LoweredModel lowered = lower(model);
  const Tensor x = narrow::test::uniform({kSteps, 2, kInputs}, 8, -2, 3);
  const auto ran = test::run(lowered, {{"x", x}});
  EXPECT_FALSE(ran.values.contains("x_r"));  // the layer reads x_q
  EXPECT_FALSE(coverage_of(lowered, "cells").integer);
  EXPECT_EQ(coverage_of(lowered, "cells").reason->code, ReasonCode::kNotFusable);
  Workspace workspace;
  const Tensor expected = exec::compile_float(model).run({{"x", x}}, workspace)[0];
  ASSERT_EQ(ran.outputs[0].shape(), expected.shape());
  for (size_t i = 0; i < static_cast<size_t>(expected.size()); ++i) {
    EXPECT_NEAR(ran.outputs[0].data<float>()[i], expected.data<float>()[i], 1e-6) << i;
  }
}

INSTANTIATE_TEST_SUITE_P(All, QdqRecurrent,
                         testing::Values(QdqCase{"LSTM", R"(, direction = "bidirectional")", 4, 2},
                                         QdqCase{"GRU", "", 3, 1}, QdqCase{"GRU", ", linear_before_reset = 1", 3, 1},
                                         QdqCase{"RNN", R"(, direction = "reverse")", 1, 1}),
                         [](const auto& row) { return fmt::format("{}{}", row.param.op_type, row.index); });

}  // namespace
}  // namespace narrow::runtime
