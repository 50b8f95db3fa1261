#include "lib/rewrite/biases_apart.h"

#include <algorithm>
#include <map>
#include <string>
#include <tuple>
#include <vector>

#include "lib/graph/attributes.h"
#include "lib/graph/edit.h"
#include "lib/graph/graph_index.h"
#include "lib/graph/tensor_shape.h"
#include "lib/graph/traverse.h"
#include "lib/rewrite/is_op.h"

namespace narrow::rewrite {
namespace {

constexpr int kBias = 2;

class BiasesApart {
 public:
  BiasesApart(const graph::Model& original, graph::Model& model)
      : original_(original.graph(), graph::Depth::kBodies),
        model_(model),
        index_(model.graph(), graph::Depth::kBodies) {}

  void run() {
    // All is found before anything is changed: the index sees the names in the nodes.
    std::vector<Found> all;
    graph::for_each_graph(model_.mutable_graph(), [&](onnx::GraphProto& graph) {
      for (onnx::NodeProto& node : *graph.mutable_node()) {
        if (is_misread(node)) all.push_back(find(graph, node));
      }
    });
    if (all.empty()) return;
    graph::GraphEditor editor(model_);
    drop_unread(editor, all);
    for (const Found& found : all) separate(editor, found);
    editor.finish();
  }

 private:
  struct Found {
    onnx::GraphProto* graph = nullptr;
    onnx::NodeProto* node = nullptr;
    const onnx::TensorProto* vector = nullptr;  // of the bias
    Shape shape;                                // that it gets
    std::vector<std::string> dequantize;        // inputs of what dequantizes it, if something does
  };

  bool is_misread(const onnx::NodeProto& node) const {
    if (!is_op(&node, "Conv") && !is_op(&node, "ConvTranspose")) return false;
    if (node.input_size() <= kBias || constant_of(node.input(kBias)) == nullptr) return false;
    return !rank_of(node).empty() && !has_known_result(node) && is_quantized_behind(node.output(0));
  }

  /// The vector of the bias, as it is or behind a DequantizeLinear of one scale or one for each element.
  const onnx::TensorProto* constant_of(const std::string& bias) const {
    const onnx::NodeProto* maker = index_.producer(bias);
    if (maker != nullptr && !is_op(maker, "DequantizeLinear")) return nullptr;
    const onnx::TensorProto* constant = index_.initializer(maker == nullptr ? bias : maker->input(0));
    return constant != nullptr && constant->dims_size() == 1 ? constant : nullptr;
  }

  /// [C, 1, ...] of as many dimensions as a result has behind its samples; empty if nobody tells.
  Shape rank_of(const onnx::NodeProto& node) const {
    const onnx::NodeProto& before = *original_.node(node.name());
    const onnx::TensorProto* weight = original_.initializer(before.input(1));
    const auto shape = weight == nullptr ? original_.type(before.input(1)).shape : graph::shape_of(*weight);
    if (!shape || shape->size() < 3) return {};
    return Shape(shape->size() - 1, 1);
  }

  bool has_known_result(const onnx::NodeProto& node) const {
    return graph::is_known(original_.type(original_.node(node.name())->output(0)).shape);
  }

  bool is_quantized_behind(const std::string& value) const {
    const auto uses = index_.uses(value);
    return std::any_of(uses.begin(), uses.end(), [&](const graph::Use& use) {
      if (is_op(use.node, "QuantizeLinear")) return true;
      const bool clamp = is_op(use.node, "Relu") || is_op(use.node, "Clip");
      return clamp && is_quantized_behind(use.node->output(0));
    });
  }

  Found find(onnx::GraphProto& graph, onnx::NodeProto& node) const {
    const std::string& bias = node.input(kBias);
    Found found{.graph = &graph, .node = &node, .vector = constant_of(bias), .shape = rank_of(node), .dequantize = {}};
    found.shape[0] = found.vector->dims(0);
    const onnx::NodeProto* maker = index_.producer(bias);
    if (maker != nullptr) found.dequantize.assign(maker->input().begin(), maker->input().end());
    return found;
  }

  void drop_unread(graph::GraphEditor& editor, const std::vector<Found>& all) const {
    std::map<std::string, size_t> changed;
    for (const Found& found : all) ++changed[found.node->input(kBias)];
    for (const auto& [bias, uses] : changed) {
      const onnx::NodeProto* maker = index_.producer(bias);
      const bool read = index_.is_output(bias) || index_.uses(bias).size() > uses;
      if (maker != nullptr && !read) editor.remove_node(maker);
    }
  }

  // Before:  y = Conv (x, W, b)
  // After:   t = Conv (x, W);  y = Add (t, [b as C, 1, ...])
  void separate(graph::GraphEditor& editor, const Found& found) {
    editor.edit(*found.graph);
    onnx::NodeProto& node = *found.node;
    std::string& bias = made_[{found.graph, node.input(kBias), found.shape.size()}];
    if (bias.empty()) bias = add_spread(editor, found);
    const std::string sum = node.output(0);
    const std::string product = editor.unique_name(sum + "_product");
    node.mutable_input()->RemoveLast();
    node.set_output(0, product);
    editor.add_node("Add", node.name() + "_bias", {product, bias}, {sum});
  }

  std::string add_spread(graph::GraphEditor& editor, const Found& found) {
    const std::string name = found.node->input(kBias) + "_channels";
    const Tensor spread = model_.tensor(*found.vector).reshaped(found.shape);
    if (found.dequantize.empty()) return editor.add_initializer(name, spread);
    std::vector<std::string> inputs = found.dequantize;
    inputs[0] = editor.add_initializer(found.vector->name() + "_channels", spread);
    onnx::NodeProto& dequantize = editor.add_value("DequantizeLinear", name, inputs);
    graph::set_int_attribute(dequantize, "axis", 0);
    return dequantize.output(0);
  }

  const graph::GraphIndex original_;
  graph::Model& model_;
  const graph::GraphIndex index_;  // before any change
  std::map<std::tuple<const onnx::GraphProto*, std::string, size_t>, std::string> made_;
};

}  // namespace

void set_biases_apart(const graph::Model& original, graph::Model& model) {
  BiasesApart(original, model).run();
}

}  // namespace narrow::rewrite
