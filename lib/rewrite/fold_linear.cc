#include <algorithm>

#include "lib/base/error.h"
#include "lib/graph/attributes.h"
#include "lib/graph/edit.h"
#include "lib/graph/graph_index.h"
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

onnx::NodeProto& find_node(graph::Model& model, const std::string& name) {
  for (onnx::NodeProto& node : *model.mutable_graph().mutable_node()) {
    if (node.name() == name) return node;
  }
  throw Error(ErrorKind::kInternal, "node '{}' has gone", name);
}

class Folder {
 public:
  explicit Folder(graph::Model& model) : model_(model) {}

  /// Folds one consumer into one linear node; false if there is none to fold.
  bool fold_one() {
    const graph::GraphIndex index(model_.graph());
    for (const onnx::NodeProto& node : model_.graph().node()) {
      if (const auto linear = find_linear(index, node)) {
        if (fold_consumer(index, node, *linear)) return true;
      }
    }
    return false;
  }

 private:
  // Before:  t = Conv (x, W, b);  y = BatchNormalization (t, ...)     (or Add, Sub, Mul, Div with a constant)
  // After:   y = Conv (x, factor * W, factor * b + offset)
  bool fold_consumer(const graph::GraphIndex& index, const onnx::NodeProto& node, const Linear& linear) {
    const std::string value = node.output(0);
    const auto uses = index.uses(value);
    if (uses.size() != 1 || index.is_output(value) || uses[0].input == graph::Use::kCaptured) return false;
    const onnx::NodeProto& consumer = *uses[0].node;
    const auto affine =
        channel_affine(model_, index, consumer, value, linear.output_rank, linear.output_axis, linear.channels);
    if (!affine) return false;
    const bool has_offset = std::any_of(affine->offset.begin(), affine->offset.end(), [](double o) { return o != 0; });
    const bool needs_bias = has_offset || !linear.bias.empty();
    if (needs_bias && !can_take_bias(index, node)) return false;

    const Tensor weight = scale_channels(constant(index, linear.weight), linear.weight_axis, affine->factor);
    std::optional<Tensor> bias;
    if (!linear.bias.empty()) bias = constant(index, linear.bias);
    const bool own_weight = index.uses(linear.weight).size() == 1;
    const bool own_bias = !linear.bias.empty() && index.uses(linear.bias).size() == 1;
    const std::string output = consumer.output(0);

    graph::GraphEditor editor(model_);
    onnx::NodeProto& target = find_node(model_, linear.node);
    set_constant(editor, target, 1, own_weight, linear.weight, weight);
    if (needs_bias) {
      if (target.op_type() == "MatMul") target.set_op_type("Gemm");
      const std::string name = linear.bias.empty() ? linear.node + ".bias" : linear.bias;
      set_constant(editor, target, 2, own_bias, name, transform_bias(bias, *affine));
    }
    editor.remove_node(&consumer);
    target.set_output(0, output);
    editor.finish();
    return true;
  }

  Tensor constant(const graph::GraphIndex& index, const std::string& name) const {
    return model_.tensor(*index.initializer(name));
  }

  /// Constants that other nodes read too are copied, not changed under them.
  static void set_constant(graph::GraphEditor& editor, onnx::NodeProto& node, int slot, bool own,
                           const std::string& name, const Tensor& tensor) {
    if (own) return editor.replace_initializer(name, tensor);
    while (node.input_size() <= slot) node.add_input("");
    node.set_input(slot, editor.add_initializer(name, tensor));
  }

  graph::Model& model_;
};

// Before:  t = Identity (x);  y = Relu (t)       (or Dropout, which does nothing in inference)
// After:   y = Relu (x)
void remove_identities(graph::Model& model) {
  graph::GraphEditor editor(model);
  for (;;) {
    const graph::GraphIndex index(model.graph());
    const auto& nodes = model.graph().node();
    const auto found = std::find_if(nodes.begin(), nodes.end(), [&](const onnx::NodeProto& node) {
      const bool drops = node.op_type() == "Dropout" && (node.input_size() < 3 || node.input(2).empty());
      const bool mask_read =
          node.output_size() > 1 && (!index.uses(node.output(1)).empty() || index.is_output(node.output(1)));
      const bool passes = node.op_type() == "Identity" || (drops && !mask_read);
      return passes && graph::canonical_domain(node.domain()).empty() && !index.is_output(node.output(0));
    });
    if (found == nodes.end()) return;
    editor.remove_node(&*found);
    const std::string from = found->output(0);
    const std::string to = found->input(0);
    editor.redirect_uses(from, to);
    editor.finish();
  }
}

// Before:  y = alpha * A B + beta * C      with B and C constant
// After:   y = A (alpha * B) + (beta * C)
void fold_gemm_factors(graph::Model& model) {
  const graph::GraphIndex index(model.graph());
  graph::GraphEditor editor(model);
  for (onnx::NodeProto& node : *model.mutable_graph().mutable_node()) {
    if (node.op_type() != "Gemm" || !graph::canonical_domain(node.domain()).empty()) continue;
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
  }
  editor.finish();
}

}  // namespace

graph::Model fold_linear(const graph::Model& model) {
  graph::Model result = model;
  remove_identities(result);
  fold_gemm_factors(result);
  Folder folder(result);
  while (folder.fold_one()) {
  }
  return result;
}

}  // namespace narrow::rewrite
