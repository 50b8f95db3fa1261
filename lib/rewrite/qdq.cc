#include "lib/rewrite/qdq.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <unordered_map>
#include <unordered_set>

#include "lib/base/error.h"
#include "lib/graph/attributes.h"
#include "lib/graph/edit.h"
#include "lib/graph/graph_index.h"
#include "lib/graph/traverse.h"
#include "lib/plan/half.h"
#include "lib/quant/quant_params.h"
#include "lib/rewrite/biases_apart.h"
#include "lib/rewrite/block_operators.h"
#include "lib/rewrite/constant_writer.h"
#include "lib/rewrite/dynamic.h"
#include "lib/rewrite/float_layers.h"
#include "lib/rewrite/half.h"
#include "lib/rewrite/microsoft.h"
#include "lib/rewrite/normalize.h"

namespace narrow::rewrite {
namespace {

class QdqWriter {
 public:
  QdqWriter(const graph::Model& original, graph::Model& model, const plan::PrecisionPlan& plan)
      : index_(original.graph(), graph::Depth::kBodies),
        plan_(plan),
        model_(model),
        editor_(model),
        constants_(original, index_, editor_),
        dynamic_(editor_, constants_),
        blocks_(editor_, constants_) {
    for (const plan::ValuePlan& value : plan.values) values_[value.value] = &value;
    graph::for_each_graph(model.mutable_graph(), [&](onnx::GraphProto& graph) { note_graph(graph); });
    for (const plan::LayerPlan& layer : plan.layers) {
      const size_t graph = graphs_.at(layer.node);
      for (const std::string& value : layer.activations) readers_[value][graph].push_back(nodes_.at(layer.node));
      for (const std::string& value : layer.outputs) made_quantized_.insert(value);
    }
  }

  void write() {
    remove_folded_clamps();
    for (const plan::LayerPlan& layer : plan_.layers) {
      if (layer.decision != plan::Decision::kDynamic) continue;
      const onnx::NodeProto& node = *nodes_.at(layer.node);
      makers_[node.output(0)] = &dynamic_.replace(*all_graphs_[graphs_.at(layer.node)], layer, node);
    }
    // Weights first: they are found by the names that the plan knows.
    for (const plan::LayerPlan& layer : plan_.layers) {
      if (layer.weight && layer.decision != plan::Decision::kDynamic) quantize_weight(layer);
    }
    for (const plan::ValuePlan& value : plan_.values) dequantize_for_readers(value);
    // Readers first, then the nodes that they must not take for readers.
    for (const auto& [graph, redirections] : redirections_) {
      editor_.edit(*all_graphs_[graph]);
      editor_.redirect_uses(redirections);
    }
    for (const PendingPair& pair : pairs_) add_pair(pair);
    editor_.finish();
    if (blocks_.used()) import_microsoft(model_);
  }

 private:
  struct PendingPair {
    const plan::ValuePlan* plan = nullptr;
    onnx::GraphProto* graph = nullptr;
    std::string real;
    std::string dequantized;
  };
  // By number of the graph, so that what is written does not depend on addresses.
  using Readers = std::map<size_t, std::vector<onnx::NodeProto*>>;

  void note_graph(onnx::GraphProto& graph) {
    const size_t number = all_graphs_.size();
    all_graphs_.push_back(&graph);
    for (const onnx::ValueInfoProto& input : graph.input()) owners_[input.name()] = number;
    for (onnx::NodeProto& node : *graph.mutable_node()) {
      nodes_[node.name()] = &node;
      graphs_[node.name()] = number;
      for (const std::string& output : node.output()) {
        makers_[output] = &node;
        owners_[output] = number;
      }
    }
  }

  // Before:  t = Conv (...);  y = Relu (t);  ... y
  // After:   y = Conv (...);  ... y          (the Q behind y clamps as Relu does; check_plan proved it)
  void remove_folded_clamps() {
    for (const plan::LayerPlan& layer : plan_.layers) {
      if (layer.decision != plan::Decision::kFold) continue;
      const onnx::NodeProto& clamp = *nodes_.at(layer.node);
      rename_result(clamp.input(0), clamp.output(0));
      editor_.remove_node(&clamp);
    }
  }

