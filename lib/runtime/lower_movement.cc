// Operators that move or select integers, and pooling. Where input and output have different parameters, a table of
// 256 entries follows.
#include "lib/base/error.h"
#include "lib/graph/attributes.h"
#include "lib/runtime/integer_step.h"
#include "lib/runtime/kernels/concat_kernel.h"
#include "lib/runtime/kernels/linear_kernels.h"
#include "lib/runtime/kernels/pool_kernels.h"

namespace narrow::runtime {
namespace {

// Names an output of a moving step and, where its parameters differ from the target's, adds the table behind it.
class MovedOutputs {
 public:
  explicit MovedOutputs(const Quantized& source) : source_(affine_of(source)) {}

  std::string name_for(const Quantized& target) {
    const Affine8 wanted = affine_of(target);
    if (wanted == source_) return target.integer;
    std::string moved = target.integer + "/before_requantize";
    tables_.push_back(
        {make_table(make_requantize_table(source_, wanted), wanted.storage()), {moved}, {target.integer}});
    return moved;
  }

  void append_to(IntegerGroup& group) {
    for (IntegerStep& step : tables_) group.steps.push_back(std::move(step));
  }

 private:
  Affine8 source_;
  std::vector<IntegerStep> tables_;
};

// Pad writes zeros, which integers spell as their zero point.
struct PadNode {
  onnx::NodeProto node;
  std::string value_name;
  Tensor value;
};

std::optional<PadNode> pad_over_integers(const LowerContext& context, const onnx::NodeProto& node, const Quantized& x) {
  if (context.opset(node) < 11) return std::nullopt;
  float real = 0;
  if (node.input_size() > 2 && !node.input(2).empty()) {
    const Tensor* value = context.constant(node.input(2));
    if (value == nullptr || value->type() != DataType::kFloat32 || value->size() != 1) return std::nullopt;
    real = value->data<float>()[0];
  }
  PadNode pad{.node = node, .value_name = node.output(0) + "/pad_value", .value = {}};
  const quant::QuantParams params = x.params;
  pad.value = quant::quantize(Tensor::scalar(real), params);
  while (pad.node.input_size() < 3) pad.node.add_input();
  pad.node.set_input(2, pad.value_name);
  return pad;
}

// Kernels of the float table move any element type.
GroupOrReason moving_kernel(const LowerContext& context, const onnx::NodeProto& node, const Quantized& x) {
  IntegerGroup group;
  FloatKernel made;
  const onnx::NodeProto* used = &node;
  std::optional<PadNode> pad;
  if (node.op_type() == "Pad") {
    pad = pad_over_integers(context, node, x);
    if (!pad) return Reason{ReasonCode::kNoIntegerKernel, "the padding value is not known"};
    group.constants[pad->value_name] = pad->value;
    used = &pad->node;
  }
  try {
    made.held.assign(static_cast<size_t>(used->input_size()), false);
    exec::KernelRequest request;
    request.node = used;
    request.opset = context.opset(node);
    request.constant = [&](int input) -> const Tensor* {
      if (input == 0 || input >= used->input_size()) return nullptr;
      const bool is_pad_value = pad && used->input(input) == pad->value_name;
      const Tensor* constant = is_pad_value ? &pad->value : context.constant(used->input(input));
      if (constant != nullptr) made.held[static_cast<size_t>(input)] = true;
      return constant;
    };
    made.kernel = exec::make_kernel(request);
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::kUnsupported) throw;
    return Reason{ReasonCode::kNoIntegerKernel, error.what()};
  }
  IntegerStep step{std::move(made.kernel), {x.integer}, {}};
  for (int i = 1; i < used->input_size(); ++i) {
    step.inputs.push_back(made.held[static_cast<size_t>(i)] ? std::string() : used->input(i));
  }
  group.steps.push_back(std::move(step));
  return group;
}

// Why a node that usually moves elements makes new ones; nullptr if it does not.
const char* why_not_moving(const onnx::NodeProto& node) {
  if (node.op_type() != "Resize") return nullptr;
  if (graph::string_attribute(node, "mode", "nearest") != "nearest") return "it interpolates";
  // Its extrapolation value is real, not an integer of the input.
  const bool crops = graph::string_attribute(node, "coordinate_transformation_mode", "") == "tf_crop_and_resize";
  return crops ? "it fills with an extrapolation value" : nullptr;
}

}  // namespace

