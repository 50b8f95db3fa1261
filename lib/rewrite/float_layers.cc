#include "lib/rewrite/float_layers.h"

#include <algorithm>
#include <map>
#include <optional>
#include <string>
#include <tuple>
#include <unordered_map>
#include <vector>

#include "lib/graph/attributes.h"
#include "lib/graph/edit.h"
#include "lib/graph/graph_index.h"
#include "lib/graph/tensor_shape.h"
#include "lib/graph/traverse.h"
#include "lib/rewrite/is_op.h"

namespace narrow::rewrite {
namespace {

/// The channels of what a layer reads; axis 0 only of a transposed matrix.
struct Channels {
  int64_t axis = 1;
  int64_t count = 0;
  auto operator<=>(const Channels&) const = default;
};

class FloatLayers {
 public:
  explicit FloatLayers(graph::Model& model) : model_(model), index_(model.graph(), graph::Depth::kBodies) {}

  void keep() {
    std::vector<Read> reads;
    std::vector<Read> weights;
    graph::for_each_graph(model_.mutable_graph(), [&](onnx::GraphProto& graph) {
      for (onnx::NodeProto& node : *graph.mutable_node()) {
        if (looks_forgotten(node)) reads.push_back({.graph = &graph, .node = &node});
        if (is_unpacked_wrongly(node)) weights.push_back({.graph = &graph, .node = &node});
      }
    });
    if (reads.empty() && weights.empty()) return;
    graph::GraphEditor editor(model_);
    for (const Read& read : reads) separate(editor, read);
    for (const Read& read : weights) sum_alone(editor, read, 1);
    for (const auto& [value, left] : readers_left_) {
      if (left == 0 && !index_.is_output(value)) editor.remove_node(index_.producer(value));
    }
    editor.finish();
  }

 private:
  struct Read {
    onnx::GraphProto* graph = nullptr;
    onnx::NodeProto* node = nullptr;
  };

  bool looks_forgotten(const onnx::NodeProto& node) const {
    const bool product = is_op(&node, "MatMul") || is_op(&node, "Gemm");
    if (!product && !is_op(&node, "Conv") && !is_op(&node, "ConvTranspose")) return false;
    const onnx::NodeProto* dequantize = index_.producer(node.input(0));
    if (!is_op(dequantize, "DequantizeLinear")) return false;
    const onnx::TensorProto* scale = index_.initializer(dequantize->input(1));
    if (scale == nullptr || element_count(graph::shape_of(*scale)) != 1) return false;
    const std::string& weight = node.input(1);
    if (product && is_misread_in_products(weight)) return true;
    if (is_op(&node, "MatMul") || !is_quantized_behind(node.output(0))) return false;
    return is_float_constant(weight) || (is_op(&node, "Conv") && two_bit_constant(weight) != nullptr);
  }

  bool is_unpacked_wrongly(const onnx::NodeProto& node) const {
    if (is_op(&node, "Gemm")) {
      return graph::int_attribute(node, "transB", 0) == 0 && two_bit_constant(node.input(1)) != nullptr;
    }
    if (!is_op(&node, "MatMul") || two_bit_constant(node.input(1)) == nullptr) return false;
    const auto uses = index_.uses(node.output(0));
    return std::any_of(uses.begin(), uses.end(), [](const auto& use) { return is_op(use.node, "Add"); });
  }

  bool is_misread_in_products(const std::string& weight) const {
    if (two_bit_constant(weight) != nullptr) return true;
    const onnx::NodeProto* producer = index_.producer(weight);
    if (!is_op(producer, "DequantizeLinear") || graph::int_attribute(*producer, "block_size", 0) == 0) return false;
    const onnx::TensorProto* stored = index_.initializer(producer->input(0));
    return stored != nullptr &&
           (stored->data_type() == onnx::TensorProto::INT8 || stored->data_type() == onnx::TensorProto::UINT8);
  }

  /// What a weight is dequantized from, if that has 2 bits.
  const onnx::TensorProto* two_bit_constant(const std::string& weight) const {
    const onnx::NodeProto* producer = index_.producer(weight);
    const onnx::TensorProto* stored =
        is_op(producer, "DequantizeLinear") ? index_.initializer(producer->input(0)) : nullptr;
    const bool two_bits = stored != nullptr && (stored->data_type() == onnx::TensorProto::INT2 ||
                                                stored->data_type() == onnx::TensorProto::UINT2);
    return two_bits ? stored : nullptr;
  }

