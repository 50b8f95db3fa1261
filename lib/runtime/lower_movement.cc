// Operators that move or select integers, and pooling. Where input and output have different parameters, a table of
// 256 entries follows; where the output is not quantized at all, it stays integers of the input's parameters.
#include <algorithm>

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

// The moved integers of `source`, which no QuantizeLinear asks for: they stand for `real` all the same, so what reads
// it may go on with them. Returns their name.
std::string keep_integers(const Quantized& source, const std::string& real, const LowerContext& context,
                          IntegerGroup& group) {
  Quantized moved{.integer = real + "/integers", .params = source.params};
  group.steps.push_back({make_dequantize(moved.params, context.choice), {moved.integer}, {real}});
  group.sources.push_back({real, moved});
  return moved.integer;
}

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

// Zero is an integer in every quantization; other values may lie between two.
bool pads_with_zero(const LowerContext& context, const onnx::NodeProto& node) {
  if (node.input_size() < 3 || node.input(2).empty()) return true;
  const Tensor* value = context.constant(node.input(2));
  return value != nullptr && value->size() == 1 && value->type() == DataType::kFloat32 && value->data<float>()[0] == 0;
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

// Transpose's order where the node gives none.
std::vector<int64_t> reversed_axes(size_t rank) {
  std::vector<int64_t> order;
  for (size_t i = rank; i-- > 0;) order.push_back(static_cast<int64_t>(i));
  return order;
}

}  // namespace

GroupOrReason lower_movement(const LowerContext& context, const onnx::NodeProto& node) {
  if (const char* why = why_not_moving(node)) return Reason{ReasonCode::kNoIntegerKernel, why};
  const Quantized* x = activation(context, node, 0);
  if (x == nullptr) return no_activation(context, node, 0);
  GroupOrReason made = moving_kernel(context, node, *x);
  auto* group = std::get_if<IntegerGroup>(&made);
  if (group == nullptr) return made;
  MovedOutputs moved(*x);
  std::vector<std::string> outputs;
  for (const std::string& output : node.output()) {
    const Quantized* target = context.quant.target(output);
    const bool has_target = target != nullptr && target->per_tensor8();
    if (!has_target && !output.empty() && node.op_type() == "Pad" && !pads_with_zero(context, node)) {
      return Reason{ReasonCode::kNotFusable, "the padding value has no integer of its input"};
    }
    outputs.push_back(output.empty() ? std::string()
                      : has_target   ? moved.name_for(*target)
                                     : keep_integers(*x, output, context, *group));
  }
  group->steps.front().outputs = std::move(outputs);
  group->nodes = {&node};
  moved.append_to(*group);
  return made;
}

// Outside training it moves its input, whole.
GroupOrReason lower_dropout(const LowerContext& context, const onnx::NodeProto& node) {
  const bool may_train = node.input_size() > 2 && !node.input(2).empty();
  const Tensor* trains = may_train ? context.constant(node.input(2)) : nullptr;
  if (may_train &&
      (trains == nullptr || trains->type() != DataType::kBool || trains->size() != 1 || trains->data<bool>()[0])) {
    return Reason{ReasonCode::kNoIntegerKernel, "it trains"};
  }
  const bool masks = node.output_size() > 1 && (!context.quant.index().uses(node.output(1)).empty() ||
                                                context.quant.index().is_output(node.output(1)));
  if (masks) return Reason{ReasonCode::kNoIntegerKernel, "its mask is used"};
  onnx::NodeProto identity;
  identity.set_op_type("Identity");
  identity.set_name(node.name());
  identity.add_input(node.input(0));
  identity.add_output(node.output(0));
  GroupOrReason made = lower_movement(context, identity);
  if (auto* group = std::get_if<IntegerGroup>(&made)) group->nodes = {&node};
  return made;
}

