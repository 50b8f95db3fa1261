// Recurrent layers whose products run on integers.
//
//   x_q -> DQ -> x -> LSTM(x, DQ(w_q), DQ(r_q))     the product of x's integers with w_q's; the state is float32, and
//   so
//                                                   is its product
//   x -> DynamicQuantizeLSTM(x, w_q, r_q)           both: x is quantized as a whole, the state at every step
#include <fmt/format.h>

#include <algorithm>

#include "lib/base/error.h"
#include "lib/exec/kernels/recurrent_product.h"
#include "lib/graph/attributes.h"
#include "lib/runtime/integer_step.h"
#include "lib/runtime/kernels/dynamic_product.h"
#include "lib/runtime/kernels/product_kernels.h"
#include "lib/runtime/product_operands.h"
#include "lib/runtime/signed_weights.h"

namespace narrow::runtime {
namespace {

using exec::GateProductPtr;

constexpr int kInput = 0;
constexpr int kInputWeights = 1;
constexpr int kRecurrentWeights = 2;

Tensor matrix_of(const Tensor& weights, int64_t direction) {
  Workspace workspace;
  return exec::piece_of(weights, {.axis = 0, .begin = direction, .size = 1}, workspace)
      .reshaped({weights.shape()[1], weights.shape()[2]});
}

/// Elements of one direction's row, or all of those that serve every direction.
template <class T>
std::vector<T> own_part(std::span<const T> values, size_t directions, size_t direction, bool by_direction) {
  if (!by_direction) return {values.begin(), values.end()};
  const auto own = values.subspan(values.size() / directions * direction, values.size() / directions);
  return {own.begin(), own.end()};
}

size_t direction_count(const onnx::NodeProto& node) {
  return graph::string_attribute(node, "direction", "forward") == "bidirectional" ? 2 : 1;
}

/// A step of the node with these products. `x`: what the input's product takes.
IntegerGroup group_of(const LowerContext& context, const onnx::NodeProto& node, exec::RecurrentWeights weights,
                      const std::string& x) {
  FloatKernel made = make_float_kernel(context, node, [&](const exec::KernelRequest& request) {
    return exec::make_recurrent_of(request, std::move(weights));
  });
  IntegerGroup group;
  IntegerStep step{std::move(made.kernel), {}, {node.output().begin(), node.output().end()}};
  for (int i = 0; i < std::min(node.input_size(), 8); ++i) {
    const bool absent = made.held[static_cast<size_t>(i)] || i == kInputWeights || i == kRecurrentWeights;
    step.inputs.push_back(i == kInput ? x : absent ? std::string() : context.quant.canonical(node.input(i)));
  }
  group.steps.push_back(std::move(step));
  group.nodes = {&node};
  return group;
}

/// One of the weights of a DynamicQuantizeLSTM [directions, columns, gates], with its scales and zero points
/// [directions] or [directions, gates].
struct DynamicWeights {
  Tensor codes;
  Tensor scales;
  Tensor zeros;  // may be undefined
};

DynamicWeights dynamic_weights(const LowerContext& context, const onnx::NodeProto& node, int codes, int scales) {
  const auto constant = [&](int i) {
    const Tensor* found = i < node.input_size() ? context.constant(node.input(i)) : nullptr;
    return found == nullptr ? Tensor() : *found;
  };
  return {constant(codes), constant(scales), constant(scales + 1)};
}

std::optional<Reason> why_not(const DynamicWeights& weights, const onnx::NodeProto& node, int i) {
  const Shape& shape = weights.codes.shape();
  const std::string& name = node.input(i);
  if (!weights.codes.defined() || !weights.scales.defined()) return Reason{ReasonCode::kWeightNotConstant, name};
  const auto directions = static_cast<int64_t>(direction_count(node));
  const bool fits = shape.size() == 3 && shape[0] == directions && is_byte(weights.codes.type()) &&
                    weights.scales.type() == DataType::kFloat32 &&
                    (weights.scales.size() == shape[0] || weights.scales.size() == shape[0] * shape[2]) &&
                    (!weights.zeros.defined() ||
                     (weights.zeros.size() == weights.scales.size() && weights.zeros.type() == weights.codes.type()));
  if (fits) return std::nullopt;
  return Reason{ReasonCode::kNoIntegerKernel, fmt::format("scales or zero points do not fit the weights '{}'", name)};
}

GateProductPtr dynamic_product(const DynamicWeights& weights, size_t direction) {
  const auto directions = static_cast<size_t>(weights.codes.shape()[0]);
  std::vector<int32_t> zeros(static_cast<size_t>(weights.scales.size()), 0);
  if (weights.zeros.defined()) {
    const Tensor real = to_float32(weights.zeros);
    std::transform(real.data<float>().begin(), real.data<float>().end(), zeros.begin(),
                   [](float zero) { return static_cast<int32_t>(zero); });
  }
  std::vector<int32_t> own_zeros = own_part<int32_t>(zeros, directions, direction, true);
  const std::optional<int64_t> axis = own_zeros.size() > 1 ? std::optional<int64_t>(1) : std::nullopt;
  SignedWeights own =
      sign_weights(matrix_of(weights.codes, static_cast<int64_t>(direction)), std::move(own_zeros), axis);
  return exec::kernel_product(
      make_dynamic_product({.weights = std::move(own.integers),
                            .weight_zero_points = std::move(own.zero_points),
                            .weight_scales = own_part(weights.scales.data<float>(), directions, direction, true)}));
}

/// The product of the integers of x with those of W [directions, rows, columns].
GateProductPtr input_product(const LowerContext& context, const Quantized& x, const Tensor& integers,
                             const quant::QuantParams& params, size_t direction) {
  const auto directions = static_cast<size_t>(integers.shape()[0]);
  const bool by_direction = params.axis && *params.axis == 0;
  std::vector<int32_t> zeros = own_part<int32_t>(params.zero_points, directions, direction, by_direction);
  const std::optional<int64_t> axis = zeros.size() > 1 ? std::optional<int64_t>(0) : std::nullopt;
  SignedWeights own = sign_weights(matrix_of(integers, static_cast<int64_t>(direction)), std::move(zeros), axis);
  MatmulGroup group;
  set_source(group, x);
  group.transpose_b = true;
  group.weights = std::move(own.integers);
  group.weight_zero_points = std::move(own.zero_points);
  group.requantize.weight_scales = own_part<float>(params.scales, directions, direction, by_direction);
  return exec::kernel_product(make_matmul(std::move(group), context.choice));
}

}  // namespace

GroupOrReason lower_dynamic_lstm(const LowerContext& context, const onnx::NodeProto& node) {
  constexpr int kInputScales = 8;
  constexpr int kRecurrentScales = 10;
  if (node.input_size() <= kRecurrentScales) return Reason{ReasonCode::kNoIntegerKernel, "scales are absent"};
  const DynamicWeights w = dynamic_weights(context, node, kInputWeights, kInputScales);
  const DynamicWeights r = dynamic_weights(context, node, kRecurrentWeights, kRecurrentScales);
  if (auto reason = why_not(w, node, kInputWeights)) return *std::move(reason);
  if (auto reason = why_not(r, node, kRecurrentWeights)) return *std::move(reason);
  constexpr int64_t kGates = 4;
  const int64_t hidden = r.codes.shape()[1];
  if (w.codes.shape()[2] != kGates * hidden || r.codes.shape()[2] != kGates * hidden) {
    throw Error(ErrorKind::kModel, "weights {} and {} of {} gates", shape_text(w.codes.shape()),
                shape_text(r.codes.shape()), kGates);
  }
  exec::RecurrentWeights weights{
      .input_size = w.codes.shape()[1], .hidden_size = static_cast<size_t>(hidden), .directions = {}};
  for (size_t d = 0; d < direction_count(node); ++d) {
    weights.directions.push_back(
        {.input = dynamic_product(w, d), .recurrent = dynamic_product(r, d), .candidate = nullptr});
  }
  return group_of(context, node, std::move(weights), context.quant.canonical(node.input(kInput)));
}

GroupOrReason lower_recurrent(const LowerContext& context, const onnx::NodeProto& node) {
  const Quantized* x = activation(context, node, kInput);
  if (x == nullptr) return no_activation(context, node, kInput);
  const std::optional<Tensor> integers = weight_integers(context, node);
  if (!integers) return not_constant_weights(context, node);
  const quant::QuantParams& params = context.quant.source(node.input(kInputWeights))->params;
  const Tensor* r = node.input_size() > kRecurrentWeights ? context.constant(node.input(kRecurrentWeights)) : nullptr;
  if (r == nullptr) return Reason{ReasonCode::kWeightNotConstant, "R"};
  exec::CellSpec spec = exec::cell_spec(node);
  const Shape& shape = integers->shape();
  const auto directions = static_cast<int64_t>(direction_count(node));
  if (shape.size() != 3 || r->rank() != 3 || r->type() != DataType::kFloat32 || shape[0] != directions) {
    return Reason{ReasonCode::kNoIntegerKernel, "weights have other shapes or types"};
  }
  if (params.axis && *params.axis > 1) {
    return Reason{ReasonCode::kNoIntegerKernel, fmt::format("weights have scales along axis {}", *params.axis)};
  }
  spec.hidden = static_cast<size_t>(r->shape()[2]);
  const auto gates = static_cast<int64_t>(exec::gate_count(spec.kind) * spec.hidden);
  if (shape[1] != gates || r->shape()[0] != directions || r->shape()[1] != gates) {
    throw Error(ErrorKind::kModel, "weights {} and {} of {} directions", shape_text(shape), shape_text(r->shape()),
                directions);
  }
  Workspace workspace;
  const exec::RecurrentRows rows = exec::recurrent_rows(spec);
  exec::RecurrentWeights weights{.input_size = shape[2], .hidden_size = spec.hidden, .directions = {}};
  for (size_t d = 0; d < static_cast<size_t>(directions); ++d) {
    const auto product = [&](const exec::Piece& piece) {
      return piece.size == 0 ? nullptr : exec::float_product(*r, d, piece, /*constant=*/true, workspace);
    };
    weights.directions.push_back({.input = input_product(context, *x, *integers, params, d),
                                  .recurrent = product(rows.first),
                                  .candidate = product(rows.candidate)});
  }
  IntegerGroup group = group_of(context, node, std::move(weights), x->integer);
  group.float_rest =
      Reason{ReasonCode::kNotFusable, "its state is float32: only the product of its inputs runs on integers"};
  return group;
}

}  // namespace narrow::runtime
