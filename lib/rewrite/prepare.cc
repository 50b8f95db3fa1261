#include <algorithm>
#include <optional>
#include <unordered_set>

#include "lib/base/error.h"
#include "lib/graph/attributes.h"
#include "lib/graph/edit.h"
#include "lib/graph/local_functions.h"
#include "lib/graph/raise_opset.h"
#include "lib/graph/traverse.h"
#include "lib/rewrite/normalize.h"
#include "lib/rewrite/widen_float16.h"

namespace narrow::rewrite {
namespace {

// The IR version that came with opset 13; before version 4 every initializer had to be an input too.
constexpr int kOldestIr = 7;

/// Before:  input W; initializer W        (W is a default that a caller may override)
/// After:   initializer W                 (W is a constant)
void drop_initializer_inputs(onnx::GraphProto& graph) {
  std::unordered_set<std::string> initializers;
  for (const onnx::TensorProto& tensor : graph.initializer()) initializers.insert(tensor.name());
  google::protobuf::RepeatedPtrField<onnx::ValueInfoProto> kept;
  for (onnx::ValueInfoProto& input : *graph.mutable_input()) {
    if (!initializers.contains(input.name())) kept.Add()->Swap(&input);
  }
  graph.mutable_input()->Swap(&kept);
}

/// The value of a Constant node, or nullopt for the sparse kind.
std::optional<onnx::TensorProto> constant_value(const onnx::NodeProto& node) {
  for (const onnx::AttributeProto& attribute : node.attribute()) {
    const std::string& name = attribute.name();
    if (name == "value") return attribute.t();
    if (name == "value_float") return graph::tensor_proto("", Tensor::scalar(attribute.f()));
    if (name == "value_int") return graph::tensor_proto("", Tensor::scalar(static_cast<int64_t>(attribute.i())));
    if (name == "value_floats") {
      return graph::tensor_proto(
          "", Tensor::of<float>({attribute.floats_size()},
                                {attribute.floats().data(), static_cast<size_t>(attribute.floats_size())}));
    }
    if (name == "value_ints") {
      const std::vector<int64_t> values(attribute.ints().begin(), attribute.ints().end());
      return graph::tensor_proto("", Tensor::of<int64_t>({attribute.ints_size()}, std::span<const int64_t>(values)));
    }
    if (name == "value_string") return graph::tensor_proto("", Tensor::of_strings({}, {attribute.s()}));
    if (name == "value_strings") {
      return graph::tensor_proto(
          "", Tensor::of_strings({attribute.strings_size()}, {attribute.strings().begin(), attribute.strings().end()}));
    }
  }
  return std::nullopt;
}

/// Before:  W = Constant <value> ();  y = Conv (x, W)
/// After:   initializer W;            y = Conv (x, W)
void lift_constants(onnx::GraphProto& graph) {
  google::protobuf::RepeatedPtrField<onnx::NodeProto> kept;
  for (onnx::NodeProto& node : *graph.mutable_node()) {
    const bool constant = node.op_type() == "Constant" && graph::canonical_domain(node.domain()).empty();
    std::optional<onnx::TensorProto> value = constant ? constant_value(node) : std::nullopt;
    if (!value) {
      kept.Add()->Swap(&node);
      continue;
    }
    value->set_name(node.output(0));
    graph.add_initializer()->Swap(&*value);
  }
  graph.mutable_node()->Swap(&kept);
}

/// Plans and reports call nodes by name: each gets one of its own, made from its output if it had none.
void name_nodes(onnx::GraphProto& graph, std::unordered_set<std::string>& seen) {
  for (onnx::NodeProto& node : *graph.mutable_node()) {
    std::string name = graph::node_label(node);
    for (int i = 2; !seen.insert(name).second; ++i) name = fmt::format("{}_{}", graph::node_label(node), i);
    node.set_name(name);
  }
}

/// What quantization counts on, in all graphs of the model.
void name_and_lift(onnx::GraphProto& graph) {
  graph::make_names_unique(graph);
  std::unordered_set<std::string> seen;
  graph::for_each_graph(graph, [&](onnx::GraphProto& each) {
    lift_constants(each);
    name_nodes(each, seen);
  });
}

}  // namespace

graph::Model with_opset(const graph::Model& prepared, int opset) {
  graph::Model model = prepared;
  if (model.opset() >= opset) return model;
  onnx::ModelProto& proto = model.mutable_proto();
  proto = graph::raise_opset(proto, opset);
  name_and_lift(*proto.mutable_graph());
  // No operator gives another type in a newer opset: what was inferred before still holds.
  *proto.mutable_graph()->mutable_value_info() = prepared.graph().value_info();
  return model;
}

graph::Model prepare(const graph::Model& loaded) {
  graph::Model model = loaded;
  onnx::ModelProto& proto = model.mutable_proto();
  graph::inline_functions(proto);
  drop_initializer_inputs(*proto.mutable_graph());
  proto.set_ir_version(std::max<int64_t>(proto.ir_version(), kOldestIr));
  proto = graph::raise_opset(proto, kPerChannelOpset);
  widen_float16(model);
  name_and_lift(*proto.mutable_graph());
  return model;
}

}  // namespace narrow::rewrite