GroupOrReason lower_movement(const LowerContext& context, const onnx::NodeProto& node) {
  if (const char* why = why_not_moving(node)) return Reason{ReasonCode::kNoIntegerKernel, why};
  const Quantized* x = activation(context, node, 0);
  if (x == nullptr) return no_activation(context, node, 0);
  MovedOutputs moved(*x);
  std::vector<std::string> outputs;
  for (const std::string& output : node.output()) {
    const Quantized* target = context.quant.target(output);
    if (target == nullptr || !target->per_tensor8())
      return no_target({.nodes = {}, .clamp = {}, .bias = nullptr, .real = output, .target = nullptr});
    outputs.push_back(moved.name_for(*target));
  }
  GroupOrReason made = moving_kernel(context, node, *x);
  if (auto* group = std::get_if<IntegerGroup>(&made)) {
    group->steps.front().outputs = std::move(outputs);
    group->nodes = {&node};
    moved.append_to(*group);
  }
  return made;
}

GroupOrReason lower_concat(const LowerContext& context, const onnx::NodeProto& node) {
  const GroupEnd end = find_end(context, node);
  if (end.target == nullptr || end.nodes.size() > 1) return no_target(end);
  const Affine8 wanted = affine_of(*end.target);
  ConcatStep concat{.axis = graph::int_attribute(node, "axis", 0), .result = wanted.storage(), .tables = {}};
  IntegerGroup group;
  std::vector<std::string> inputs;
  for (int i = 0; i < node.input_size(); ++i) {
    const Quantized* x = activation(context, node, i);
    if (x == nullptr) return no_activation(context, node, i);
    inputs.push_back(x->integer);
    concat.tables.emplace_back();
    if (affine_of(*x) != wanted) concat.tables.back() = make_requantize_table(affine_of(*x), wanted);
  }
  group.steps.push_back({make_concat(std::move(concat)), std::move(inputs), {end.target->integer}});
  group.nodes = end.nodes;
  return group;
}

GroupOrReason lower_max_pool(const LowerContext& context, const onnx::NodeProto& node) {
  const Quantized* x = activation(context, node, 0);
  if (x == nullptr) return no_activation(context, node, 0);
  if (node.output_size() > 1 && !node.output(1).empty())
    return Reason{ReasonCode::kNoIntegerKernel, "its indices are used"};
  const GroupEnd end = find_end(context, node);
  if (end.target == nullptr || end.nodes.size() > 1) return no_target(end);
  const exec::WindowAttributes window = exec::window_attributes(node);
  if (window.kernel.empty() || window.kernel.size() > 3)
    return Reason{ReasonCode::kNoIntegerKernel, "more than 3 spatial axes"};
  MovedOutputs moved(*x);
  IntegerGroup group;
  std::string output = moved.name_for(*end.target);
  group.steps.push_back(
      {make_max_pool(window, affine_of(*x).storage(), context.choice), {x->integer}, {std::move(output)}});
  moved.append_to(group);
  group.nodes = end.nodes;
  return group;
}

GroupOrReason lower_average_pool(const LowerContext& context, const onnx::NodeProto& node) {
  const Quantized* x = activation(context, node, 0);
  if (x == nullptr) return no_activation(context, node, 0);
  const GroupEnd end = find_end(context, node);
  if (end.target == nullptr || end.nodes.size() > 1) return no_target(end);
  AveragePoolStep step{.window = {}, .count_pad = false, .x = affine_of(*x), .y = affine_of(*end.target)};
  if (node.op_type() == "AveragePool") {
    step.window = exec::window_attributes(node);
    step.count_pad = graph::int_attribute(node, "count_include_pad", 0) != 0;
    if (step.window.kernel.size() > 3) return Reason{ReasonCode::kNoIntegerKernel, "more than 3 spatial axes"};
  }
  IntegerGroup group;
  group.steps.push_back({make_average_pool(std::move(step)), {x->integer}, {end.target->integer}});
  group.nodes = end.nodes;
  return group;
}

}  // namespace narrow::runtime