  // Before:  y = Conv (x, W, b)
  // After:   y = Conv (x, DequantizeLinear (W_quantized), DequantizeLinear (b_quantized))
  void quantize_weight(const plan::LayerPlan& layer) {
    onnx::NodeProto& node = *nodes_.at(layer.node);
    const plan::WeightPlan& weight = *layer.weight;
    onnx::GraphProto& graph = *all_graphs_[graphs_.at(layer.node)];
    if (weight.operators == plan::Operators::kMicrosoft) return blocks_.replace(graph, layer, node);
    if (looks_up_integers(node, weight)) return look_up_integers(graph, node, layer);
    const Zeros zeros = zeros_of(layer);
    node.set_input(weight.input,
                   constants_.dequantized(graph, weight.initializer, weight.params, zeros,
                                          zeros == Zeros::kLeftOut ? shared_by(node) : Shared::kIntegers));
    for (const plan::WeightPlan& more : layer.more_weights) {
      node.set_input(more.input, constants_.dequantized(graph, more.initializer, more.params, zeros));
    }
    if (!layer.bias_input) return;
    const std::string bias = node.input(*layer.bias_input);
    const quant::QuantParams& source = values_.at(layer.activations.at(0))->params;
    const quant::QuantParams params = bias_params(weight.params, source, bias);
    node.set_input(*layer.bias_input, constants_.dequantized(graph, bias, params, Zeros::kStored));
  }

  /// Rows of whole bytes with a scale for each column, or one for all, can be dequantized behind the lookup.
  bool looks_up_integers(const onnx::NodeProto& node, const plan::WeightPlan& weight) const {
    const quant::QuantTypeRow& type = quant::row(weight.params.type);
    const bool bytes = !type.is_float && type.bits >= 8 && !quant::needs_decoder(weight.params.type);
    if (node.op_type() != "Gather" || weight.input != 0 || !bytes || weight.params.block > 0) return false;
    const auto rank = static_cast<int64_t>(constants_.shape_of(weight.initializer).size());
    const int64_t axis = normalize_axis(graph::int_attribute(node, "axis", 0), static_cast<size_t>(rank));
    return !weight.params.axis || *weight.params.axis > axis;
  }

  // Before:  y = Gather (table, i)
  // After:   y = DequantizeLinear (Gather (table_quantized, i))
  // Runtimes that do not fold it would dequantize the whole table in each run otherwise.
  void look_up_integers(onnx::GraphProto& graph, onnx::NodeProto& node, const plan::LayerPlan& layer) {
    const plan::WeightPlan& weight = *layer.weight;
    const ConstantWriter::Stored table = constants_.stored(graph, weight.initializer, weight.params, zeros_of(layer));
    const std::string value = node.output(0);
    const std::string rows = editor_.unique_name(value + "_quantized");
    node.set_input(0, table.integers);
    node.set_output(0, rows);
    std::vector<std::string> inputs{rows, table.parameters.scale};
    if (!table.parameters.zero_point.empty()) inputs.push_back(table.parameters.zero_point);
    editor_.edit(graph);
    onnx::NodeProto& dequantize = editor_.add_node("DequantizeLinear", value + "_DequantizeLinear", inputs, {value});
    const auto rank = static_cast<int64_t>(constants_.shape_of(weight.initializer).size());
    // From the end, because the lookup may have changed the rank in front of it.
    if (weight.params.axis) graph::set_int_attribute(dequantize, "axis", *weight.params.axis - rank);
    makers_[value] = &dequantize;
  }

  static Zeros zeros_of(const plan::LayerPlan& layer) {
    const bool in_float = layer.decision == plan::Decision::kWeightOnly || layer.weight->params.block > 0;
    return in_float ? Zeros::kLeftOut : Zeros::kStored;
  }

