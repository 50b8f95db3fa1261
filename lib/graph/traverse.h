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

/// Calls visit(GraphProto&) for the graph, then for the bodies of its nodes and those inside them.
template <class Visit>
void for_each_graph(onnx::GraphProto& graph, const Visit& visit) {
  visit(graph);
  for (onnx::NodeProto& node : *graph.mutable_node()) {
    for (onnx::AttributeProto& attribute : *node.mutable_attribute()) {
      if (attribute.has_g()) for_each_graph(*attribute.mutable_g(), visit);
      for (onnx::GraphProto& subgraph : *attribute.mutable_graphs()) for_each_graph(subgraph, visit);
    }
  }
}

/// The same for a graph that stays as it is.
template <class Visit>
void for_each_graph(const onnx::GraphProto& graph, const Visit& visit) {
  for_each_graph(const_cast<onnx::GraphProto&>(graph), [&](const onnx::GraphProto& each) { visit(each); });
}

/// Calls visit(const NodeProto&) for each of the nodes in order, the nodes of its bodies before it.
template <class Visit>
void for_each_node(const google::protobuf::RepeatedPtrField<onnx::NodeProto>& nodes, const Visit& visit) {
  for (const onnx::NodeProto& node : nodes) {
    for (const onnx::AttributeProto& attribute : node.attribute()) {
      if (attribute.has_g()) for_each_node(attribute.g().node(), visit);
      for (const onnx::GraphProto& subgraph : attribute.graphs()) for_each_node(subgraph.node(), visit);
    }
    visit(node);
  }
}

/// The same for the nodes of a graph.
template <class Visit>
void for_each_node(const onnx::GraphProto& graph, const Visit& visit) {
  for_each_node(graph.node(), visit);
}

/// The same, to change the nodes.
template <class Visit>
void for_each_mutable_node(google::protobuf::RepeatedPtrField<onnx::NodeProto>& nodes, const Visit& visit) {
  for_each_node(nodes, [&](const onnx::NodeProto& node) { visit(const_cast<onnx::NodeProto&>(node)); });
}
template <class Visit>
void for_each_mutable_node(onnx::GraphProto& graph, const Visit& visit) {
  for_each_mutable_node(*graph.mutable_node(), visit);
}

}  // namespace narrow::graph
