// Changes to a graph. Used by the rewrite stages only.
#pragma once

#include <map>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "lib/graph/model.h"

namespace narrow::graph {

/// Edits the graphs of a model; keeps names unique and, on finish(), nodes in topological order.
class GraphEditor {
 public:
  explicit GraphEditor(Model& model);

  /// What is added and redirected from now on is in this graph, the main one or a body. At first the main one.
  void edit(onnx::GraphProto& graph) { graph_ = &graph; }
  onnx::GraphProto& main_graph() { return model_.mutable_graph(); }

  /// `wanted`, or `wanted` with a number behind it if some value, node or initializer (subgraphs included) has it. Of
  /// more than 64 bytes only both ends are kept: a name stands in the file a dozen times.
  std::string unique_name(const std::string& wanted);

  onnx::NodeProto& add_node(std::string_view op_type, const std::string& name, const std::vector<std::string>& inputs,
                            const std::vector<std::string>& outputs, std::string_view domain = "");
  /// A node of one output, `wanted` made unique, of which the node has its name.
  onnx::NodeProto& add_value(const std::string& op_type, const std::string& wanted,
                             const std::vector<std::string>& inputs);
  /// The name it got: `wanted` made unique.
  std::string add_initializer(const std::string& wanted, const Tensor& tensor);
  /// In whichever graph it is.
  void replace_initializer(const std::string& name, const Tensor& tensor);

  /// Reads of each key, in nodes and in their subgraphs, become reads of its value (once: chains are not followed);
  /// outputs of the graph itself stay.
  using Redirections = std::unordered_map<std::string, std::string>;
  void redirect_uses(const Redirections& redirections);
  /// Nodes to drop on finish(), by address.
  void remove_node(const onnx::NodeProto* node);

  /// Drops removed nodes, initializers and value infos that nothing reads or makes, and sorts the nodes (stable), in
  /// all graphs.
  void finish();

 private:
  void finish(onnx::GraphProto& graph);
  std::pair<onnx::GraphProto*, int> find_initializer(const std::string& name);

  Model& model_;
  onnx::GraphProto* graph_;
  std::set<std::string> names_;
  std::set<const onnx::NodeProto*> removed_;
};

/// Nodes in an order in which each follows what it reads; nodes that need no move keep their order. Throws
/// Error(kModel) naming a node on a cycle.
void sort_topologically(onnx::GraphProto& graph);

/// Renames what bodies have under a name that a graph around them or another body has, so that each name stands for one
/// value in the whole model. The graph's own values keep their names.
void make_names_unique(onnx::GraphProto& graph);

}  // namespace narrow::graph
