#include "lib/rewrite/microsoft.h"

#include <set>
#include <string>
#include <utility>
#include <vector>

#include "lib/graph/traverse.h"

namespace narrow::rewrite {
namespace {

using Values = google::protobuf::RepeatedPtrField<onnx::ValueInfoProto>;

/// Has the value infos of these values saved too, where the model keeps to those that its file gave.
void declare(graph::Model& model, const std::set<std::string>& names) {
  if (model.declared() == nullptr) return;
  std::vector<std::pair<onnx::GraphProto*, Values>> all;
  graph::for_each_graph(model.mutable_graph(), [&](onnx::GraphProto& graph) {
    Values& values = all.emplace_back(&graph, Values()).second;
    values.Swap(graph.mutable_value_info());
    for (const onnx::ValueInfoProto& value : values) {
      const bool saved = model.declared()->contains(value.name()) || names.contains(value.name());
      if (saved) *graph.add_value_info() = value;
    }
  });
  model.declare_values();
  for (auto& [graph, values] : all) graph->mutable_value_info()->Swap(&values);
}

}  // namespace

void import_microsoft(graph::Model& model) {
  if (model.opset(kMicrosoftDomain) == 0) {
    onnx::OperatorSetIdProto& import = *model.mutable_proto().add_opset_import();
    import.set_domain(std::string(kMicrosoftDomain));
    import.set_version(1);
  }
  std::set<std::string> made;
  graph::for_each_node(model.graph(), [&](const onnx::NodeProto& node) {
    if (node.domain() == kMicrosoftDomain) made.insert(node.output().begin(), node.output().end());
  });
  declare(model, made);
}

}  // namespace narrow::rewrite
