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

namespace {

/// Without outputs.
onnx::ModelProto unit_model(const graph::Model& model, const graph::GraphIndex& index, const Unit& unit,
                            const ConstantOverrides& overrides) {
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
  return proto;
}

bool are_images(const graph::GraphIndex& index, const std::vector<std::string>& values) {
  return std::all_of(values.begin(), values.end(), [&](const std::string& value) {
    const graph::ValueType type = index.type(value);
    return type.type == DataType::kFloat32 && type.shape && type.shape->size() >= 3;
  });
}

class Keeper : public exec::TensorListener {
 public:
  explicit Keeper(const std::vector<std::string>& names) : names_(names), tensors_(names.size()) {}

  /// A tensor that somebody holds is not computed into.
  void on_value(const std::string& value, const Tensor& tensor) override {
    const auto found = std::find(names_.begin(), names_.end(), value);
    if (found != names_.end()) tensors_[static_cast<size_t>(found - names_.begin())] = tensor;
  }

  std::vector<Tensor> take() { return std::move(tensors_); }

 private:
  const std::vector<std::string>& names_;
  std::vector<Tensor> tensors_;
};

exec::Program compile_listened(const graph::Model& model, const graph::GraphIndex& index, const Unit& unit,
                               const std::vector<std::string>& values, const ConstantOverrides& overrides) {
  return exec::compile_float(graph::Model(unit_model(model, index, unit, overrides)), {.observed = values});
}

}  // namespace

exec::Program compile_unit(const graph::Model& model, const graph::GraphIndex& index, const Unit& unit,
                           const std::vector<std::string>& outputs, const ConstantOverrides& overrides) {
  onnx::ModelProto proto = unit_model(model, index, unit, overrides);
  for (const std::string& value : outputs) declare(index, value, *proto.mutable_graph()->add_output());
  return exec::compile_float(graph::Model(std::move(proto)));
}

UnitProgram::UnitProgram(const graph::Model& model, const graph::GraphIndex& index, const Unit& unit,
                         std::vector<std::string> outputs, const ConstantOverrides& overrides)
    : outputs_(std::move(outputs)),
      listens_(are_images(index, outputs_)),
      program_(listens_ ? compile_listened(model, index, unit, outputs_, overrides)
                        : compile_unit(model, index, unit, outputs_, overrides)) {}

std::vector<Tensor> UnitProgram::run(const exec::Feed& feed, Workspace& workspace) const {
  if (!listens_) return program_.run(feed, workspace);
  Keeper keeper(outputs_);
  program_.run(feed, workspace, {.listener = &keeper});
  return keeper.take();
}

}  // namespace narrow::recover
