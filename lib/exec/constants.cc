#include "lib/exec/constants.h"

#include <algorithm>
#include <array>

#include "lib/base/error.h"
#include "lib/exec/layout.h"

namespace narrow::exec {
namespace {

// Each run of these gives other values.
constexpr std::array<std::string_view, 6> kRandomOperators{"Bernoulli",        "Multinomial",   "RandomNormal",
                                                           "RandomNormalLike", "RandomUniform", "RandomUniformLike"};

bool has_subgraph(const onnx::NodeProto& node) {
  return std::any_of(node.attribute().begin(), node.attribute().end(), [](const onnx::AttributeProto& attribute) {
    return attribute.has_g() || attribute.graphs_size() > 0;
  });
}

}  // namespace

Constants::Constants(const graph::Model& model) : model_(model) {
  for (const onnx::TensorProto& initializer : model.graph().initializer()) {
    initializers_[initializer.name()] = &initializer;
  }
}

const Tensor* Constants::find(const std::string& value) const {
  if (const auto found = values_.find(value); found != values_.end()) return &found->second;
  const auto initializer = initializers_.find(value);
  if (initializer == initializers_.end()) return nullptr;
  return &(values_[value] = model_.tensor(*initializer->second));
}

bool Constants::can_fold(const onnx::NodeProto& node) const {
  if (has_subgraph(node)) return false;
  if (std::find(kRandomOperators.begin(), kRandomOperators.end(), node.op_type()) != kRandomOperators.end()) {
    return false;
  }
  return std::all_of(node.input().begin(), node.input().end(), [&](const std::string& input) {
    return input.empty() || values_.contains(input) || initializers_.contains(input);
  });
}

void Constants::fold(const onnx::NodeProto& node, int opset) {
  const KernelPtr kernel = make_kernel(request_for(node, opset, *this));
  std::vector<Tensor> inputs;
  std::vector<int> slots;
  for (const std::string& name : node.input()) {
    slots.push_back(name.empty() ? -1 : static_cast<int>(inputs.size()));
    inputs.push_back(name.empty() ? Tensor() : *find(name));
  }
  arrange_layouts(kernel->layout_use(), slots, inputs);
  std::vector<Tensor> outputs(static_cast<size_t>(node.output_size()));
  in_context(fmt::format("node '{}' ({})", graph::node_label(node), node.op_type()),
             [&] { kernel->run(inputs, outputs, workspace_); });
  for (int i = 0; i < node.output_size(); ++i) {
    Tensor& output = outputs[static_cast<size_t>(i)];
    if (!node.output(i).empty() && output.defined()) values_[node.output(i)] = to_layout(output, Layout::kPlain);
  }
}

KernelRequest request_for(const onnx::NodeProto& node, int opset, const Constants& constants) {
  return {.node = &node, .opset = opset, .constant = [&node, &constants](int input) {
            return node.input(input).empty() ? nullptr : constants.find(node.input(input));
          }};
}

}  // namespace narrow::exec
