// ConvTranspose as an integer convolution: outputs at the same place within a stride meet the same weights, so each
// such phase is a convolution of its own. All phases are channels of one; DepthToSpace puts them in place, Slice takes
// off what the pads cut away.
//
//   y[s q + r] = sum over t of x[q - t] * w[r + s t]
#include <limits>

#include "lib/base/error.h"
#include "lib/graph/attributes.h"
#include "lib/runtime/kernels/product_kernels.h"
#include "lib/runtime/product_channels.h"
#include "lib/runtime/product_operands.h"
#include "lib/runtime/signed_weights.h"

namespace narrow::runtime {
namespace {

/// Of two spatial axes.
struct Transposed {
  int64_t stride = 1;
  int64_t groups = 1;
  std::vector<int64_t> kernel;
  std::vector<int64_t> taps;  // of one phase
  std::vector<int64_t> begin;
  std::vector<int64_t> cut;  // behind the end
};

std::variant<Transposed, Reason> transposed_of(const onnx::NodeProto& node, const Shape& weights) {
  const auto refuse = [](const char* why) { return Reason{ReasonCode::kNoIntegerKernel, why}; };
  if (weights.size() != 4) return refuse("it has not two spatial axes");
  const exec::WindowAttributes window = exec::window_attributes(node);
  if (window.auto_pad != exec::AutoPad::kNotSet || graph::find_attribute(node, "output_shape") != nullptr) {
    return refuse("its pads depend on its size");
  }
  const auto list = [&](std::string_view name, int64_t fill, size_t size) {
    std::vector<int64_t> values = graph::ints_attribute(node, name);
    values.resize(size, fill);
    return values;
  };
  const auto strides = list("strides", 1, 2);
  const auto dilations = list("dilations", 1, 2);
  const auto pads = list("pads", 0, 4);
  const auto more = list("output_padding", 0, 2);
  if (strides[0] != strides[1]) return refuse("its strides differ");
  if (dilations[0] != 1 || dilations[1] != 1) return refuse("it is dilated");
  Transposed result{.stride = strides[0], .groups = graph::int_attribute(node, "group", 1)};
  if (result.stride < 1) return refuse("its strides are not positive");
  if (result.groups < 1 || weights[0] % result.groups != 0) return refuse("its groups do not divide its channels");
  for (size_t axis = 0; axis < 2; ++axis) {
    const int64_t kernel = weights[axis + 2];
    result.kernel.push_back(kernel);
    result.taps.push_back((kernel + result.stride - 1) / result.stride);
    result.begin.push_back(pads[axis]);
    result.cut.push_back(result.stride * result.taps[axis] - kernel - more[axis] + pads[axis + 2]);
    if (pads[axis] < 0 || result.cut[axis] < 0) return refuse("it makes more than its input reaches");
  }
  return result;
}

/// [C, M/g, kernel] -> [M s s, C/g, taps]: channel m s s + r, taps from the last to the first. Taps that a phase has
/// not are real zeros.
Tensor phases_of(const SignedWeights& weights, const Transposed& shape) {
  const Shape& from = weights.integers.shape();
  const int64_t inputs = from[0] / shape.groups;
  const int64_t outputs = from[1];  // of one group
  const int64_t s = shape.stride;
  Tensor result(DataType::kInt8, {outputs * shape.groups * s * s, inputs, shape.taps[0], shape.taps[1]});
  const auto source = weights.integers.data<int8_t>();
  const auto target = result.mutable_data<int8_t>();
  size_t at = 0;
  for (int64_t channel = 0; channel < result.shape()[0]; ++channel) {
    const int64_t m = channel / (s * s);
    const int64_t zero = weights.zero_points[weights.zero_points.size() == 1 ? 0 : static_cast<size_t>(m)];
    for (int64_t c = 0; c < inputs; ++c) {
      const int64_t plane = (m / outputs * inputs + c) * outputs + m % outputs;
      for (int64_t i = 0; i < shape.taps[0]; ++i) {
        const int64_t row = channel / s % s + s * (shape.taps[0] - 1 - i);
        for (int64_t j = 0; j < shape.taps[1]; ++j) {
          const int64_t column = channel % s + s * (shape.taps[1] - 1 - j);
          const bool there = row < shape.kernel[0] && column < shape.kernel[1];
          const int64_t place = (plane * shape.kernel[0] + row) * shape.kernel[1] + column;
          target[at++] = there ? source[static_cast<size_t>(place)] : static_cast<int8_t>(zero);
        }
      }
    }
  }
  return result;
}

/// Each element so many times.
template <class Value>
std::vector<Value> repeated(const std::vector<Value>& values, int64_t times) {
  if (values.size() == 1) return values;
  std::vector<Value> result;
  for (const Value value : values) result.insert(result.end(), static_cast<size_t>(times), value);
  return result;
}

Tensor repeated(const Tensor& bias, int64_t times) {
  if (!bias.defined()) return bias;
  Tensor result(DataType::kFloat32, {bias.size() * times});
  for (int64_t i = 0; i < result.size(); ++i) {
    result.mutable_data<float>()[static_cast<size_t>(i)] = bias.data<float>()[static_cast<size_t>(i / times)];
  }
  return result;
}

exec::KernelPtr kernel_of(const onnx::NodeProto& node, int opset) {
  exec::KernelRequest request;
  request.node = &node;
  request.opset = opset;
  request.constant = [](int) -> const Tensor* { return nullptr; };
  return exec::make_kernel(request);
}

exec::KernelPtr make_depth_to_space(int64_t block) {
  onnx::NodeProto node;
  node.set_op_type("DepthToSpace");
  node.add_input("x");
  node.add_output("y");
  graph::set_int_attribute(node, "blocksize", block);
  onnx::AttributeProto& mode = *node.add_attribute();
  mode.set_name("mode");
  mode.set_type(onnx::AttributeProto::STRING);
  mode.set_s("CRD");  // so that the phases of a channel lie together, and channels of a group too
  return kernel_of(node, 13);
}

exec::KernelPtr make_crop(const Transposed& shape) {
  onnx::NodeProto node;
  node.set_op_type("Slice");
  node.add_input("x");
  node.add_output("y");
  std::vector<int64_t> ends;
  for (const int64_t cut : shape.cut) ends.push_back(cut == 0 ? std::numeric_limits<int64_t>::max() : -cut);
  graph::set_ints_attribute(node, "starts", shape.begin);
  graph::set_ints_attribute(node, "ends", ends);
  graph::set_ints_attribute(node, "axes", {2, 3});
  return kernel_of(node, 9);  // the last one with attributes
}

}  // namespace

GroupOrReason lower_deconvolution(const LowerContext& context, const onnx::NodeProto& node) {
  const Quantized* x = activation(context, node, 0);
  if (x == nullptr) return no_activation(context, node, 0);
  const std::optional<Tensor> weights = weight_integers(context, node);
  if (!weights) return not_constant_weights(context, node);
  auto shape_or_reason = transposed_of(node, weights->shape());
  if (auto* reason = std::get_if<Reason>(&shape_or_reason)) return std::move(*reason);
  const Transposed& shape = std::get<Transposed>(shape_or_reason);
  const int64_t channels = weights->shape()[1] * shape.groups;
  const quant::QuantParams& params = context.quant.source(node.input(1))->params;
  if (params.axis && (*params.axis != 1 || shape.groups != 1)) {
    return Reason{ReasonCode::kNoIntegerKernel, fmt::format("weights have scales along axis {}", *params.axis)};
  }
  ConvolutionGroup group;
  set_source(group, *x);
  if (node.input_size() > 2 && !node.input(2).empty()) {
    const Tensor* bias = context.constant(node.input(2));
    if (bias == nullptr || bias->type() != DataType::kFloat32 || bias->size() != channels) {
      return Reason{ReasonCode::kBiasNotConstant, node.input(2)};
    }
    group.bias = *bias;
  }
  const SignedWeights own = sign_weights(*weights, params.zero_points, params.axis);
  group.requantize.weight_scales = params.scales;
  const exec::ProductChannels by_channel{.count = channels, .rank = 4, .from_back = 3};
  const GroupEnd end = find_end(context, node, &by_channel);
  fold_linear(context, end, channels, group);
  const int64_t phases = shape.stride * shape.stride;
  group.weights = phases_of(own, shape);
  group.weight_zero_points = repeated(own.zero_points, phases);
  group.requantize.weight_scales = repeated(group.requantize.weight_scales, phases);
  group.bias = repeated(group.bias, phases);
  group.groups = shape.groups;
  group.window = {.kernel = shape.taps,
                  .strides = {1, 1},
                  .dilations = {1, 1},
                  .pads = {shape.taps[0] - 1, shape.taps[1] - 1, shape.taps[0] - 1, shape.taps[1] - 1}};
  const std::string output = set_destination(group, end);
  const std::string phased = node.output(0) + "/phases";
  const std::string whole = node.output(0) + "/whole";
  IntegerGroup result;
  result.steps.push_back({make_convolution(std::move(group), context.choice), {x->integer}, {phased}});
  result.steps.push_back({make_depth_to_space(shape.stride), {phased}, {whole}});
  result.steps.push_back({make_crop(shape), {whole}, {output}});
  result.nodes = end.nodes;
  return result;
}

}  // namespace narrow::runtime
