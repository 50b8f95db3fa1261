#include "lib/io/external_tensors.h"

#include "lib/graph/traverse.h"

namespace narrow::io {
namespace {

bool is_external(const onnx::TensorProto& tensor) {
  return tensor.data_location() == onnx::TensorProto::EXTERNAL;
}

/// Its value if the node is such a constant.
const onnx::TensorProto* external_value(const onnx::NodeProto& node) {
  const bool constant = node.op_type() == "Constant" && graph::canonical_domain(node.domain()).empty() &&
                        node.attribute_size() == 1 && node.output_size() == 1;
  if (!constant || !node.attribute(0).has_t() || !is_external(node.attribute(0).t())) return nullptr;
  return &node.attribute(0).t();
}

void lift(onnx::GraphProto& graph) {
  google::protobuf::RepeatedPtrField<onnx::NodeProto> kept;
  for (onnx::NodeProto& node : *graph.mutable_node()) {
    const onnx::TensorProto* value = external_value(node);
    if (value == nullptr) {
      kept.Add()->Swap(&node);
      continue;
    }
    onnx::TensorProto& initializer = *graph.add_initializer();
    initializer = *value;
    initializer.set_name(node.output(0));
  }
  graph.mutable_node()->Swap(&kept);
}

}  // namespace

StandInTensors::StandInTensors(onnx::GraphProto& graph, const graph::ExternalData& external) {
  graph::for_each_tensor(graph, [&](const onnx::TensorProto& tensor) {
    if (is_external(tensor)) external.tensor(tensor);
  });
  graph::for_each_tensor(graph, [&](onnx::TensorProto& tensor) {
    if (!is_external(tensor)) return;
    onnx::TensorProto stand_in;
    stand_in.set_name(tensor.name());
    stand_in.set_data_type(onnx::TensorProto::UINT8);
    stand_in.set_raw_data(std::string(1, '\0'));
    stand_in.Swap(&tensor);
    kept_.emplace_back(&tensor, std::move(stand_in));
  });
}

StandInTensors::~StandInTensors() {
  for (auto& [place, tensor] : kept_) place->Swap(&tensor);
}

void lift_external_constants(graph::Model& model) {
  graph::for_each_graph(model.mutable_graph(), lift);
}

}  // namespace narrow::io
