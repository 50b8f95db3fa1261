// Reductions, Softmax and normalizations between integers.
#include <fmt/format.h>

#include "lib/graph/attributes.h"
#include "lib/runtime/integer_step.h"
#include "lib/runtime/kernels/linear_kernels.h"
#include "lib/runtime/kernels/softmax_kernel.h"
#include "lib/runtime/kernels/statistics_kernels.h"

namespace narrow::runtime {
namespace {

/// An operator of one 8-bit activation with an 8-bit result and nothing folded behind it.
struct Between {
  const Quantized* x = nullptr;
  GroupEnd end;
};

std::variant<Between, Reason> between_integers(const LowerContext& context, const onnx::NodeProto& node) {
  Between found{.x = activation(context, node, 0), .end = find_end(context, node)};
  if (found.x == nullptr) return no_activation(context, node, 0);
  if (found.end.target == nullptr || found.end.nodes.size() > 1) return no_target(found.end);
  for (int i = 1; i < node.output_size(); ++i) {
    if (!node.output(i).empty()) return Reason{ReasonCode::kNoIntegerKernel, "it has a second output"};
  }
  return found;
}

/// The definition: dequantize, the float kernel, quantize. The oracle of the kernels here.
class ByDefinition final : public exec::Kernel {
 public:
  ByDefinition(const LowerContext& context, const onnx::NodeProto& node, const Between& around)
      : dequantize_(make_dequantize(around.x->params, KernelChoice::kReference)),
        quantize_(make_quantize(around.end.target->params, KernelChoice::kReference)) {
    FloatKernel made = make_float_kernel(context, node);
    kernel_ = std::move(made.kernel);
    for (int i = 0; i < node.input_size(); ++i) {
      const Tensor* constant = made.held[static_cast<size_t>(i)] ? nullptr : context.constant(node.input(i));
      constants_.push_back(i == 0 || constant == nullptr ? Tensor() : *constant);
    }
  }

  void run(std::span<Tensor> inputs, std::span<Tensor> outputs, Workspace& workspace) const override {
    std::vector<Tensor> operands = constants_;
    dequantize_->run(inputs.first(1), std::span(operands).first(1), workspace);
    Tensor real;
    kernel_->run(operands, {&real, 1}, workspace);
    quantize_->run({&real, 1}, outputs, workspace);
  }

 private:
  exec::KernelPtr dequantize_;
  exec::KernelPtr kernel_;
  exec::KernelPtr quantize_;
  std::vector<Tensor> constants_;
};

IntegerGroup group_of(const LowerContext& context, const onnx::NodeProto& node, const Between& around,
                      exec::KernelPtr kernel) {
  if (context.choice == KernelChoice::kReference) kernel = std::make_unique<ByDefinition>(context, node, around);
  IntegerGroup group;
  group.steps.push_back({std::move(kernel), {around.x->integer}, {around.end.target->integer}});
  group.nodes = around.end.nodes;
  return group;
}

/// A constant float32 input; nullopt if it is there and is none, an undefined tensor if it is absent.
std::optional<Tensor> float_input(const LowerContext& context, const onnx::NodeProto& node, int i) {
  if (i >= node.input_size() || node.input(i).empty()) return Tensor();
  const Tensor* constant = context.constant(node.input(i));
  if (constant == nullptr || constant->type() != DataType::kFloat32) return std::nullopt;
  return *constant;
}

}  // namespace

GroupOrReason lower_softmax(const LowerContext& context, const onnx::NodeProto& node) {
  const auto around = between_integers(context, node);
  if (const auto* reason = std::get_if<Reason>(&around)) return *reason;
  const auto& [x, end] = std::get<Between>(around);
  const bool flatten_tail = context.opset(node) < 13;
  const SoftmaxStep step{.axis = graph::int_attribute(node, "axis", flatten_tail ? 1 : -1),
                         .flatten_tail = flatten_tail,
                         .x = affine_of(*x),
                         .y = affine_of(*end.target)};
  return group_of(context, node, std::get<Between>(around), make_softmax(step));
}

GroupOrReason lower_normalization(const LowerContext& context, const onnx::NodeProto& node) {
  const auto around = between_integers(context, node);
  if (const auto* reason = std::get_if<Reason>(&around)) return *reason;
  const auto& [x, end] = std::get<Between>(around);
  const auto scale = float_input(context, node, 1);
  const auto shift = float_input(context, node, 2);
  if (!scale || !scale->defined() || !shift) {
    return Reason{ReasonCode::kNoIntegerKernel, "its scale and shift are not constant float32"};
  }
  NormalizeStep step{.axis = graph::int_attribute(node, "axis", -1),
                     .centred = node.op_type() == "LayerNormalization",
                     .epsilon = static_cast<double>(graph::float_attribute(node, "epsilon", 1e-5F)),
                     .scale = *scale,
                     .shift = *shift,
                     .x = affine_of(*x),
                     .y = affine_of(*end.target)};
  return group_of(context, node, std::get<Between>(around), make_normalize_integers(std::move(step)));
}

GroupOrReason lower_reduction(const LowerContext& context, const onnx::NodeProto& node) {
  const auto around = between_integers(context, node);
  if (const auto* reason = std::get_if<Reason>(&around)) return *reason;
  const auto& [x, end] = std::get<Between>(around);
  ReduceStep step{.axes = graph::ints_attribute(node, "axes"),
                  .keep_axes = graph::int_attribute(node, "keepdims", 1) != 0,
                  .mean = node.op_type() == "ReduceMean",
                  .x = affine_of(*x),
                  .y = affine_of(*end.target)};
  if (node.input_size() > 1 && !node.input(1).empty()) {
    const Tensor* axes = context.constant(node.input(1));
    if (axes == nullptr || axes->type() != DataType::kInt64) {
      return Reason{ReasonCode::kNoIntegerKernel, "its axes are not constant"};
    }
    step.axes.assign(axes->data<int64_t>().begin(), axes->data<int64_t>().end());
  }
  if (step.axes.empty() && graph::int_attribute(node, "noop_with_empty_axes", 0) != 0) {
    return Reason{ReasonCode::kNoIntegerKernel, "it reduces nothing"};
  }
  return group_of(context, node, std::get<Between>(around), make_reduce_integers(std::move(step)));
}

}  // namespace narrow::runtime
