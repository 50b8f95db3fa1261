#include <algorithm>
#include <optional>
#include <vector>

#include "lib/graph/attributes.h"
#include "lib/graph/edit.h"
#include "lib/graph/graph_index.h"
#include "lib/graph/traverse.h"
#include "lib/ops/op_table.h"
#include "lib/rewrite/normalize.h"

namespace narrow::rewrite {
namespace {

constexpr size_t kSpatialAxis = 2;

bool pads_nothing(const onnx::NodeProto& node, bool one_pixel) {
  const std::string auto_pad = graph::string_attribute(node, "auto_pad", "NOTSET");
  if (auto_pad != "NOTSET" && auto_pad != "VALID" && !one_pixel) return false;
  const std::vector<int64_t> pads = graph::ints_attribute(node, "pads");
  return std::all_of(pads.begin(), pads.end(), [](int64_t pad) { return pad == 0; });
}

/// A Conv whose window is all there is of its input, so that each sample has one result for each channel.
bool is_dense(const graph::GraphIndex& index, const onnx::NodeProto& node) {
  if (node.op_type() != "Conv" || !graph::canonical_domain(node.domain()).empty()) return false;
  if (graph::int_attribute(node, "group", 1) != 1) return false;
  const onnx::TensorProto* weight = index.initializer(node.input(1));
  const auto shape = index.type(node.input(0)).shape;
  if (weight == nullptr || index.uses(node.input(1)).size() != 1 || !shape) return false;
  const auto rank = static_cast<size_t>(weight->dims_size());
  if (shape->size() != rank || rank <= kSpatialAxis) return false;
  bool one_pixel = true;
  for (size_t axis = kSpatialAxis; axis < rank; ++axis) {
    const int64_t size = weight->dims(static_cast<int>(axis));
    if (size < 1 || (*shape)[axis] != size) return false;
    one_pixel = one_pixel && size == 1;
  }
  const std::vector<int64_t> dilations = graph::ints_attribute(node, "dilations");
  const bool dense = std::all_of(dilations.begin(), dilations.end(), [](int64_t step) { return step == 1; });
  return (dense || one_pixel) && pads_nothing(node, one_pixel);
}

/// True where nothing computes with the value on integers: it leaves the graph, moved and bounded by a Softmax maybe.
bool leaves(const graph::GraphIndex& index, const std::string& value) {
  const auto uses = index.uses(value);
  return std::all_of(uses.begin(), uses.end(), [&](const graph::Use& use) {
    const ops::OpRow* row = ops::find_op(*use.node);
    if (use.input == graph::Use::kCaptured) return false;
    if (row == nullptr || row->role == ops::QuantRole::kNever) return true;
    const bool passes = row->role == ops::QuantRole::kPassThrough || row->role == ops::QuantRole::kFixedRange;
    return passes && leaves(index, use.node->output(0));
  });
}

// Before:  y = Conv (x, W, b)          one window each
// After:   f = Flatten (x);  g = Gemm (f, W, b) <transB = 1>;  y = Reshape (g, [-1, M, 1, 1])
void make_dense(const graph::Model& model, const graph::GraphIndex& index, graph::GraphEditor& editor,
                onnx::NodeProto& node) {
  const std::string weight = node.input(1);
  const Tensor values = model.tensor(*index.initializer(weight));
  const Shape& shape = values.shape();
  const int64_t channels = shape[0];
  editor.replace_initializer(weight, values.reshaped({channels, values.size() / std::max<int64_t>(channels, 1)}));
  const std::string y = node.output(0);
  const std::string flat = editor.unique_name(node.name() + "_rows");
  graph::set_int_attribute(editor.add_node("Flatten", node.name() + "_Flatten", {node.input(0)}, {flat}), "axis", 1);
  Shape wanted(shape.size(), 1);
  wanted[0] = -1;
  wanted[1] = channels;
  const std::string sizes = editor.add_initializer(
      node.name() + "_shape",
      Tensor::of<int64_t>({static_cast<int64_t>(wanted.size())}, std::span<const int64_t>(wanted)));
  const std::string result = editor.unique_name(node.name() + "_result");
  editor.add_node("Reshape", node.name() + "_Reshape", {result, sizes}, {y});
  node.set_op_type("Gemm");
  node.clear_attribute();
  graph::set_int_attribute(node, "transB", 1);
  node.set_input(0, flat);
  node.set_output(0, result);
}

}  // namespace

graph::Model dense_heads(const graph::Model& model) {
  const graph::GraphIndex index(model.graph(), graph::Depth::kBodies);
  graph::Model result = model;
  graph::GraphEditor editor(result);
  graph::for_each_graph(result.mutable_graph(), [&](onnx::GraphProto& graph) {
    editor.edit(graph);
    std::vector<onnx::NodeProto*> heads;
    for (onnx::NodeProto& node : *graph.mutable_node()) {
      const onnx::NodeProto& original = *index.node(node.name());
      if (is_dense(index, original) && leaves(index, node.output(0))) heads.push_back(&node);
    }
    for (onnx::NodeProto* node : heads) make_dense(model, index, editor, *node);
  });
  editor.finish();
  return result;
}

}  // namespace narrow::rewrite
