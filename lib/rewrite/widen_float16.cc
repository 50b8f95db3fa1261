#include "lib/rewrite/widen_float16.h"

#include <unordered_map>

#include "lib/graph/attributes.h"
#include "lib/graph/edit.h"
#include "lib/graph/graph_index.h"
#include "lib/graph/traverse.h"
#include "lib/graph/widened_data.h"

namespace narrow::rewrite {
namespace {

constexpr int32_t kHalf = onnx::TensorProto::FLOAT16;
constexpr int32_t kSingle = onnx::TensorProto::FLOAT;

bool is_half(const onnx::ValueInfoProto& value) {
  return value.type().tensor_type().elem_type() == kHalf;
}

bool has_half(const graph::Model& model) {
  bool found = false;
  graph::for_each_graph(model.graph(), [&](const onnx::GraphProto& graph) {
    for (const auto* values : {&graph.input(), &graph.output(), &graph.value_info()}) {
      for (const onnx::ValueInfoProto& value : *values) found = found || is_half(value);
    }
  });
  graph::for_each_tensor(model.graph(),
                         [&](const onnx::TensorProto& tensor) { found = found || tensor.data_type() == kHalf; });
  return found;
}

void widen_type(onnx::TypeProto& type) {
  if (type.has_sequence_type()) return widen_type(*type.mutable_sequence_type()->mutable_elem_type());
  if (type.has_optional_type()) return widen_type(*type.mutable_optional_type()->mutable_elem_type());
  if (type.has_tensor_type() && type.tensor_type().elem_type() == kHalf) {
    type.mutable_tensor_type()->set_elem_type(kSingle);
  }
}

// "to" of Cast, "dtype" of operators that make values.
void widen_targets(onnx::NodeProto& node) {
  for (onnx::AttributeProto& attribute : *node.mutable_attribute()) {
    const bool names_type = attribute.name() == "to" || attribute.name() == "dtype";
    if (names_type && attribute.type() == onnx::AttributeProto::INT && attribute.i() == kHalf) attribute.set_i(kSingle);
  }
}

void add_cast(graph::GraphEditor& editor, const std::string& from, const std::string& to, int32_t type) {
  graph::set_int_attribute(editor.add_node("Cast", to + "_Cast", {from}, {to}), "to", type);
}

}  // namespace

// Before:  input x: float16;  y = Conv (x, W)                     W float16;  output y: float16
// After:   input x: float16;  a = Cast (x);  b = Conv (a, W)      W float32;  y = Cast (b);  output y: float16
void widen_float16(graph::Model& model) {
  if (!has_half(model)) return;
  onnx::GraphProto& main = model.mutable_graph();
  graph::for_each_tensor(main, [&](onnx::TensorProto& tensor) {
    if (tensor.data_type() != kHalf) return;
    if (tensor.data_location() == onnx::TensorProto::EXTERNAL) return graph::widen_external(tensor);
    tensor = graph::tensor_proto(tensor.name(), to_float32(model.tensor(tensor)));
  });
  graph::for_each_graph(main, [&](onnx::GraphProto& graph) {
    for (onnx::NodeProto& node : *graph.mutable_node()) widen_targets(node);
    for (onnx::ValueInfoProto& value : *graph.mutable_value_info()) widen_type(*value.mutable_type());
    if (&graph == &main) return;
    for (onnx::ValueInfoProto& value : *graph.mutable_input()) widen_type(*value.mutable_type());
    for (onnx::ValueInfoProto& value : *graph.mutable_output()) widen_type(*value.mutable_type());
  });
  graph::GraphEditor editor(model);
  graph::GraphEditor::Redirections wide;
  for (const onnx::ValueInfoProto& input : main.input()) {
    if (is_half(input)) wide[input.name()] = editor.unique_name(input.name() + "_float32");
  }
  std::unordered_map<std::string, std::string> made;
  for (const onnx::ValueInfoProto& output : main.output()) {
    if (is_half(output) && !wide.contains(output.name())) {
      made[output.name()] = wide[output.name()] = editor.unique_name(output.name() + "_float32");
    }
  }
  editor.redirect_uses(wide);
  for (onnx::NodeProto& node : *main.mutable_node()) {
    for (std::string& output : *node.mutable_output()) {
      if (const auto found = made.find(output); found != made.end()) output = found->second;
    }
  }
  for (onnx::TensorProto& initializer : *main.mutable_initializer()) {
    if (const auto found = made.find(initializer.name()); found != made.end()) initializer.set_name(found->second);
  }
  for (const onnx::ValueInfoProto& input : main.input()) {
    if (is_half(input)) add_cast(editor, input.name(), wide.at(input.name()), kSingle);
  }
  for (const onnx::ValueInfoProto& output : main.output()) {
    const auto found = made.find(output.name());
    if (found != made.end()) add_cast(editor, found->second, output.name(), kHalf);
  }
  editor.finish();
}

}  // namespace narrow::rewrite
