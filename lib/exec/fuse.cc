#include "lib/exec/fuse.h"

#include <cmath>
#include <optional>

#include "lib/exec/kernels/gemm.h"
#include "lib/graph/attributes.h"

namespace narrow::exec {
namespace {

class GroupSelection {
 public:
  explicit GroupSelection(const FusionContext& context) : context_(context) {}

  FusedGroup select(const onnx::NodeProto& anchor) {
    group_.anchor = &anchor;
    group_.nodes = {&anchor};
    const bool is_convolution = anchor.op_type() == "Conv";
    const KernelRequest request = request_for(anchor, opset(anchor), context_.constants);
    if (is_convolution ? !convolution_takes_epilogue(request) : !gemm_takes_epilogue(request)) return {};
    if (is_convolution) {
      take_batch_normalization();
      take_residual();
    }
    take_clamp();
    return group_.nodes.size() > 1 ? group_ : FusedGroup{};
  }

 private:
  int opset(const onnx::NodeProto& node) const { return context_.model.opset(node.domain()); }
  const std::string& last_value() const { return group_.nodes.back()->output(0); }

  // The only reader of what the group computes so far, if fusing hides that value from nobody.
  const onnx::NodeProto* only_reader() const {
    const std::string& value = last_value();
    const auto uses = context_.index.uses(value);
    if (uses.size() != 1 || uses[0].input == graph::Use::kCaptured) return nullptr;
    if (context_.index.is_output(value) || context_.observed.contains(value)) return nullptr;
    if (context_.taken.contains(uses[0].node)) return nullptr;
    return graph::canonical_domain(uses[0].node->domain()).empty() ? uses[0].node : nullptr;
  }

  const Tensor* float_constant(const onnx::NodeProto& node, int input) const {
    if (input >= node.input_size() || node.input(input).empty()) return nullptr;
    const Tensor* value = context_.constants.find(node.input(input));
    return value != nullptr && value->type() == DataType::kFloat32 ? value : nullptr;
  }

  void take_batch_normalization() {
    const onnx::NodeProto* next = only_reader();
    if (next == nullptr || next->op_type() != "BatchNormalization" || next->input(0) != last_value()) return;
    if (graph::int_attribute(*next, "training_mode", 0) != 0 || opset(*next) < 9 || next->output_size() != 1) return;
    const int64_t filters = context_.constants.find(group_.anchor->input(1))->shape()[0];
    for (int i = 1; i < 5; ++i) {
      const Tensor* parameter = float_constant(*next, i);
      if (parameter == nullptr || parameter->size() != filters) return;
    }
    group_.batch_normalization = next;
    group_.nodes.push_back(next);
  }

  // Where shapes are not declared the kernel finds out at run time whether the Add broadcasts.
  void take_residual() {
    const onnx::NodeProto* next = only_reader();
    if (next == nullptr || next->op_type() != "Add" || opset(*next) < 7) return;
    const std::string& other = next->input(next->input(0) == last_value() ? 1 : 0);
    if (other == last_value() || context_.constants.find(other) != nullptr) return;
    const auto shape = context_.index.type(other).shape;
    const auto own = context_.index.type(last_value()).shape;
    if (shape && own && *shape != *own) return;
    group_.residual = other;
    group_.epilogue.add_residual = true;
    group_.nodes.push_back(next);
  }

  void take_clamp() {
    const onnx::NodeProto* next = only_reader();
    if (next == nullptr) return;
    std::optional<onednn::Clamp> clamp;
    if (next->op_type() == "Relu") clamp = onednn::Clamp{.low = 0};
    if (next->op_type() == "Clip") clamp = clip_bounds(*next);
    if (!clamp) return;
    group_.epilogue.clamp = *clamp;
    group_.nodes.push_back(next);
  }

  std::optional<onednn::Clamp> clip_bounds(const onnx::NodeProto& clip) const {
    if (clip.input(0) != last_value()) return std::nullopt;
    onednn::Clamp clamp;
    if (opset(clip) < 11) {
      clamp.low = graph::float_attribute(clip, "min", clamp.low);
      clamp.high = graph::float_attribute(clip, "max", clamp.high);
    } else {
      for (int i = 1; i < clip.input_size(); ++i) {
        if (clip.input(i).empty()) continue;
        const Tensor* bound = float_constant(clip, i);
        if (bound == nullptr || bound->size() != 1) return std::nullopt;
        (i == 1 ? clamp.low : clamp.high) = bound->data<float>()[0];
      }
    }
    // Of crossed bounds ONNX lets the upper one win; leave that to the Clip kernel.
    if (!(clamp.low <= clamp.high)) return std::nullopt;
    return clamp;
  }

  const FusionContext& context_;
  FusedGroup group_;
};

}  // namespace

FusedGroup select_group(const onnx::NodeProto& anchor, const FusionContext& context) {
  if (anchor.op_type() != "Conv" && anchor.op_type() != "Gemm") return {};
  if (!graph::canonical_domain(anchor.domain()).empty()) return {};
  return GroupSelection(context).select(anchor);
}

FoldedWeights fold_batch_normalization(const onnx::NodeProto& convolution, const onnx::NodeProto& normalization,
                                       const Constants& constants) {
  const auto parameter = [&](int input) { return constants.find(normalization.input(input))->data<float>(); };
  const double epsilon = static_cast<double>(graph::float_attribute(normalization, "epsilon", 1e-5F));
  const bool has_bias = convolution.input_size() > 2 && !convolution.input(2).empty();
  FoldedWeights folded{.weight = *constants.find(convolution.input(1)), .bias = {}};
  const auto weight = folded.weight.mutable_data<float>();
  const auto filters = static_cast<size_t>(folded.weight.shape()[0]);
  folded.bias = Tensor(DataType::kFloat32, {folded.weight.shape()[0]});
  const auto bias = folded.bias.mutable_data<float>();
  const size_t each = weight.size() / filters;
  for (size_t m = 0; m < filters; ++m) {
    const double factor =
        static_cast<double>(parameter(1)[m]) / std::sqrt(static_cast<double>(parameter(4)[m]) + epsilon);
    const double own = has_bias ? static_cast<double>(constants.find(convolution.input(2))->data<float>()[m]) : 0;
    bias[m] = static_cast<float>((own - static_cast<double>(parameter(3)[m])) * factor +
                                 static_cast<double>(parameter(2)[m]));
    for (float& value : weight.subspan(m * each, each)) {
      value = static_cast<float>(static_cast<double>(value) * factor);
    }
  }
  return folded;
}

}  // namespace narrow::exec
