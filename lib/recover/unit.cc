#include "lib/recover/unit.h"

#include <algorithm>
#include <set>

#include "lib/exec/float_program.h"

namespace narrow::recover {
namespace {

void declare(const graph::GraphIndex& index, const std::string& value, onnx::ValueInfoProto& info) {
  info.set_name(value);
  const graph::ValueType type = index.type(value);
  if (type.type == DataType::kUndefined || type.type == DataType::kSequence) return;
  onnx::TypeProto::Tensor& tensor = *info.mutable_type()->mutable_tensor_type();
  tensor.set_elem_type(static_cast<int>(type.type));
  if (!type.shape) return;
  onnx::TensorShapeProto& shape = *tensor.mutable_shape();
  for (const int64_t size : *type.shape) {
    onnx::TensorShapeProto::Dimension& dimension = *shape.add_dim();
    if (size >= 0) dimension.set_dim_value(size);
  }
}

std::vector<std::string> outside_reads(const Unit& unit) {
  std::set<std::string> made;
  std::vector<std::string> result;
  for (const onnx::NodeProto* node : unit.nodes) {
    for (const std::string& value : graph::reads_of(*node)) {
      const bool known = value.empty() || made.contains(value);
      if (!known && std::find(result.begin(), result.end(), value) == result.end()) result.push_back(value);
    }
    made.insert(node->output().begin(), node->output().end());
  }
  return result;
}

}  // namespace

std::vector<std::string> Unit::reads(const graph::GraphIndex& index) const {
  std::vector<std::string> result = outside_reads(*this);
  std::erase_if(result, [&](const std::string& value) { return index.initializer(value) != nullptr; });
  return result;
}

exec::Program compile_unit(const graph::Model& model, const graph::GraphIndex& index, const Unit& unit,
                           const std::vector<std::string>& outputs, const ConstantOverrides& overrides) {
  onnx::ModelProto proto;
  proto.set_ir_version(model.proto().ir_version());
  *proto.mutable_opset_import() = model.proto().opset_import();
  onnx::GraphProto& graph = *proto.mutable_graph();
  graph.set_name("unit");
  for (const onnx::NodeProto* node : unit.nodes) *graph.add_node() = *node;
  for (const std::string& value : outside_reads(unit)) {
    const auto overridden = overrides.find(value);
    const onnx::TensorProto* initializer = index.initializer(value);
    if (overridden != overrides.end()) {
      *graph.add_initializer() = graph::tensor_proto(value, overridden->second);
    } else if (initializer != nullptr) {
      *graph.add_initializer() = graph::tensor_proto(value, model.tensor(*initializer));
    } else {
      declare(index, value, *graph.add_input());
    }
  }
  for (const std::string& value : outputs) declare(index, value, *graph.add_output());
  return exec::compile_float(graph::Model(std::move(proto)));
}

}  // namespace narrow::recover
