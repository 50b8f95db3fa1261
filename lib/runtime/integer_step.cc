#include "lib/runtime/integer_step.h"

#include <algorithm>
#include <span>

#include "lib/base/error.h"
#include "lib/graph/attributes.h"
#include "lib/graph/model.h"

namespace narrow::runtime {
namespace {

struct LoweringRow {
  std::string_view op_type;
  LowerNode lower;
};

// Sorted by name.
constexpr LoweringRow kLowerings[] = {
    {"Abs", lower_unary},
    {"Acos", lower_unary},
    {"Acosh", lower_unary},
    {"Add", lower_binary},
    {"Asin", lower_unary},
    {"Asinh", lower_unary},
    {"Atan", lower_unary},
    {"Atanh", lower_unary},
    {"AveragePool", lower_average_pool},
    {"BatchNormalization", lower_by_channel},
    {"Ceil", lower_unary},
    {"Celu", lower_unary},
    {"Clip", lower_unary},
    {"Concat", lower_concat},
    {"Conv", lower_convolution},
    {"ConvInteger", lower_conv_integer},
    {"ConvTranspose", lower_deconvolution},
    {"Cos", lower_unary},
    {"Cosh", lower_unary},
    {"DepthToSpace", lower_movement},
    {"Div", lower_two},
    {"Dropout", lower_dropout},
    {"DynamicQuantizeLinear", lower_dynamic_quantize},
    {"Elu", lower_unary},
    {"Erf", lower_unary},
    {"Exp", lower_unary},
    {"Expand", lower_movement},
    {"Flatten", lower_movement},
    {"Floor", lower_unary},
    {"GRU", lower_recurrent},
    {"Gather", lower_movement},
    {"GatherElements", lower_movement},
    {"GatherND", lower_movement},
    {"Gelu", lower_unary},
    {"Gemm", lower_gemm},
    {"GlobalAveragePool", lower_average_pool},
    {"GlobalMaxPool", lower_max_pool},
    {"HardSigmoid", lower_unary},
    {"HardSwish", lower_unary},
    {"Identity", lower_movement},
    {"LSTM", lower_recurrent},
    {"LayerNormalization", lower_normalization},
    {"LeakyRelu", lower_unary},
    {"Log", lower_unary},
    {"MatMul", lower_matmul},
    {"MatMulInteger", lower_matmul_integer},
    {"Max", lower_two},
    {"MaxPool", lower_max_pool},
    {"Min", lower_two},
    {"Mish", lower_unary},
    {"Mul", lower_binary},
    {"Neg", lower_unary},
    {"PRelu", lower_unary},
    {"Pad", lower_movement},
    {"Pow", lower_unary},
    {"RMSNormalization", lower_normalization},
    {"RNN", lower_recurrent},
    {"Reciprocal", lower_unary},
    {"ReduceMax", lower_movement},
    {"ReduceMean", lower_reduction},
    {"ReduceMin", lower_movement},
    {"ReduceSum", lower_reduction},
    {"Relu", lower_unary},
    {"Reshape", lower_movement},
    {"Resize", lower_movement},
    {"Round", lower_unary},
    {"Selu", lower_unary},
    {"Shrink", lower_unary},
    {"Sigmoid", lower_unary},
    {"Sign", lower_unary},
    {"Sin", lower_unary},
    {"Sinh", lower_unary},
    {"Slice", lower_movement},
    {"Softmax", lower_softmax},
    {"Softplus", lower_unary},
    {"Softsign", lower_unary},
    {"SpaceToDepth", lower_movement},
    {"Split", lower_movement},
    {"Sqrt", lower_unary},
    {"Squeeze", lower_movement},
    {"Sub", lower_binary},
    {"Swish", lower_unary},
    {"Tan", lower_unary},
    {"Tanh", lower_unary},
    {"ThresholdedRelu", lower_unary},
    {"Tile", lower_movement},
    {"Transpose", lower_movement},
    {"Unsqueeze", lower_movement},
};

// Of com.microsoft; the operators that are a pattern of ONNX's own are rewritten to it before (qoperator.h).
constexpr LoweringRow kContribLowerings[] = {
    {"DynamicQuantizeLSTM", lower_dynamic_lstm},
};

LowerNode find_row(std::span<const LoweringRow> rows, std::string_view op_type) {
  const auto row = std::lower_bound(rows.begin(), rows.end(), op_type,
                                    [](const LoweringRow& a, std::string_view b) { return a.op_type < b; });
  return row != rows.end() && row->op_type == op_type ? row->lower : nullptr;
}

}  // namespace

onednn::Clamp compose(const onednn::Clamp& first, const onednn::Clamp& second) {
  const auto limit = [&](float x) { return std::min(std::max(x, second.low), second.high); };
  return {limit(first.low), limit(first.high)};
}

std::optional<onednn::Clamp> clamp_of(const LowerContext& context, const onnx::NodeProto& node) {
  onednn::Clamp clamp;
  if (is_op(node, "Relu")) {
    clamp.low = 0;
    return clamp;
  }
  if (!is_op(node, "Clip")) return std::nullopt;
  if (context.opset(node) < 11) {
    clamp.low = graph::float_attribute(node, "min", clamp.low);
    clamp.high = graph::float_attribute(node, "max", clamp.high);
    return clamp;
  }
  const auto read = [&](int i, float& limit) {
    if (node.input_size() <= i || node.input(i).empty()) return true;
    const Tensor* value = context.constant(node.input(i));
    if (value == nullptr || value->size() != 1 || value->type() != DataType::kFloat32) return false;
    limit = value->data<float>()[0];
    return true;
  };
  return read(1, clamp.low) && read(2, clamp.high) ? std::optional(clamp) : std::nullopt;
}

const Tensor* LowerContext::constant(const std::string& value) const {
  if (value.empty()) return nullptr;
  if (const Tensor* known = constants.find(value)) return known;
  if (const Tensor* known = quant.constant(value)) return known;
  if (const auto found = dequantized_.find(value); found != dequantized_.end()) return &found->second;
  const Quantized* source = quant.source(value);
  const Tensor* integers = source == nullptr ? nullptr : quant.constant(source->integer);
  if (integers == nullptr) return nullptr;
  return &dequantized_.emplace(value, quant::dequantize(*integers, source->params)).first->second;
}

const Shape* LowerContext::constant_shape(const std::string& value) const {
  const Quantized* source = value.empty() ? nullptr : quant.source(value);
  const Tensor* integers = source == nullptr ? nullptr : quant.constant(source->integer);
  if (integers == nullptr) integers = constant(value);
  return integers == nullptr ? nullptr : &integers->shape();
}

bool moves_elements(const onnx::NodeProto& node) {
  const LowerNode lowering = find_lowering(node);
  return lowering == lower_movement || lowering == lower_concat || lowering == lower_max_pool;
}

LowerNode find_lowering(const onnx::NodeProto& node) {
  const std::string_view domain = graph::canonical_domain(node.domain());
  if (domain.empty()) return find_row(kLowerings, node.op_type());
  return domain == "com.microsoft" ? find_row(kContribLowerings, node.op_type()) : nullptr;
}

bool is_elementwise(const onnx::NodeProto& node) {
  const LowerNode lower = find_lowering(node);
  return lower == lower_unary || lower == lower_binary || lower == lower_two;
}

GroupEnd find_end(const LowerContext& context, const onnx::NodeProto& head, const exec::ProductChannels* channels) {
  GroupEnd end{.nodes = {&head}, .linear = {}, .clamp = {}, .real = head.output(0), .target = nullptr};
  const exec::FindConstant find = [&](const std::string& value) { return context.constant(value); };
  while (true) {
    end.target = context.quant.target(end.real);
    if (end.target != nullptr) {
      if (!end.target->per_tensor8()) end.target = nullptr;
      return end;
    }
    const auto uses = context.quant.index().uses(end.real);
    if (uses.size() != 1 || uses[0].input == graph::Use::kCaptured || context.quant.index().is_output(end.real))
      return end;
    const onnx::NodeProto& next = *uses[0].node;
    if (const auto clamp = uses[0].input == 0 ? clamp_of(context, next) : std::nullopt) {
      end.clamp = compose(end.clamp, *clamp);
    } else if (channels != nullptr && end.clamp == onednn::Clamp{} && graph::canonical_domain(next.domain()).empty() &&
               exec::scales_channels(next, context.opset(next), end.real, *channels, find)) {
      end.linear.push_back(&next);
    } else {
      return end;
    }
    end.nodes.push_back(&next);
    end.real = next.output(0);
  }
}

const Quantized* activation(const LowerContext& context, const onnx::NodeProto& node, int i) {
  if (i >= node.input_size()) return nullptr;
  const Quantized* source = context.quant.source(node.input(i));
  return source != nullptr && source->per_tensor8() ? source : nullptr;
}

Reason no_activation(const LowerContext& context, const onnx::NodeProto& node, int i) {
  if (i >= node.input_size()) return {ReasonCode::kNotFusable, fmt::format("input {} is absent", i)};
  const Quantized* source = context.quant.source(node.input(i));
  if (source == nullptr) {
    const Quantized* weight = i == 0 && node.input_size() > 1 ? context.quant.source(node.input(1)) : nullptr;
    if (weight != nullptr && context.quant.constant(weight->integer) != nullptr) return {ReasonCode::kStoredWeight, {}};
    return {ReasonCode::kNotFusable, fmt::format("input '{}' is not dequantized", node.input(i))};
  }
  if (source->params.axis)
    return {ReasonCode::kNoIntegerKernel, fmt::format("input '{}' is per-channel", node.input(i))};
  return {ReasonCode::kNoIntegerKernel,
          fmt::format("input '{}' is {}", node.input(i), quant::name(source->params.type))};
}

Reason no_target(const GroupEnd& end) {
  return {ReasonCode::kNotFusable, fmt::format("output '{}' does not go to one 8-bit QuantizeLinear only", end.real)};
}

Affine8 affine_of(const Quantized& quantized) {
  return {quantized.scale(), quantized.zero_point(), quantized.params.type == quant::QuantType::kInt8};
}

Tensor clamped(const Tensor& real, const onednn::Clamp& clamp) {
  Tensor result = real;
  for (float& x : result.mutable_data<float>()) x = std::min(std::max(x, clamp.low), clamp.high);
  return result;
}

FloatKernel make_float_kernel(const LowerContext& context, const onnx::NodeProto& node, const MakeKernel& make) {
  const std::vector<std::string> reads = graph::reads_of(node);
  FloatKernel made{.kernel = nullptr, .held = std::vector<bool>(reads.size(), false)};
  exec::KernelRequest request;
  request.node = &node;
  request.opset = context.opset(node);
  request.constant = [&](int input) -> const Tensor* {
    const auto index = static_cast<size_t>(input);
    if (index >= reads.size() || reads[index].empty()) return nullptr;
    const Tensor* constant = context.constant(reads[index]);
    if (constant != nullptr) made.held[index] = true;
    return constant;
  };
  request.type = [&](int input) { return context.quant.index().type(reads.at(static_cast<size_t>(input))); };
  request.model = &context.quant.model();
  request.compile_body = context.compile_body;
  made.kernel = make(request);
  return made;
}

}  // namespace narrow::runtime
