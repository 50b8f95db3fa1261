#include <algorithm>
#include <array>
#include <map>
#include <optional>
#include <vector>

#include "lib/graph/edit.h"
#include "lib/graph/graph_index.h"
#include "lib/graph/tensor_shape.h"
#include "lib/graph/viewed_data.h"
#include "lib/rewrite/normalize.h"

namespace narrow::rewrite {
namespace {

// Their results are the elements of their first input, in its order.
constexpr std::array<std::string_view, 5> kReshaping{"Reshape", "Flatten", "Squeeze", "Unsqueeze", "Identity"};

std::optional<onnx::TensorProto> reshaped_view(const graph::GraphIndex& index, const onnx::NodeProto& node,
                                               const onnx::TensorProto& source) {
  const bool reshapes = std::find(kReshaping.begin(), kReshaping.end(), node.op_type()) != kReshaping.end();
  if (!reshapes || !graph::canonical_domain(node.domain()).empty() || !graph::can_be_viewed(source)) {
    return std::nullopt;
  }
  const std::optional<Shape> shape = index.type(node.output(0)).shape;
  if (!graph::is_known(shape) ||
      element_count(*shape) != element_count(Shape(source.dims().begin(), source.dims().end()))) {
    return std::nullopt;
  }
  onnx::TensorProto view = source;
  view.set_name(node.output(0));
  graph::reshape_external(view, *shape);
  return view;
}

}  // namespace

// Before:  t = Transpose (W);  y = MatMul (x, t)      W large, in a file
// After:   y = MatMul (x, t)                          t an initializer that is W, read in another order
graph::Model view_weights(const graph::Model& model) {
  const graph::GraphIndex index(model.graph());
  graph::Model result = model;
  graph::GraphEditor editor(result);
  onnx::GraphProto& main = result.mutable_graph();
  std::map<std::string, onnx::TensorProto> views;
  std::vector<onnx::TensorProto> made;
  for (const onnx::NodeProto& node : main.node()) {
    if (node.input_size() == 0 || node.output_size() != 1) continue;
    const auto viewed = views.find(node.input(0));  // nodes are sorted: a chain's beginning is known
    const onnx::TensorProto* source = viewed == views.end() ? index.initializer(node.input(0)) : &viewed->second;
    if (source == nullptr) continue;
    std::optional<onnx::TensorProto> view = graph::transposed_view(node, *source);
    if (!view) view = reshaped_view(index, node, *source);
    if (!view) continue;
    views.emplace(node.output(0), *view);
    made.push_back(std::move(*view));
    editor.remove_node(&node);
  }
  for (onnx::TensorProto& view : made) *main.add_initializer() = std::move(view);
  editor.finish();
  return result;
}

}  // namespace narrow::rewrite