GroupOrReason lower_concat(const LowerContext& context, const onnx::NodeProto& node) {
  const Quantized* target = context.quant.target(node.output(0));
  const bool has_target = target != nullptr && target->per_tensor8();
  const Quantized* first = activation(context, node, 0);
  if (first == nullptr) return no_activation(context, node, 0);
  const Affine8 wanted = affine_of(has_target ? *target : *first);
  ConcatStep concat{.axis = graph::int_attribute(node, "axis", 0), .result = wanted.storage(), .tables = {}};
  IntegerGroup group;
  std::vector<std::string> inputs;
  for (int i = 0; i < node.input_size(); ++i) {
    const Quantized* x = activation(context, node, i);
    if (x == nullptr) return no_activation(context, node, i);
    inputs.push_back(x->integer);
    concat.tables.emplace_back();
    if (affine_of(*x) == wanted) continue;
    // Without a target, rounding to another scale would be ours, not the model's.
    if (!has_target) return Reason{ReasonCode::kNotFusable, "its inputs differ in scale and its output is real"};
    concat.tables.back() = make_requantize_table(affine_of(*x), wanted);
  }
  group.steps.push_back({make_concat(std::move(concat)), std::move(inputs), {}});
  group.steps.front().outputs = {has_target ? target->integer : keep_integers(*first, node.output(0), context, group)};
  group.nodes = {&node};
  return group;
}

GroupOrReason lower_max_pool(const LowerContext& context, const onnx::NodeProto& node) {
  if (node.output_size() > 1 && !node.output(1).empty())
    return Reason{ReasonCode::kNoIntegerKernel, "its indices are used"};
  const bool global = node.op_type() == "GlobalMaxPool";  // a window without size
  const exec::WindowAttributes window = global ? exec::WindowAttributes() : exec::window_attributes(node);
  if (window.kernel.empty() != global || window.kernel.size() > 3)
    return Reason{ReasonCode::kNoIntegerKernel, "more than 3 spatial axes"};
  IntegerGroup group;
  group.nodes = {&node};
  if (const DataType type = context.quant.type(node.input(0)); is_byte(type)) {
    const std::string& integer = context.quant.canonical(node.input(0));
    group.steps.push_back({make_max_pool(window, type, context.choice), {integer}, {node.output(0)}});
    return group;
  }
  const Quantized* x = activation(context, node, 0);
  if (x == nullptr) return no_activation(context, node, 0);
  group.steps.push_back({make_max_pool(window, affine_of(*x).storage(), context.choice), {x->integer}, {}});
  const Quantized* target = context.quant.target(node.output(0));
  if (target == nullptr || !target->per_tensor8()) {
    group.steps.front().outputs = {keep_integers(*x, node.output(0), context, group)};
    return group;
  }
  MovedOutputs moved(*x);
  group.steps.front().outputs = {moved.name_for(*target)};
  moved.append_to(group);
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

std::optional<MovedConstant> move_constant(const LowerContext& context, const onnx::NodeProto& node) {
  if (!moves_elements(node) || node.op_type() == "Concat" || find_lowering(node) == lower_max_pool) return std::nullopt;
  const Quantized* source = context.quant.source(node.input(0));
  const Tensor* integers = source == nullptr ? nullptr : context.quant.constant(source->integer);
  if (integers == nullptr || node.output_size() != 1 || why_not_moving(node) != nullptr) return std::nullopt;
  MovedConstant moved{.integers = {}, .params = source->params};
  if (source->params.axis) {
    if (node.op_type() != "Transpose") return std::nullopt;
    const auto order = graph::ints_attribute(node, "perm", reversed_axes(integers->rank()));
    const auto found = std::find(order.begin(), order.end(), *source->params.axis);
    if (found == order.end()) return std::nullopt;
    moved.params.axis = found - order.begin();
  }
  GroupOrReason made = moving_kernel(context, node, *source);
  auto* group = std::get_if<IntegerGroup>(&made);
  if (group == nullptr) return std::nullopt;
  const IntegerStep& step = group->steps.front();
  std::vector<Tensor> inputs{*integers};
  for (size_t i = 1; i < step.inputs.size(); ++i) {
    const Tensor* constant = step.inputs[i].empty() ? nullptr : context.constant(step.inputs[i]);
    if (constant == nullptr && !step.inputs[i].empty()) return std::nullopt;
    inputs.push_back(constant == nullptr ? Tensor() : *constant);
  }
  std::vector<Tensor> outputs(1);
  Workspace workspace;
  step.kernel->run(inputs, outputs, workspace);
  moved.integers = to_layout(outputs[0], Layout::kPlain);
  return moved;
}

}  // namespace narrow::runtime
