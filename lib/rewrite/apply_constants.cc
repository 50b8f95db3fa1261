#include <algorithm>

#include "lib/graph/edit.h"
#include "lib/graph/traverse.h"
#include "lib/rewrite/normalize.h"

namespace narrow::rewrite {

// Before:  s = Concat (a, b);  y = Reshape (x, s)      with a, b constant
// After:   initializer s;      y = Reshape (x, s)
graph::Model apply_constants(const graph::Model& model, const std::map<std::string, Tensor>& constants) {
  graph::Model result = model;
  graph::GraphEditor editor(result);
  graph::for_each_graph(result.mutable_graph(), [&](onnx::GraphProto& graph) {
    for (const onnx::NodeProto& node : graph.node()) {
      const auto known = [&](const std::string& output) { return output.empty() || constants.contains(output); };
      if (!std::all_of(node.output().begin(), node.output().end(), known)) continue;
      for (const std::string& output : node.output()) {
        if (!output.empty()) *graph.add_initializer() = graph::tensor_proto(output, constants.at(output));
      }
      editor.remove_node(&node);
    }
  });
  editor.finish();
  return result;
}

}  // namespace narrow::rewrite
