#include "lib/runtime/table_islands.h"

#include <algorithm>

#include "lib/runtime/ref/elementwise.h"

namespace narrow::runtime {

void TableIslands::visit(const onnx::NodeProto& node) {
  const bool linear = context_.quant.linear(node) != nullptr;
  if (linear && is_quantize(node)) return visit_quantize(node);
  if (linear && is_dequantize(node)) return visit_dequantize(node);
  if (!is_elementwise(node) || node.output_size() != 1) return;
  if (!visit_integer_binary(node)) visit_elementwise(node);
}

const TableIslands::Function* TableIslands::function(const std::string& integer) const {
  const auto found = functions_.find(integer);
  return found == functions_.end() ? nullptr : &found->second;
}

const TableIslands::Samples* TableIslands::samples(const std::string& value) const {
  const auto found = samples_.find(value);
  return found == samples_.end() ? nullptr : &found->second;
}

TableIslands::Function TableIslands::own_or_identity(const std::string& integer) const {
  if (const Function* known = function(integer)) return *known;
  Function identity{.root = integer};
  for (size_t i = 0; i < identity.table.size(); ++i) identity.table[i] = static_cast<Byte>(i);
  return identity;
}

void TableIslands::visit_quantize(const onnx::NodeProto& node) {
  const Quantized& target = *context_.quant.linear(node);
  const auto found = samples_.find(node.input(0));
  if (found == samples_.end() || !target.per_tensor8() || functions_.contains(target.integer)) return;
  const Affine8 to = affine_of(target);
  Function function{.root = found->second.root};
  const auto real = found->second.real.data<float>();
  for (size_t i = 0; i < function.table.size(); ++i) function.table[i] = ref::quantize_element(to, real[i]);
  functions_.emplace(target.integer, std::move(function));
}

void TableIslands::visit_dequantize(const onnx::NodeProto& node) {
  const Quantized& source = *context_.quant.linear(node);
  if (!source.per_tensor8() || context_.quant.constant(source.integer) != nullptr) return;
  const Affine8 from = affine_of(source);
  const Function function = own_or_identity(source.integer);
  Samples samples{.root = function.root, .real = Tensor(DataType::kFloat32, {256})};
  const auto real = samples.real.mutable_data<float>();
  for (size_t i = 0; i < real.size(); ++i) real[i] = ref::dequantize_element(from, function.table[i]);
  samples_.emplace(node.output(0), std::move(samples));
}

// Two integer operands with an integer kernel of their own, whose arithmetic is not the float kernel's.
bool TableIslands::visit_integer_binary(const onnx::NodeProto& node) {
  const auto step = binary_step_of(context_, node);
  if (!step) return false;
  const Function a = own_or_identity(activation(context_, node, 0)->integer);
  const Function b = own_or_identity(activation(context_, node, 1)->integer);
  if (a.root != b.root) return true;
  Function function{.root = a.root};
  for (size_t i = 0; i < function.table.size(); ++i) {
    function.table[i] = ref::binary_element(*step, a.table[i], b.table[i]);
  }
  const GroupEnd end = find_end(context_, node);
  functions_.emplace(end.target->integer, std::move(function));
  nodes_.insert(end.nodes.begin(), end.nodes.end());
  return true;
}

void TableIslands::visit_elementwise(const onnx::NodeProto& node) {
  std::vector<Tensor> inputs(static_cast<size_t>(node.input_size()));
  const Samples* variable = nullptr;
  size_t rank = 0;  // of the variable
  size_t constant_rank = 0;
  for (int i = 0; i < node.input_size(); ++i) {
    if (node.input(i).empty()) continue;
    if (const auto found = samples_.find(node.input(i)); found != samples_.end()) {
      if (variable != nullptr && variable->root != found->second.root) return;
      variable = &found->second;
      const auto shape = context_.quant.index().type(node.input(i)).shape;
      rank = shape ? shape->size() : 1;
      inputs[static_cast<size_t>(i)] = found->second.real;
      continue;
    }
    const Tensor* constant = context_.constant(node.input(i));
    if (constant == nullptr || constant->size() != 1) return;
    constant_rank = std::max(constant_rank, constant->rank());
    inputs[static_cast<size_t>(i)] = constant->rank() == 0 ? *constant : constant->reshaped({});
  }
  if (variable == nullptr || constant_rank > rank) return;
  const FloatKernel made = make_float_kernel(context_, node);
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (made.held[i]) inputs[i] = Tensor();
  }
  const std::string root = variable->root;
  std::vector<Tensor> outputs(1);
  Workspace workspace;
  made.kernel->run(inputs, outputs, workspace);
  if (outputs[0].size() != 256 || outputs[0].type() != DataType::kFloat32) return;
  samples_.emplace(node.output(0), Samples{.root = root, .real = outputs[0].reshaped({256})});
  nodes_.insert(&node);
}

}  // namespace narrow::runtime
