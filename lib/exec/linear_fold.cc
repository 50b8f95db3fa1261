#include "lib/exec/linear_fold.h"

#include <algorithm>
#include <cmath>

#include "lib/exec/kernels/support.h"
#include "lib/graph/attributes.h"

namespace narrow::exec {
namespace {

ProductChannels channels_of(const onnx::NodeProto& product, const Shape& weights) {
  if (product.op_type() == "Conv") return {weights[0], weights.size(), weights.size() - 1};
  if (product.op_type() == "MatMul") return {weights.back(), 1, 1, /*second_axis=*/false};
  return {weights[graph::int_attribute(product, "transB", 0) != 0 ? 0 : 1], 2, 1};
}

// One number, or one for each output channel.
bool is_per_channel(const Tensor& constant, const ProductChannels& channels) {
  if (constant.rank() > channels.rank) return false;
  if (constant.size() == 1) return true;
  for (size_t i = 1; i <= constant.rank(); ++i) {
    const int64_t expected = i == channels.from_back ? channels.count : 1;
    if (constant.shape()[constant.rank() - i] != expected) return false;
  }
  return constant.size() == channels.count;
}

const Tensor* float_constant(const onnx::NodeProto& node, int input, const FindConstant& find) {
  const Tensor* value = find(node.input(input));
  return value != nullptr && value->type() == DataType::kFloat32 ? value : nullptr;
}

bool folds_normalization(const onnx::NodeProto& node, int opset, const std::string& value,
                         const ProductChannels& channels, const FindConstant& find) {
  if (!channels.second_axis || node.input(0) != value) return false;
  if (graph::int_attribute(node, "training_mode", 0) != 0 || opset < 9 || node.output_size() != 1) return false;
  for (int i = 1; i < 5; ++i) {
    const Tensor* parameter = float_constant(node, i, find);
    if (parameter == nullptr || parameter->size() != channels.count) return false;
    const auto values = parameter->data<float>();
    if (!std::all_of(values.begin(), values.end(), [](float x) { return std::isfinite(x); })) return false;
  }
  const float epsilon = graph::float_attribute(node, "epsilon", 1e-5F);
  const auto variances = find(node.input(4))->data<float>();
  return std::all_of(variances.begin(), variances.end(), [epsilon](float x) { return x + epsilon > 0; });
}

ScaleAndShift of_normalization(const onnx::NodeProto& node, const FindConstant& find, size_t channel) {
  const auto parameter = [&](int input) {
    return static_cast<double>(find(node.input(input))->data<float>()[channel]);
  };
  const double epsilon = static_cast<double>(graph::float_attribute(node, "epsilon", 1e-5F));
  const double scale = parameter(1) / std::sqrt(parameter(4) + epsilon);
  return {scale, parameter(2) - parameter(3) * scale};
}

ScaleAndShift of_arithmetic(const onnx::NodeProto& node, const FindConstant& find, size_t channel) {
  const int side = find(node.input(0)) != nullptr ? 0 : 1;  // the constant operand's
  const auto values = find(node.input(side))->data<float>();
  const auto constant = static_cast<double>(values.size() == 1 ? values[0] : values[channel]);
  const std::string& op = node.op_type();
  if (op == "Add") return {1, constant};
  if (op == "Mul") return {constant, 0};
  if (op == "Div") return {1 / constant, 0};
  return side == 0 ? ScaleAndShift{-1, constant} : ScaleAndShift{1, -constant};
}

FindConstant finder(const Constants& constants) {
  return [&](const std::string& value) { return constants.find(value); };
}

}  // namespace

bool scales_channels(const onnx::NodeProto& node, int opset, const std::string& value, const ProductChannels& channels,
                     const FindConstant& find) {
  const std::string& op = node.op_type();
  if (op == "BatchNormalization") return folds_normalization(node, opset, value, channels, find);
  if (op != "Add" && op != "Sub" && op != "Mul" && op != "Div") return false;
  const int other = node.input(0) == value ? 1 : 0;
  if (opset < 7 || node.input(other) == value || (op == "Div" && other == 0)) return false;
  const Tensor* constant = float_constant(node, other, find);
  if (constant == nullptr || !is_per_channel(*constant, channels)) return false;
  const auto values = constant->data<float>();
  return std::all_of(values.begin(), values.end(),
                     [&](float v) { return std::isfinite(v) && (op != "Div" || v != 0); });
}

ScaleAndShift scale_and_shift(const onnx::NodeProto& node, const FindConstant& find, size_t channel) {
  return node.op_type() == "BatchNormalization" ? of_normalization(node, find, channel)
                                                : of_arithmetic(node, find, channel);
}

bool folds_into_product(const onnx::NodeProto& node, const std::string& value, const onnx::NodeProto& product,
                        const FusionContext& context) {
  const ProductChannels channels = channels_of(product, context.constants.find(product.input(1))->shape());
  return scales_channels(node, context.opset(node), value, channels, finder(context.constants));
}

bool spatial_zero_padding(const onnx::NodeProto& pad, const FusionContext& context) {
  if (graph::string_attribute(pad, "mode", "constant") != "constant") return false;
  if (pad.input_size() > 3 && !pad.input(3).empty()) return false;
  if (pad.input_size() > 2 && !pad.input(2).empty()) {
    const Tensor* value = context.float_constant(pad, 2);
    if (value == nullptr || value->size() != 1 || value->data<float>()[0] != 0) return false;
  }
  const Tensor* amounts = context.constants.find(pad.input(1));
  if (amounts == nullptr || amounts->type() != DataType::kInt64) return false;
  const auto values = amounts->data<int64_t>();
  const size_t rank = values.size() / 2;
  for (size_t i = 0; i < values.size(); ++i) {
    if (values[i] < 0 || (i % rank < 2 && values[i] != 0)) return false;
  }
  return rank >= 3;
}

ChannelFold fold_channels(std::span<const onnx::NodeProto* const> nodes, const FindConstant& find, const Tensor& bias,
                          size_t channels) {
  ChannelFold result{.scales = std::vector<double>(channels, 1),
                     .bias = Tensor(DataType::kFloat32, {static_cast<int64_t>(channels)})};
  const auto biases = result.bias.mutable_data<float>();
  for (size_t c = 0; c < channels; ++c) {
    double sum = bias.defined() ? static_cast<double>(bias.data<float>()[c]) : 0;
    for (const onnx::NodeProto* node : nodes) {
      const ScaleAndShift next = scale_and_shift(*node, find, c);
      sum = sum * next.scale + next.shift;
      result.scales[c] *= next.scale;
    }
    biases[c] = static_cast<float>(sum);
  }
  return result;
}

ProductConstants fold_linear(ProductConstants product, const FusedGroup& group, const Constants& constants) {
  if (group.linear.empty()) return product;
  const Shape& shape = product.weights.shape();
  const auto channels = static_cast<size_t>(shape[product.channel_axis]);
  size_t inner = 1;
  for (size_t axis = product.channel_axis + 1; axis < shape.size(); ++axis) inner *= static_cast<size_t>(shape[axis]);
  auto [scales, bias] = fold_channels(group.linear, finder(constants), product.bias, channels);
  product.bias = std::move(bias);
  if (std::all_of(scales.begin(), scales.end(), [](double scale) { return scale == 1; })) return product;
  const auto weights = product.weights.mutable_data<float>();
  for (size_t i = 0; i < weights.size(); ++i) {
    weights[i] = static_cast<float>(static_cast<double>(weights[i]) * scales[i / inner % channels]);
  }
  return product;
}

onnx::NodeProto with_padding(const onnx::NodeProto& convolution, const onnx::NodeProto& pad,
                             const Constants& constants) {
  const std::vector<int64_t> amounts = int_list(*constants.find(pad.input(1)));
  const size_t rank = amounts.size() / 2;
  std::vector<int64_t> pads = graph::ints_attribute(convolution, "pads");
  pads.resize(2 * (rank - 2), 0);
  for (size_t axis = 0; axis + 2 < rank; ++axis) {
    pads[axis] += amounts[axis + 2];
    pads[axis + rank - 2] += amounts[axis + 2 + rank];
  }
  onnx::NodeProto result = convolution;
  result.set_input(0, pad.input(0));
  auto& attributes = *result.mutable_attribute();
  attributes.erase(
      std::remove_if(attributes.begin(), attributes.end(), [](const auto& a) { return a.name() == "pads"; }),
      attributes.end());
  onnx::AttributeProto* attribute = result.add_attribute();
  attribute->set_name("pads");
  attribute->set_type(onnx::AttributeProto::INTS);
  for (const int64_t amount : pads) attribute->add_ints(amount);
  return result;
}

}  // namespace narrow::exec
