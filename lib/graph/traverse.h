// Visits to everything of one kind in a graph and the subgraphs inside it.
#pragma once

#include "lib/graph/onnx_proto.h"

namespace narrow::graph {

/// Calls visit(TensorProto&) for each initializer and each tensor attribute, subgraphs included.
template <class Visit>
void for_each_tensor(onnx::GraphProto& graph, const Visit& visit) {
  for (onnx::TensorProto& tensor : *graph.mutable_initializer()) visit(tensor);
  for (onnx::NodeProto& node : *graph.mutable_node()) {
    for (onnx::AttributeProto& attribute : *node.mutable_attribute()) {
      if (attribute.has_t()) visit(*attribute.mutable_t());
      for (onnx::TensorProto& tensor : *attribute.mutable_tensors()) visit(tensor);
      if (attribute.has_g()) for_each_tensor(*attribute.mutable_g(), visit);
      for (onnx::GraphProto& subgraph : *attribute.mutable_graphs()) for_each_tensor(subgraph, visit);
    }
  }
}

/// The same for a graph that stays as it is.
template <class Visit>
void for_each_tensor(const onnx::GraphProto& graph, const Visit& visit) {
  // The other visits only what is there, so that nothing is made in passing.
  for_each_tensor(const_cast<onnx::GraphProto&>(graph), [&](const onnx::TensorProto& tensor) { visit(tensor); });
}

}  // namespace narrow::graph
