// Sums, products and quotients of two tensors, functions of one (as 256-entry tables).
#include "lib/base/error.h"
#include "lib/runtime/integer_step.h"
#include "lib/runtime/kernels/binary_kernel.h"
#include "lib/runtime/kernels/linear_kernels.h"

namespace narrow::runtime {
namespace {

BinaryOp binary_op_of(const onnx::NodeProto& node) {
  if (node.op_type() == "Add") return BinaryOp::kAdd;
  if (node.op_type() == "Sub") return BinaryOp::kSub;
  return node.op_type() == "Div" ? BinaryOp::kDiv : BinaryOp::kMul;
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
  return lowering == lower_binary || lowering == lower_quotient;
}

}  // namespace

GroupOrReason lower_unary(const LowerContext& context, const onnx::NodeProto& node) {
  const int variable = only_variable_input(context, node);
  if (variable < 0) return Reason{ReasonCode::kNoIntegerKernel, "it is no function of one number"};
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
  if (!is_binary(node) || adds_scalar(context, node)) return std::nullopt;
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
  if (a == nullptr || b == nullptr) return no_activation(context, node, a == nullptr ? 0 : 1);
  const GroupEnd end = find_end(context, node);
  if (end.target == nullptr) return no_target(end);
  IntegerGroup group;
  group.steps.push_back(
      {make_binary(*binary_step_of(context, node), context.choice), {a->integer, b->integer}, {end.target->integer}});
  group.nodes = end.nodes;
  return group;
}

GroupOrReason lower_quotient(const LowerContext& context, const onnx::NodeProto& node) {
  return only_variable_input(context, node) >= 0 ? lower_unary(context, node) : lower_binary(context, node);
}

}  // namespace narrow::runtime
