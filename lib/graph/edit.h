// Changes to a graph. Used by the rewrite stages only.
#pragma once

#include <map>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "lib/graph/model.h"

namespace narrow::graph {

/// Edits the main graph of a model; keeps names unique and, on finish(), nodes in topological order.
class GraphEditor {
 public:
  explicit GraphEditor(Model& model);

  /// `wanted`, or `wanted` with a number behind it if some value, node or initializer (subgraphs included) has it.
  std::string unique_name(const std::string& wanted);

  onnx::NodeProto& add_node(std::string_view op_type, const std::string& name, const std::vector<std::string>& inputs,
                            const std::vector<std::string>& outputs, std::string_view domain = "");
  /// The name it got: `wanted` made unique.
  std::string add_initializer(const std::string& wanted, const Tensor& tensor);
  void replace_initializer(const std::string& name, const Tensor& tensor);

  /// Reads of each key, in nodes and in their subgraphs, become reads of its value (once: chains are not followed);
  /// graph outputs stay.
  using Redirections = std::unordered_map<std::string, std::string>;
  void redirect_uses(const Redirections& redirections);
  /// Nodes to drop on finish(), by address.
  void remove_node(const onnx::NodeProto* node);

  /// Drops removed nodes, initializers and value infos that nothing reads or makes, and sorts the nodes (stable).
  void finish();

 private:
  Model& model_;
  std::set<std::string> names_;
  std::set<const onnx::NodeProto*> removed_;
};

/// Nodes in an order in which each follows what it reads; nodes that need no move keep their order. Throws
/// Error(kModel) naming a node on a cycle.
void sort_topologically(onnx::GraphProto& graph);

}  // namespace narrow::graph
