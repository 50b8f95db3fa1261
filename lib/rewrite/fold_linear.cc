#include <algorithm>
#include <unordered_set>

#include "lib/base/error.h"
#include "lib/graph/attributes.h"
#include "lib/graph/edit.h"
#include "lib/graph/graph_index.h"
#include "lib/graph/traverse.h"
#include "lib/ops/op_table.h"
#include "lib/rewrite/channel_affine.h"
#include "lib/rewrite/normalize.h"

namespace narrow::rewrite {
namespace {

/// A node with a constant weight whose output channels can take a factor and an offset.
struct Linear {
  std::string node;
  std::string weight;
  std::string bias;  // "" if it has none
  int bias_input = 2;
  int64_t weight_axis = 0;
  int64_t output_axis = 1;
  size_t output_rank = 0;
  int64_t channels = 0;
};

bool float_initializer(const graph::GraphIndex& index, const std::string& name) {
  const onnx::TensorProto* initializer = index.initializer(name);
  return initializer != nullptr && static_cast<DataType>(initializer->data_type()) == DataType::kFloat32;
}

std::optional<Linear> find_linear(const graph::GraphIndex& index, const onnx::NodeProto& node) {
  const ops::OpRow* row = ops::find_op(node);
  if (row == nullptr || row->role != ops::QuantRole::kWeighted || !float_initializer(index, node.input(1)))
    return std::nullopt;
  const onnx::TensorProto& weight = *index.initializer(node.input(1));
  const auto axis = ops::weight_channel_axis(node, static_cast<size_t>(weight.dims_size()));
  const auto shape = index.type(node.output(0)).shape;
  if (!axis || !shape) return std::nullopt;
  Linear linear{.node = node.name(),
                .weight = node.input(1),
                .weight_axis = *axis,
                .output_rank = shape->size(),
                .channels = weight.dims(static_cast<int>(*axis))};
  const bool products_of_rows = node.op_type() == "Gemm" || node.op_type() == "MatMul";
  linear.output_axis = products_of_rows ? static_cast<int64_t>(shape->size()) - 1 : 1;
  if (node.op_type() == "Gemm") {
    const bool plain = graph::float_attribute(node, "alpha", 1) == 1 && graph::float_attribute(node, "beta", 1) == 1;
    if (!plain) return std::nullopt;
  }
  if (node.input_size() > 2 && !node.input(2).empty()) {
    linear.bias = node.input(2);
    const bool vector = float_initializer(index, linear.bias) && index.initializer(linear.bias)->dims_size() == 1;
    if (!vector || index.initializer(linear.bias)->dims(0) != linear.channels) return std::nullopt;
  }
  return linear;
}

/// MatMul has no bias slot; with rank-2 operands it is a Gemm, which has one.
bool can_take_bias(const graph::GraphIndex& index, const onnx::NodeProto& node) {
  if (node.op_type() != "MatMul") return true;
  const auto a = index.type(node.input(0)).shape;
  return a && a->size() == 2 && index.type(node.input(1)).shape->size() == 2;
}

Tensor scale_channels(const Tensor& weight, int64_t axis, const std::vector<double>& factor) {
  Tensor result = weight;
  const auto values = result.mutable_data<float>();
  int64_t inner = 1;
  for (size_t i = static_cast<size_t>(axis) + 1; i < weight.rank(); ++i) inner *= weight.shape()[i];
  const int64_t channels = weight.shape()[static_cast<size_t>(axis)];
  for (size_t i = 0; i < values.size(); ++i) {
    const auto channel = static_cast<size_t>(static_cast<int64_t>(i) / inner % channels);
    values[i] = static_cast<float>(values[i] * factor[channel]);
  }
  return result;
}

Tensor transform_bias(const std::optional<Tensor>& bias, const ChannelAffine& affine) {
  const auto channels = static_cast<int64_t>(affine.factor.size());
  Tensor result(DataType::kFloat32, {channels});
  const auto values = result.mutable_data<float>();
  for (size_t c = 0; c < values.size(); ++c) {
    const double before = bias ? bias->data<float>()[c] : 0.0;
    values[c] = static_cast<float>(before * affine.factor[c] + affine.offset[c]);
  }
  return result;
}

/// One linear node and the chain of consumers that fold into it.
struct Fold {
  Linear linear;
  ChannelAffine affine;
  bool needs_bias = false;
  std::string output;  // what the last consumer made
  std::vector<std::string> consumers;
};

void compose(ChannelAffine& first, const ChannelAffine& second) {
  for (size_t c = 0; c < first.factor.size(); ++c) {
    first.factor[c] *= second.factor[c];
    first.offset[c] = first.offset[c] * second.factor[c] + second.offset[c];
  }
}

// Before:  t = Conv (x, W, b);  y = BatchNormalization (t, ...)     (or Add, Sub, Mul, Div with a constant; or several)
// After:   y = Conv (x, factor * W, factor * b + offset)
std::optional<Fold> find_fold(const graph::Model& model, const graph::GraphIndex& index, const onnx::NodeProto& node) {
  const auto linear = find_linear(index, node);
  if (!linear) return std::nullopt;
  const auto channels = static_cast<size_t>(linear->channels);
  Fold fold{.linear = *linear,
            .affine = {std::vector<double>(channels, 1), std::vector<double>(channels, 0)},
            .needs_bias = !linear->bias.empty(),
            .output = node.output(0)};
  for (;;) {
    const auto uses = index.uses(fold.output);
    if (uses.size() != 1 || index.is_output(fold.output)) break;
    if (index.graph_of(*uses[0].node) != index.graph_of(node)) break;
    const onnx::NodeProto& consumer = *uses[0].node;
    const auto affine =
        channel_affine(model, index, consumer, fold.output, linear->output_rank, linear->output_axis, linear->channels);
    if (!affine) break;
    const bool offset = std::any_of(affine->offset.begin(), affine->offset.end(), [](double o) { return o != 0; });
    if (offset && !can_take_bias(index, node)) break;
    fold.needs_bias = fold.needs_bias || offset;
    compose(fold.affine, *affine);
    fold.consumers.push_back(consumer.name());
    fold.output = consumer.output(0);
  }
  if (fold.consumers.empty()) return std::nullopt;
  return fold;
}

/// Constants that other nodes read too are copied, not changed under them.
void set_constant(graph::GraphEditor& editor, onnx::NodeProto& node, int slot, bool own, const std::string& name,
                  const Tensor& tensor) {
  if (own) return editor.replace_initializer(name, tensor);
  while (node.input_size() <= slot) node.add_input("");
  node.set_input(slot, editor.add_initializer(name, tensor));
}

void apply_fold(const graph::Model& original, const graph::GraphIndex& index, const Fold& fold,
                graph::GraphEditor& editor, onnx::NodeProto& node) {
  const Linear& linear = fold.linear;
  const auto constant = [&](const std::string& name) { return original.tensor(*index.initializer(name)); };
  const Tensor weight = scale_channels(constant(linear.weight), linear.weight_axis, fold.affine.factor);
  const auto own = [&](const std::string& name) { return index.uses(name).size() == 1 && !index.is_output(name); };
  set_constant(editor, node, 1, own(linear.weight), linear.weight, weight);
  if (fold.needs_bias) {
    const bool has_bias = !linear.bias.empty();
    const std::optional<Tensor> bias = has_bias ? std::optional(constant(linear.bias)) : std::nullopt;
    if (node.op_type() == "MatMul") node.set_op_type("Gemm");
    set_constant(editor, node, 2, has_bias && own(linear.bias), has_bias ? linear.bias : linear.node + ".bias",
                 transform_bias(bias, fold.affine));
  }
  node.set_output(0, fold.output);
}

/// Calls visit(NodeProto&) for each node, the editor standing in its graph.
template <class Visit>
void for_each_edited_node(graph::Model& model, graph::GraphEditor& editor, const Visit& visit) {
  graph::for_each_graph(model.mutable_graph(), [&](onnx::GraphProto& graph) {
    editor.edit(graph);
    for (onnx::NodeProto& node : *graph.mutable_node()) visit(node);
  });
}

graph::Model fold_channel_arithmetic(const graph::Model& model) {
  const graph::GraphIndex index(model.graph(), graph::Depth::kBodies);
  graph::Model result = model;
  graph::GraphEditor editor(result);
  std::unordered_set<std::string> gone;
  for_each_edited_node(result, editor, [&](onnx::NodeProto& node) {
    const auto fold = find_fold(model, index, *index.node(node.name()));
    if (!fold) return;
    apply_fold(model, index, *fold, editor, node);
    gone.insert(fold->consumers.begin(), fold->consumers.end());
  });
  graph::for_each_node(result.graph(), [&](const onnx::NodeProto& node) {
    if (gone.contains(node.name())) editor.remove_node(&node);
  });
  editor.finish();
  return result;
}

bool does_nothing(const graph::GraphIndex& index, const onnx::NodeProto& node) {
  if (!graph::canonical_domain(node.domain()).empty() || index.is_output(node.output(0))) return false;
  if (node.op_type() == "Identity") return true;
  if (node.op_type() != "Dropout" || (node.input_size() > 2 && !node.input(2).empty())) return false;
  const bool has_mask = node.output_size() > 1 && !node.output(1).empty();
  return !has_mask || (index.uses(node.output(1)).empty() && !index.is_output(node.output(1)));
}

// Before:  t = Identity (x);  y = Relu (t)       (or Dropout, which does nothing in inference)
// After:   y = Relu (x)
void remove_identities(graph::Model& model) {
  const graph::GraphIndex index(model.graph(), graph::Depth::kBodies);
  graph::GraphEditor editor(model);
  std::vector<std::pair<onnx::GraphProto*, graph::GraphEditor::Redirections>> found;
  graph::GraphEditor::Redirections sources;  // of all graphs
  graph::for_each_graph(model.mutable_graph(), [&](onnx::GraphProto& graph) {
    graph::GraphEditor::Redirections& own = found.emplace_back(&graph, graph::GraphEditor::Redirections()).second;
    for (const onnx::NodeProto& node : graph.node()) {
      if (!does_nothing(index, node)) continue;
      const auto earlier = sources.find(node.input(0));  // nodes are sorted: a chain's beginning is known
      own[node.output(0)] = sources[node.output(0)] = earlier == sources.end() ? node.input(0) : earlier->second;
      editor.remove_node(&node);
    }
  });
  for (const auto& [graph, own] : found) {
    editor.edit(*graph);
    editor.redirect_uses(own);
  }
  editor.finish();
}

// Before:  y = alpha * A B + beta * C      with B and C constant
// After:   y = A (alpha * B) + (beta * C)
void fold_gemm_factors(graph::Model& model) {
  const graph::GraphIndex index(model.graph(), graph::Depth::kBodies);
  graph::GraphEditor editor(model);
  for_each_edited_node(model, editor, [&](onnx::NodeProto& node) {
    if (node.op_type() != "Gemm" || !graph::canonical_domain(node.domain()).empty()) return;
    const std::vector<std::pair<int, float>> factors{{1, graph::float_attribute(node, "alpha", 1)},
                                                     {2, graph::float_attribute(node, "beta", 1)}};
    for (const auto& [slot, factor] : factors) {
      if (factor == 1) continue;
      const bool absent = node.input_size() <= slot || node.input(slot).empty();
      if (!absent && !float_initializer(index, node.input(slot))) continue;
      if (!absent) {
        Tensor tensor = model.tensor(*index.initializer(node.input(slot)));
        for (float& value : tensor.mutable_data<float>()) value *= factor;
        node.set_input(slot, editor.add_initializer(node.input(slot), tensor));
      }
      graph::set_float_attribute(node, slot == 1 ? "alpha" : "beta", 1);
    }
  });
  editor.finish();
}

/// [N] for a Gemm's C of shape [1,N], [1,1], [1] or []; nullopt for one that varies by row or is a vector already.
std::optional<Tensor> as_bias(const Tensor& c, int64_t channels) {
  const bool by_row = c.rank() == 2 && c.shape()[0] != 1;
  const bool vector = c.rank() == 1 && c.size() == channels;
  if (by_row || vector || (c.size() != 1 && c.size() != channels)) return std::nullopt;
  std::vector<float> values(static_cast<size_t>(channels));
  for (size_t i = 0; i < values.size(); ++i) values[i] = c.data<float>()[c.size() == 1 ? 0 : i];
  return Tensor::of<float>({channels}, std::span<const float>(values));
}

// Before:  y = Gemm (x, W, C)      with C of shape [1,N], [1,1], [1] or []
// After:   y = Gemm (x, W, b)      with b of shape [N]
void spread_gemm_biases(graph::Model& model) {
  const graph::GraphIndex index(model.graph(), graph::Depth::kBodies);
  graph::GraphEditor editor(model);
  for_each_edited_node(model, editor, [&](onnx::NodeProto& node) {
    const bool candidate = node.op_type() == "Gemm" && node.input_size() == 3 &&
                           float_initializer(index, node.input(1)) && float_initializer(index, node.input(2));
    if (!candidate || !graph::canonical_domain(node.domain()).empty()) return;
    const onnx::TensorProto& weight = *index.initializer(node.input(1));
    const auto axis = static_cast<int>(*ops::weight_channel_axis(node, 2));
    const auto bias = as_bias(model.tensor(*index.initializer(node.input(2))), weight.dims(axis));
    if (bias) node.set_input(2, editor.add_initializer(node.input(2), *bias));
  });
  editor.finish();
}

}  // namespace

graph::Model fold_linear(const graph::Model& model) {
  graph::Model result = model;
  remove_identities(result);
  fold_gemm_factors(result);
  spread_gemm_biases(result);
  return fold_channel_arithmetic(result);
}

}  // namespace narrow::rewrite
