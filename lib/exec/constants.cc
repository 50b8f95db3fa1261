#include "lib/exec/constants.h"

#include <algorithm>
#include <array>

#include "lib/base/error.h"
#include "lib/exec/layout.h"
#include "lib/graph/graph_index.h"
#include "lib/graph/viewed_data.h"
#include "lib/tensor/wrong_element_type.h"

namespace narrow::exec {
namespace {

// Each run of these gives other values.
constexpr std::array<std::string_view, 6> kRandomOperators{"Bernoulli",        "Multinomial",   "RandomNormal",
                                                           "RandomNormalLike", "RandomUniform", "RandomUniformLike"};

// Whether a loop ends, and how large its state grows, only running it would tell.
constexpr std::array<std::string_view, 2> kLoops{"Loop", "Scan"};

// `operators` holds the node or one inside its bodies.
template <size_t N>
bool has_any(const onnx::NodeProto& node, const std::array<std::string_view, N>& operators) {
  if (std::find(operators.begin(), operators.end(), node.op_type()) != operators.end()) return true;
  bool found = false;
  graph::for_each_subgraph(node, [&](const onnx::GraphProto& body) {
    found = found || std::any_of(body.node().begin(), body.node().end(),
                                 [&](const onnx::NodeProto& inner) { return has_any(inner, operators); });
  });
  return found;
}

// The value of a Constant node that lies in a file: kernels know attributes, the model knows files.
const onnx::TensorProto* external_value(const onnx::NodeProto& node) {
  const bool constant = node.op_type() == "Constant" && graph::canonical_domain(node.domain()).empty();
  if (!constant || node.attribute_size() != 1 || !node.attribute(0).has_t()) return nullptr;
  const onnx::TensorProto& value = node.attribute(0).t();
  return value.data_location() == onnx::TensorProto::EXTERNAL ? &value : nullptr;
}

}  // namespace

Constants::Constants(const graph::Model& model, const onnx::GraphProto& graph, std::map<std::string, Tensor> known)
    : model_(model), values_(std::move(known)) {
  for (const onnx::TensorProto& initializer : graph.initializer()) {
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
  if (has_any(node, kRandomOperators) || has_any(node, kLoops)) return false;
  const std::vector<std::string> reads = graph::reads_of(node);
  return std::all_of(reads.begin(), reads.end(), [&](const std::string& value) { return value.empty() || has(value); });
}

void Constants::fold(const onnx::NodeProto& node, int opset) {
  if (const onnx::TensorProto* value = external_value(node)) {
    values_[node.output(0)] = model_.tensor(*value);
    return;
  }
  if (const auto initializer = initializers_.find(node.input_size() == 0 ? "" : node.input(0));
      initializer != initializers_.end()) {
    if (auto view = graph::transposed_view(node, *initializer->second)) {
      initializers_[node.output(0)] = &(views_[node.output(0)] = std::move(*view));
      return;
    }
  }
  const KernelPtr kernel = make_kernel(request_for(node, opset, *this));
  std::vector<Tensor> inputs;
  std::vector<int> slots;
  for (const std::string& name : graph::reads_of(node)) {
    slots.push_back(name.empty() ? -1 : static_cast<int>(inputs.size()));
    inputs.push_back(name.empty() ? Tensor() : *find(name));
  }
  arrange_layouts(kernel->layout_use(), slots, inputs, workspace_);
  std::vector<Tensor> outputs(static_cast<size_t>(node.output_size()));
  in_context(fmt::format("node '{}' ({})", graph::node_label(node), node.op_type()),
             [&] { reading_operands([&] { kernel->run(inputs, outputs, workspace_); }); });
  for (int i = 0; i < node.output_size(); ++i) {
    Tensor& output = outputs[static_cast<size_t>(i)];
    if (!node.output(i).empty() && output.defined()) values_[node.output(i)] = to_layout(output, Layout::kPlain);
  }
}

void Constants::forget_inputs(const onnx::NodeProto& node, const graph::GraphIndex& index,
                              const std::set<std::string>& kept) {
  for (const std::string& value : graph::reads_of(node)) {
    const auto uses = index.uses(value);
    const bool only_here = std::all_of(uses.begin(), uses.end(), [&](const auto& use) { return use.node == &node; });
    if (only_here && !index.is_output(value) && !kept.contains(value)) values_.erase(value);
  }
}

KernelRequest request_for(const onnx::NodeProto& node, int opset, const Constants& constants) {
  const auto constant = [reads = graph::reads_of(node), &constants](int input) {
    const std::string& value = reads.at(static_cast<size_t>(input));
    return value.empty() ? nullptr : constants.find(value);
  };
  return {.node = &node, .opset = opset, .constant = constant, .model = &constants.model()};
}

}  // namespace narrow::exec
