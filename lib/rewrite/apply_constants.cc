#include <algorithm>
#include <map>
#include <set>
#include <tuple>

#include "lib/graph/edit.h"
#include "lib/graph/traverse.h"
#include "lib/rewrite/normalize.h"

namespace narrow::rewrite {
namespace {

using Constants = std::map<std::string, Tensor>;

bool is_known(const onnx::NodeProto& node, const Constants& constants) {
  return std::all_of(node.output().begin(), node.output().end(),
                     [&](const std::string& output) { return output.empty() || constants.contains(output); });
}

/// Values of bodies that are copies of one tensor -> the first of them. What a body gives out it has to have itself.
graph::GraphEditor::Redirections copies_in_bodies(const onnx::GraphProto& main, const Constants& constants) {
  std::map<std::tuple<const std::byte*, DataType, Shape>, std::vector<std::string>> names;
  graph::for_each_graph(main, [&](const onnx::GraphProto& graph) {
    if (&graph == &main) return;
    std::set<std::string> outputs;
    for (const onnx::ValueInfoProto& output : graph.output()) outputs.insert(output.name());
    for (const onnx::NodeProto& node : graph.node()) {
      if (!is_known(node, constants)) continue;
      for (const std::string& output : node.output()) {
        if (output.empty() || outputs.contains(output) || constants.at(output).size() == 0) continue;
        const Tensor& value = constants.at(output);
        names[{value.bytes(), value.type(), value.shape()}].push_back(output);
      }
    }
  });
  graph::GraphEditor::Redirections copies;
  for (const auto& [tensor, same] : names) {
    for (const std::string& name : same) {
      if (same.size() > 1) copies.emplace(name, same.front());
    }
  }
  return copies;
}

}  // namespace

// Before:  s = Concat (a, b);  y = Reshape (x, s)      with a, b constant
// After:   initializer s;      y = Reshape (x, s)
graph::Model apply_constants(const graph::Model& model, const Constants& constants) {
  graph::Model result = model;
  graph::GraphEditor editor(result);
  onnx::GraphProto& main = result.mutable_graph();
  const graph::GraphEditor::Redirections copies = copies_in_bodies(main, constants);
  graph::for_each_graph(main, [&](onnx::GraphProto& graph) {
    for (const onnx::NodeProto& node : graph.node()) {
      if (!is_known(node, constants)) continue;
      for (const std::string& output : node.output()) {
        const auto copy = copies.find(output);
        if (output.empty() || (copy != copies.end() && copy->second != output)) continue;
        onnx::GraphProto& home = copy == copies.end() ? graph : main;
        *home.add_initializer() = graph::tensor_proto(output, constants.at(output));
      }
      editor.remove_node(&node);
    }
    editor.edit(graph);
    editor.redirect_uses(copies);
  });
  editor.finish();
  return result;
}

}  // namespace narrow::rewrite
