// Arithmetic on two tensors, and functions of one as tables of 256 entries: one, or one for each channel where
// constants differ by channel.
#include <algorithm>

#include "lib/base/error.h"
#include "lib/runtime/integer_step.h"
#include "lib/runtime/kernels/binary_kernel.h"
#include "lib/runtime/kernels/linear_kernels.h"
#include "lib/runtime/ref/elementwise.h"

namespace narrow::runtime {
namespace {

struct BinaryRow {
  std::string_view op_type;
  BinaryOp op;
};
constexpr BinaryRow kBinaryOps[] = {{"Add", BinaryOp::kAdd}, {"Div", BinaryOp::kDiv}, {"Max", BinaryOp::kMax},
                                    {"Min", BinaryOp::kMin}, {"Mul", BinaryOp::kMul}, {"Sub", BinaryOp::kSub}};

BinaryOp binary_op_of(const onnx::NodeProto& node) {
  return std::find_if(std::begin(kBinaryOps), std::end(kBinaryOps),
                      [&](const BinaryRow& row) { return row.op_type == node.op_type(); })
      ->op;
}

// Position of the only input that is not known before the run, if all others are single numbers; -1 otherwise.
int only_variable_input(const LowerContext& context, const onnx::NodeProto& node) {
  int variable = -1;
  for (int i = 0; i < node.input_size(); ++i) {
    if (node.input(i).empty()) continue;
    const Tensor* constant = context.constant(node.input(i));
    if (constant != nullptr && constant->size() == 1) continue;
    if (constant != nullptr || variable >= 0) return -1;
    variable = i;
  }
  return variable;
}

// Whether broadcasting against the node's constants leaves the rank of input `variable` as it is.
bool keeps_rank(const LowerContext& context, const onnx::NodeProto& node, int variable) {
  const auto shape = context.quant.index().type(node.input(variable)).shape;
  const size_t rank = shape ? shape->size() : 1;
  for (int i = 0; i < node.input_size(); ++i) {
    const Tensor* constant = i == variable ? nullptr : context.constant(node.input(i));
    if (constant != nullptr && constant->rank() > rank) return false;
  }
  return true;
}

// The float kernel over 256 values, the node's other inputs being constants.
Tensor apply(const LowerContext& context, const onnx::NodeProto& node, int variable, const Tensor& x) {
  const FloatKernel made = make_float_kernel(context, node);
  std::vector<Tensor> inputs(static_cast<size_t>(node.input_size()));
  for (int i = 0; i < node.input_size(); ++i) {
    const auto at = static_cast<size_t>(i);
    if (i == variable) {
      inputs[at] = x;
    } else if (const Tensor* constant = context.constant(node.input(i)); constant != nullptr && !made.held[at]) {
      inputs[at] = *constant;
    }
  }
  std::vector<Tensor> outputs(1);
  Workspace workspace;
  made.kernel->run(inputs, outputs, workspace);
  return to_layout(outputs[0], Layout::kPlain);
}

// A constant scalar of lower rank makes a table; one that raises the rank does not, and broadcasts.
bool adds_scalar(const LowerContext& context, const onnx::NodeProto& node) {
  const int variable = only_variable_input(context, node);
  return variable >= 0 && node.input_size() == 2 && context.constant(node.input(1 - variable))->rank() <= 1;
}

bool is_binary(const onnx::NodeProto& node) {
  const LowerNode lowering = find_lowering(node);
  return lowering == lower_binary || lowering == lower_two;
}

// The axis along which a node's constants differ.
struct ChannelAxis {
  int variable = -1;  // the only input that is not known before the run
  size_t axis = 0;    // of it
  int64_t channels = 1;
  size_t rank = 0;
};

// Absent if constants differ along several axes, or raise the variable's rank.
std::optional<ChannelAxis> channel_axis_of(const LowerContext& context, const onnx::NodeProto& node) {
  constexpr int64_t kMostChannels = 4096;  // a table each
  ChannelAxis found;
  for (int i = 0; i < node.input_size(); ++i) {
    if (node.input(i).empty() || context.constant(node.input(i)) != nullptr) continue;
    if (found.variable >= 0) return std::nullopt;
    found.variable = i;
  }
  if (found.variable < 0) return std::nullopt;
  const auto shape = context.quant.index().type(node.input(found.variable)).shape;
  if (!shape || shape->size() < 2) return std::nullopt;
  found.rank = shape->size();
  const bool normalizes = node.op_type() == "BatchNormalization";
  size_t from_back = normalizes ? found.rank - 1 : 0;
  for (int i = 0; i < node.input_size(); ++i) {
    const Tensor* constant = i == found.variable ? nullptr : context.constant(node.input(i));
    if (constant == nullptr) continue;
    if (constant->rank() > found.rank || constant->type() != DataType::kFloat32) return std::nullopt;
    for (size_t back = 1; back <= constant->rank(); ++back) {
      const int64_t size = constant->shape()[constant->rank() - back];
      if (size == 1) continue;
      const size_t place = normalizes ? from_back : back;
      if ((from_back != 0 && from_back != place) || (found.channels != 1 && found.channels != size))
        return std::nullopt;
      from_back = place;
      found.channels = size;
    }
  }
  if (from_back == 0 || found.channels > kMostChannels) return std::nullopt;
  found.axis = found.rank - from_back;
  const int64_t size = (*shape)[found.axis];
  return size < 0 || size == found.channels ? std::optional(found) : std::nullopt;
}

// Every value of `x` in every channel, [256, channels] with axes of size 1 around.
Tensor all_values(const Affine8& x, const ChannelAxis& by) {
  Shape shape(by.rank, 1);
  shape[by.axis == 0 ? 1 : 0] = 256;
  shape[by.axis] = by.channels;
  Tensor values(DataType::kFloat32, shape);
  const auto to = values.mutable_data<float>();
  const auto channels = static_cast<size_t>(by.channels);
  for (size_t i = 0; i < to.size(); ++i) {
    to[i] = ref::dequantize_element(x, static_cast<Byte>(by.axis == 0 ? i % 256 : i / channels));
  }
  return values;
}

}  // namespace

GroupOrReason lower_unary(const LowerContext& context, const onnx::NodeProto& node) {
  const int variable = only_variable_input(context, node);
  if (variable < 0) return lower_by_channel(context, node);
  if (!keeps_rank(context, node, variable)) return Reason{ReasonCode::kNoIntegerKernel, "a constant raises the rank"};
  const Quantized* x = activation(context, node, variable);
  if (x == nullptr) return no_activation(context, node, variable);
  const GroupEnd end = find_end(context, node);
  if (end.target == nullptr) return no_target(end);
  const Table table = make_function_table(affine_of(*x), affine_of(*end.target), [&](const Tensor& real) {
    return clamped(apply(context, node, variable, real), end.clamp);
  });
  IntegerGroup group;
  group.steps.push_back({make_table(table, affine_of(*end.target).storage()), {x->integer}, {end.target->integer}});
  group.nodes = end.nodes;
  return group;
}

std::optional<BinaryStep> binary_step_of(const LowerContext& context, const onnx::NodeProto& node) {
  if (!is_binary(node) || node.input_size() != 2 || adds_scalar(context, node)) return std::nullopt;
  const Quantized* a = activation(context, node, 0);
  const Quantized* b = activation(context, node, 1);
  if (a == nullptr || b == nullptr) return std::nullopt;
  const GroupEnd end = find_end(context, node);
  if (end.target == nullptr) return std::nullopt;
  return BinaryStep{.op = binary_op_of(node),
                    .a = affine_of(*a),
                    .b = affine_of(*b),
                    .y = affine_of(*end.target),
                    .low = end.clamp.low,
                    .high = end.clamp.high};
}

GroupOrReason lower_binary(const LowerContext& context, const onnx::NodeProto& node) {
  if (adds_scalar(context, node)) return lower_unary(context, node);
  const Quantized* a = activation(context, node, 0);
  const Quantized* b = activation(context, node, 1);
  if (a == nullptr || b == nullptr) {
    const int other = a == nullptr ? 0 : 1;
    if (context.constant(node.input(other)) != nullptr) return lower_by_channel(context, node);
    return no_activation(context, node, other);
  }
  const GroupEnd end = find_end(context, node);
  if (end.target == nullptr) return no_target(end);
  IntegerGroup group;
  group.steps.push_back(
      {make_binary(*binary_step_of(context, node), context.choice), {a->integer, b->integer}, {end.target->integer}});
  group.nodes = end.nodes;
  return group;
}

GroupOrReason lower_two(const LowerContext& context, const onnx::NodeProto& node) {
  if (only_variable_input(context, node) >= 0) return lower_unary(context, node);
  if (node.input_size() != 2) return Reason{ReasonCode::kNoIntegerKernel, "it has not two inputs"};
  return lower_binary(context, node);
}

GroupOrReason lower_by_channel(const LowerContext& context, const onnx::NodeProto& node) {
  if (only_variable_input(context, node) >= 0) return lower_unary(context, node);
  const auto by = channel_axis_of(context, node);
  if (!by) return Reason{ReasonCode::kNoIntegerKernel, "it is no function of one number and its channel"};
  const Quantized* x = activation(context, node, by->variable);
  if (x == nullptr) return no_activation(context, node, by->variable);
  if (node.output_size() > 1) return Reason{ReasonCode::kNoIntegerKernel, "it has a second output"};
  const GroupEnd end = find_end(context, node);
  if (end.target == nullptr) return no_target(end);
  const Affine8 to = affine_of(*end.target);
  const Tensor samples = all_values(affine_of(*x), *by);
  const Tensor real = clamped(apply(context, node, by->variable, samples), end.clamp);
  ensure(real.shape() == samples.shape(), "a function of each element keeps the shape");
  ChannelTables tables{.axis = by->axis, .rank = by->rank, .tables = {}, .result = to.storage()};
  tables.tables.resize(static_cast<size_t>(by->channels));
  for (size_t i = 0; i < static_cast<size_t>(real.size()); ++i) {
    const size_t channel = by->axis == 0 ? i / 256 : i % tables.tables.size();
    const size_t byte = by->axis == 0 ? i % 256 : i / tables.tables.size();
    tables.tables[channel][byte] = ref::quantize_element(to, real.data<float>()[i]);
  }
  IntegerGroup group;
  group.steps.push_back({make_channel_tables(std::move(tables)), {x->integer}, {end.target->integer}});
  group.nodes = end.nodes;
  return group;
}

}  // namespace narrow::runtime