  // onnxruntime 1.31 makes MatMulNBits of a DequantizeLinear and a float product that stand in one graph, looks for the
  // integers in that graph alone, and refuses the file where they are around it.
  static Shared shared_by(const onnx::NodeProto& reader) {
    const bool product = reader.op_type() == "MatMul" || reader.op_type() == "Gemm";
    return product ? Shared::kValue : Shared::kIntegers;
  }

  quant::QuantParams bias_params(const quant::QuantParams& weight, const quant::QuantParams& source,
                                 const std::string& bias) const {
    quant::QuantParams params{.type = quant::QuantType::kInt32};
    if (weight.axis) params.axis = 0;
    for (const float scale : weight.scales) params.scales.push_back(source.scales[0] * scale);
    params.zero_points.assign(params.scales.size(), 0);
    ensure(!params.axis || constants_.float_constant(bias).shape()[0] == static_cast<int64_t>(params.scales.size()),
           "a bias has as many elements as the weight has channels");
    return params;
  }

  // Before:  x = Conv (...);  y = Relu (x)
  // After:   x = Conv (...);  q = QuantizeLinear (x);  d = DequantizeLinear (q);  y = Relu (d)
  // A graph output x keeps its name: the producer's result is renamed, and the DequantizeLinear makes x.
  void dequantize_for_readers(const plan::ValuePlan& plan) {
    const std::string& value = plan.value;
    Readers& readers = readers_[value];
    if (index_.initializer(value) != nullptr) {
      for (auto& [graph, nodes] : readers) {
        read_instead(nodes, value, constants_.dequantized(*all_graphs_[graph], value, plan.params, Zeros::kStored));
      }
      return;
    }
    const size_t home = owners_.at(value);
    if (plan_.form.pair_per_reader) {
      pair_each_reader(plan, readers);
      const auto& integer_io = plan_.form.integer_io;
      const bool ends_in_integers = std::find(integer_io.begin(), integer_io.end(), value) != integer_io.end();
      if (ends_in_integers && !index_.is_input(value)) dequantize_at_home(plan, home);
      return;
    }
    const bool at_home = readers.contains(home) || made_quantized_.contains(value);
    const std::string seen = at_home ? dequantize_at_home(plan, home) : value;
    // Bodies that read it from around them have a pair of their own, because only what stands in one graph fuses. To
    // quantize what is on the grid already changes nothing.
    for (auto& [graph, nodes] : readers) {
      if (graph == home) continue;
      const std::string inside = editor_.unique_name(value + "_dequantized");
      read_instead(nodes, value, inside);
      pairs_.push_back({&plan, all_graphs_[graph], seen, inside});
    }
  }

  // Before:  x = Conv (...);  y = Conv (x, ...);  z = Add (x, ...);  ... x
  // After:   x = Conv (...);  y = Conv (DQ (Q (x)), ...);  z = Add (DQ (Q (x)), ...);  ... x
  void pair_each_reader(const plan::ValuePlan& plan, const Readers& readers) {
    for (const auto& [graph, nodes] : readers) {
      for (onnx::NodeProto* reader : nodes) {
        const std::string inside = editor_.unique_name(plan.value + "_dequantized");
        read_instead({reader}, plan.value, inside);
        pairs_.push_back({&plan, all_graphs_[graph], plan.value, inside});
      }
    }
  }

  /// Returns the name under which the dequantized value is known.
  std::string dequantize_at_home(const plan::ValuePlan& plan, size_t home) {
    const std::string& value = plan.value;
    if (index_.is_output(value) && !index_.is_input(value)) {
      const std::string real = editor_.unique_name(value + "_real");
      rename_result(value, real);
      pairs_.push_back({&plan, all_graphs_[home], real, value});
      return value;
    }
    std::string dequantized = editor_.unique_name(value + "_dequantized");
    // Float readers of a graph input can have it as it is; a computed value must have one reader to fuse.
    if (index_.is_input(value)) {
      read_instead(readers_[value][home], value, dequantized);
    } else {
      redirections_[home][value] = dequantized;
    }
    pairs_.push_back({&plan, all_graphs_[home], value, dequantized});
    return dequantized;
  }

