#include "lib/graph/needed.h"

#include <algorithm>

#include "lib/graph/graph_index.h"

namespace narrow::graph {

std::unordered_set<std::string> needed_values(const onnx::GraphProto& graph, const std::vector<std::string>& more) {
  std::unordered_set<std::string> needed(more.begin(), more.end());
  for (const onnx::ValueInfoProto& output : graph.output()) needed.insert(output.name());
  for (int i = graph.node_size(); i-- > 0;) {
    const onnx::NodeProto& node = graph.node(i);
    if (!makes_any(node, needed)) continue;
    for (std::string& value : reads_of(node)) needed.insert(std::move(value));
  }
  return needed;
}

bool makes_any(const onnx::NodeProto& node, const std::unordered_set<std::string>& values) {
  return std::any_of(node.output().begin(), node.output().end(),
                     [&](const std::string& output) { return !output.empty() && values.contains(output); });
}

}  // namespace narrow::graph
