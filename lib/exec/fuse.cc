#include "lib/exec/fuse.h"

#include <algorithm>

#include "lib/exec/kernels/gemm.h"
#include "lib/exec/linear_fold.h"
#include "lib/graph/attributes.h"

namespace narrow::exec {
namespace {

class GroupSelection {
 public:
  explicit GroupSelection(const FusionContext& context) : context_(context) {}

  FusedGroup select(const onnx::NodeProto& anchor) {
    group_.anchor = &anchor;
    group_.nodes = {&anchor};
    if (!takes_epilogue(anchor)) return {};
    take_linear();
    take_residual();
    take_activations();
    if (anchor.op_type() == "Conv") take_padding();
    return group_.nodes.size() > 1 ? group_ : FusedGroup{};
  }

 private:
  const std::string& last_value() const { return group_.nodes.back()->output(0); }

  bool takes_epilogue(const onnx::NodeProto& anchor) const {
    const KernelRequest request = request_for(anchor, context_.opset(anchor), context_.constants);
    return anchor.op_type() == "Conv" ? convolution_takes_epilogue(request) : dense_takes_epilogue(request);
  }

  void take_linear() {
    while (const onnx::NodeProto* next = context_.only_reader(last_value())) {
      if (!folds_into_product(*next, last_value(), *group_.anchor, context_)) return;
      group_.linear.push_back(next);
      group_.nodes.push_back(next);
    }
  }

  // Where shapes are not declared the kernel finds out at run time whether the Add broadcasts.
  void take_residual() {
    const onnx::NodeProto* next = context_.only_reader(last_value());
    if (next == nullptr || next->op_type() != "Add" || context_.opset(*next) < 7) return;
    const std::string& other = next->input(next->input(0) == last_value() ? 1 : 0);
    if (other == last_value() || context_.constants.find(other) != nullptr) return;
    const auto shape = context_.index.type(other).shape;
    const auto own = context_.index.type(last_value()).shape;
    if (shape && own && *shape != *own) return;
    group_.residual = other;
    group_.epilogue.add_residual = true;
    group_.nodes.push_back(next);
  }

  // The first clamp stands apart; whatever comes behind it, or before, are activations. A sum that may broadcast is
  // computed apart from the product, which leaves only the clamp to fuse.
  void take_activations() {
    while (const auto match = match_activation(last_value(), context_)) {
      const onednn::Activation& activation = match->activation;
      Epilogue& epilogue = group_.epilogue;
      const bool is_clamp = activation.kind == onednn::Activation::Kind::kClamp;
      if (is_clamp && epilogue.clamp == onednn::Clamp{} && epilogue.activations.empty()) {
        epilogue.clamp = {.low = activation.alpha, .high = activation.beta};
      } else if (!epilogue.add_residual && epilogue.activations.size() < kMaxActivations) {
        epilogue.activations.push_back(activation);
      } else {
        return;
      }
      group_.nodes.insert(group_.nodes.end(), match->nodes.begin(), match->nodes.end());
    }
  }

  // Zeros around the spatial axes.
  void take_padding() {
    const onnx::NodeProto* pad = context_.index.producer(group_.anchor->input(0));
    if (pad == nullptr || pad->op_type() != "Pad" || context_.taken.contains(pad)) return;
    if (context_.only_reader(pad->output(0)) != group_.anchor || context_.opset(*pad) < 11) return;
    const std::string auto_pad = graph::string_attribute(*group_.anchor, "auto_pad", "NOTSET");
    if (auto_pad != "NOTSET" || !spatial_zero_padding(*pad, context_)) return;
    group_.padding = pad;
    group_.nodes.insert(group_.nodes.begin(), pad);
  }

  static constexpr size_t kMaxActivations = 4;  // oneDNN takes 32 post-operations, some of its kernels fewer

  const FusionContext& context_;
  FusedGroup group_;
};

}  // namespace

const Tensor* FusionContext::float_constant(const onnx::NodeProto& node, int input) const {
  if (input >= node.input_size() || node.input(input).empty()) return nullptr;
  const Tensor* value = constants.find(node.input(input));
  return value != nullptr && value->type() == DataType::kFloat32 ? value : nullptr;
}

std::vector<const onnx::NodeProto*> FusionContext::hidden_readers(const std::string& value) const {
  if (index.is_output(value) || observed.contains(value)) return {};
  std::vector<const onnx::NodeProto*> readers;
  for (const graph::Use& use : index.uses(value)) {
    if (use.input == graph::Use::kCaptured || taken.contains(use.node)) return {};
    if (!graph::canonical_domain(use.node->domain()).empty()) return {};
    readers.push_back(use.node);
  }
  return readers;
}

const onnx::NodeProto* FusionContext::only_reader(const std::string& value) const {
  const auto readers = hidden_readers(value);
  return readers.size() == 1 ? readers[0] : nullptr;
}

FusedGroup select_group(const onnx::NodeProto& anchor, const FusionContext& context) {
  const std::string& op = anchor.op_type();
  if (op != "Conv" && op != "Gemm" && op != "MatMul") return {};
  if (!graph::canonical_domain(anchor.domain()).empty()) return {};
  return GroupSelection(context).select(anchor);
}

}  // namespace narrow::exec