  /// Or becomes one where constants are folded.
  bool is_float_constant(const std::string& value) const {
    if (const onnx::TensorProto* tensor = index_.initializer(value)) {
      return tensor->data_type() == onnx::TensorProto::FLOAT;
    }
    const onnx::NodeProto* producer = index_.producer(value);
    if (producer == nullptr || is_op(producer, "DequantizeLinear")) return false;
    return std::all_of(producer->input().begin(), producer->input().end(), [&](const std::string& input) {
      return index_.initializer(input) != nullptr || is_float_constant(input);
    });
  }

  bool is_quantized_behind(const std::string& value) const {
    const auto uses = index_.uses(value);
    if (uses.size() != 1) return false;
    const onnx::NodeProto* reader = uses[0].node;
    if (is_op(reader, "QuantizeLinear")) return true;
    return (is_op(reader, "Relu") || is_op(reader, "Clip")) && is_quantized_behind(reader->output(0));
  }

  std::optional<Shape> shape_of(const std::string& weight) const {
    if (const onnx::TensorProto* tensor = index_.initializer(weight)) return graph::shape_of(*tensor);
    if (const onnx::TensorProto* stored = two_bit_constant(weight)) return graph::shape_of(*stored);
    return index_.type(weight).shape;
  }

  Channels channels_of(const onnx::NodeProto& node) const {
    const auto shape = shape_of(node.input(1));
    if (!shape || shape->size() < 2 || node.op_type() == "MatMul") return {};
    if (node.op_type() == "Conv") return {.count = shape->at(1) * graph::int_attribute(node, "group", 1)};
    if (node.op_type() == "ConvTranspose") return {.count = shape->at(0)};
    return {.axis = graph::int_attribute(node, "transA", 0) != 0 ? 0 : 1,
            .count = shape->at(graph::int_attribute(node, "transB", 0) != 0 ? 1 : 0)};
  }

  // Before:  d = DequantizeLinear (q, s, z);  y = Conv (d, W)
  // After:   e = DequantizeLinear <axis = 1> (q, [s, s, ...], [z, z, ...]);  y = Conv (e, W)
  // One channel has one scale in any form: then (and where the channels are not known) a sum of one term is between.
  void separate(graph::GraphEditor& editor, const Read& read) {
    const std::string value = read.node->input(0);
    editor.edit(*read.graph);
    const Channels channels = channels_of(*read.node);
    if (channels.count < 2) return sum_alone(editor, read, 0);
    std::string& made = made_[{read.graph, value, channels}];
    if (made.empty()) made = dequantize(editor, *index_.producer(value), channels);
    read.node->set_input(0, made);
    const auto left = readers_left_.try_emplace(value, index_.uses(value).size()).first;
    --left->second;
  }

  static void sum_alone(graph::GraphEditor& editor, const Read& read, int slot) {
    const std::string value = read.node->input(slot);
    editor.edit(*read.graph);
    read.node->set_input(slot, editor.add_value("Sum", value + "_float", {value}).output(0));
  }

  std::string dequantize(graph::GraphEditor& editor, const onnx::NodeProto& one_scale, const Channels& channels) {
    std::vector<std::string> inputs{one_scale.input(0)};
    for (int i = 1; i < one_scale.input_size(); ++i) {
      const Tensor one = model_.tensor(*index_.initializer(one_scale.input(i)));
      const std::string bytes(reinterpret_cast<const char*>(one.bytes()), one.byte_size());
      onnx::TensorProto repeated;
      repeated.set_data_type(static_cast<int32_t>(one.type()));
      repeated.add_dims(channels.count);
      for (int64_t channel = 0; channel < channels.count; ++channel) *repeated.mutable_raw_data() += bytes;
      inputs.push_back(editor.add_initializer(one_scale.input(i) + "_by_channel", graph::embedded_tensor(repeated)));
    }
    onnx::NodeProto& node = editor.add_value("DequantizeLinear", one_scale.output(0) + "_float", inputs);
    graph::set_int_attribute(node, "axis", channels.axis);
    return node.output(0);
  }

  graph::Model& model_;
  const graph::GraphIndex index_;  // before any change
  std::map<std::tuple<const onnx::GraphProto*, std::string, Channels>, std::string> made_;
  std::unordered_map<std::string, size_t> readers_left_;  // of dequantized values that float layers read
};

}  // namespace

void keep_float_layers(graph::Model& model) {
  FloatLayers(model).keep();
}

}  // namespace narrow::rewrite
