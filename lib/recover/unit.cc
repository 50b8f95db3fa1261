#include "lib/recover/unit.h"

#include <algorithm>
#include <set>

#include "lib/exec/float_program.h"
#include "lib/graph/traverse.h"

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

std::vector<Unit> units_of(const graph::Model& model, const graph::GraphIndex& index, const plan::PrecisionPlan& plan) {
  std::set<std::string> folded;
  for (const plan::LayerPlan& layer : plan.layers) {
    if (layer.decision == plan::Decision::kFold) folded.insert(layer.node);
  }
  std::vector<Unit> units;
  for (const onnx::NodeProto& node : model.graph().node()) {
    if (folded.contains(node.name())) continue;
    Unit unit{.nodes = {&node}};
    while (unit.last().output_size() == 1) {
      const auto uses = index.uses(unit.last().output(0));
      if (uses.size() != 1 || uses[0].input == graph::Use::kCaptured || !folded.contains(uses[0].node->name())) break;
      unit.nodes.push_back(uses[0].node);
    }
    units.push_back(std::move(unit));
  }
  return units;
}

namespace {

/// Bodies have initializers of their own.
void override_in_bodies(onnx::GraphProto& unit, const ConstantOverrides& overrides) {
  graph::for_each_graph(unit, [&](onnx::GraphProto& each) {
    for (onnx::TensorProto& initializer : *each.mutable_initializer()) {
      const auto found = overrides.find(initializer.name());
      if (found != overrides.end()) initializer = graph::tensor_proto(found->first, found->second);
    }
  });
}

/// Without outputs.
onnx::ModelProto unit_model(const graph::Model& model, const graph::GraphIndex& index, const Unit& unit,
                            const ConstantOverrides& overrides) {
  onnx::ModelProto proto;
  proto.set_ir_version(model.proto().ir_version());
  *proto.mutable_opset_import() = model.proto().opset_import();
  onnx::GraphProto& graph = *proto.mutable_graph();
  graph.set_name("unit");
  for (const onnx::NodeProto* node : unit.nodes) *graph.add_node() = *node;
  if (!overrides.empty()) override_in_bodies(graph, overrides);
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

bool is_image(const graph::GraphIndex& index, const std::string& value) {
  const graph::ValueType type = index.type(value);
  return type.type == DataType::kFloat32 && type.shape && type.shape->size() >= 3;
}

std::vector<bool> are_images(const graph::GraphIndex& index, const std::vector<std::string>& values) {
  std::vector<bool> result;
  for (const std::string& value : values) result.push_back(is_image(index, value));
  return result;
}

std::ptrdiff_t position_in(const std::vector<std::string>& names, const std::string& name) {
  const auto found = std::find(names.begin(), names.end(), name);
  return found == names.end() ? -1 : found - names.begin();
}

class Keeper : public exec::TensorListener {
 public:
  Keeper(const UnitProgram::Values& values, const Watch& watch)
      : values_(values), watch_(watch), tensors_(values.outputs.size()) {}

  /// A tensor that somebody holds is not computed into.
  void on_value(const std::string& value, const Tensor& tensor) override {
    const std::ptrdiff_t output = position_in(values_.outputs, value);
    if (output >= 0) tensors_[static_cast<size_t>(output)] = tensor;
    const std::ptrdiff_t watched = position_in(values_.watched, value);
    if (watched >= 0) watch_(static_cast<size_t>(watched), tensor);
  }

  std::vector<Tensor> take() { return std::move(tensors_); }

 private:
  const UnitProgram::Values& values_;
  const Watch& watch_;
  std::vector<Tensor> tensors_;
};

/// Images are listened to, what else is wanted is made as outputs.
exec::Program compile_listened(const graph::Model& model, const graph::GraphIndex& index, const Unit& unit,
                               const UnitProgram::Values& values, const ConstantOverrides& overrides) {
  onnx::ModelProto proto = unit_model(model, index, unit, overrides);
  std::vector<std::string> observed = values.watched;
  for (const std::string& value : values.outputs) {
    if (is_image(index, value)) {
      if (position_in(observed, value) < 0) observed.push_back(value);
    } else {
      declare(index, value, *proto.mutable_graph()->add_output());
    }
  }
  return exec::compile_float(graph::Model(std::move(proto)), {.observed = std::move(observed)});
}

}  // namespace

exec::Program compile_unit(const graph::Model& model, const graph::GraphIndex& index, const Unit& unit,
                           const std::vector<std::string>& outputs, const ConstantOverrides& overrides) {
  onnx::ModelProto proto = unit_model(model, index, unit, overrides);
  for (const std::string& value : outputs) declare(index, value, *proto.mutable_graph()->add_output());
  return exec::compile_float(graph::Model(std::move(proto)));
}

UnitProgram::UnitProgram(const graph::Model& model, const graph::GraphIndex& index, const Unit& unit, Values values,
                         const ConstantOverrides& overrides)
    : values_(std::move(values)),
      listens_(are_images(index, values_.outputs)),
      program_(compile_listened(model, index, unit, values_, overrides)) {}

std::vector<Tensor> UnitProgram::run(const exec::Feed& feed, Workspace& workspace, const Watch& watch) const {
  Keeper keeper(values_, watch);
  std::vector<Tensor> made = program_.run(feed, workspace, {.listener = &keeper});
  std::vector<Tensor> result = keeper.take();
  size_t next = 0;
  for (size_t i = 0; i < result.size(); ++i) {
    if (!listens_[i]) result[i] = std::move(made[next++]);
  }
  return result;
}

}  // namespace narrow::recover