  /// Only the planned layers read the value in quantized form; others keep the float one.
  static void read_instead(const std::vector<onnx::NodeProto*>& readers, const std::string& value,
                           const std::string& dequantized) {
    for (onnx::NodeProto* reader : readers) {
      for (std::string& input : *reader->mutable_input()) {
        if (input == value) input = dequantized;
      }
    }
  }

  void add_pair(const PendingPair& pair) {
    const std::string& value = pair.plan->value;
    const ParameterNames names = constants_.add_parameters(*pair.graph, value, pair.plan->params, {}, Zeros::kStored);
    const std::string quantized = editor_.unique_name(value + "_quantized");
    editor_.edit(*pair.graph);
    editor_.add_node("QuantizeLinear", value + "_QuantizeLinear", {pair.real, names.scale, names.zero_point},
                     {quantized});
    editor_.add_node("DequantizeLinear", value + "_DequantizeLinear", {quantized, names.scale, names.zero_point},
                     {pair.dequantized});
  }

  void rename_result(const std::string& from, const std::string& to) {
    const auto maker = makers_.extract(from);
    ensure(!maker.empty(), "a renamed value has a producer");
    for (std::string& output : *maker.mapped()->mutable_output()) {
      if (output == from) output = to;
    }
    makers_[to] = maker.mapped();
  }

  graph::GraphIndex index_;  // of the original
  const plan::PrecisionPlan& plan_;
  graph::Model& model_;
  graph::GraphEditor editor_;
  std::unordered_map<std::string, const plan::ValuePlan*> values_;
  std::unordered_map<std::string, onnx::NodeProto*> nodes_;
  std::unordered_map<std::string, onnx::NodeProto*> makers_;
  std::vector<onnx::GraphProto*> all_graphs_;         // the main one first
  std::unordered_map<std::string, size_t> graphs_;    // of nodes, by name: number in all_graphs_
  std::unordered_map<std::string, size_t> owners_;    // of values that nodes make or graphs are given
  std::unordered_map<std::string, Readers> readers_;  // planned ones
  std::unordered_set<std::string> made_quantized_;
  std::map<size_t, graph::GraphEditor::Redirections> redirections_;
  std::vector<PendingPair> pairs_;
  ConstantWriter constants_;
  DynamicWriter dynamic_;
  BlockWriter blocks_;
};

/// Some layers compute in 16-bit floats, and no other is anything but float.
bool only_halves(const plan::PrecisionPlan& plan) {
  const auto is_half = [](const plan::LayerPlan& layer) { return plan::half_type(layer.decision).has_value(); };
  return std::any_of(plan.layers.begin(), plan.layers.end(), is_half) &&
         std::all_of(plan.layers.begin(), plan.layers.end(), [&](const plan::LayerPlan& layer) {
           return is_half(layer) || layer.decision == plan::Decision::kFloat;
         });
}

}  // namespace

graph::Model rewrite_to_qdq(const graph::Model& model, const plan::PrecisionPlan& plan) {
  plan::check_plan(plan, model);
  const plan::FormatNeeds needs = plan::format_needs(plan);
  graph::Model original = convert_halves(with_opset(model, needs.opset), plan);
  onnx::ModelProto& proto = original.mutable_proto();
  proto.set_ir_version(std::max<int64_t>(proto.ir_version(), needs.ir_version));
  if (only_halves(plan)) return original;  // a copy would hold all weights once more
  graph::Model result = original;
  QdqWriter(original, result, plan).write();
  if (!plan.form.pair_per_reader) keep_float_layers(result);  // those want one scale in front of each layer
  if (plan.form.biases_apart) set_biases_apart(original, result);
  return result;
}

}  // namespace narrow::rewrite
