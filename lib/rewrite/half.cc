#include "lib/rewrite/half.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <tuple>
#include <unordered_map>

#include "lib/graph/attributes.h"
#include "lib/graph/edit.h"
#include "lib/graph/graph_index.h"
#include "lib/graph/traverse.h"
#include "lib/plan/half.h"
#include "lib/quant/usual_inputs.h"
#include "lib/tensor/convert.h"
#include "lib/tensor/piece.h"

namespace narrow::rewrite {
namespace {

class HalfWriter {
 public:
  HalfWriter(const graph::Model& original, graph::Model& model, const plan::PrecisionPlan& plan)
      : original_(original), index_(original.graph(), graph::Depth::kBodies), editor_(model) {
    for (const plan::LayerPlan& layer : plan.layers) {
      if (const auto type = plan::half_type(layer.decision)) types_[layer.node] = *type;
      if (layer.half_weight) weights_[layer.node] = &*layer.half_weight;
    }
    graph::for_each_graph(model.mutable_graph(), [&](onnx::GraphProto& graph) {
      for (const onnx::ValueInfoProto& input : graph.input()) homes_[input.name()] = &graph;
      for (const onnx::TensorProto& initializer : graph.initializer()) homes_[initializer.name()] = &graph;
      for (onnx::NodeProto& node : *graph.mutable_node()) {
        for (const std::string& output : node.output()) homes_[output] = &graph;
        if (types_.contains(node.name())) nodes_.push_back(&node);
      }
    });
  }

  void write() {
    for (onnx::NodeProto* node : nodes_) rename_outputs(*node);
    for (onnx::NodeProto* node : nodes_) convert_inputs(*node);
    for (const auto& [value, made] : made_) {
      if (!has_float_reader(value)) continue;
      editor_.edit(*homes_.at(value));
      add_cast(made.name, DataType::kFloat32, value);
    }
    editor_.finish();
  }

 private:
  struct Half {
    std::string name;
    DataType type = DataType::kFloat16;
  };

  plan::HalfSlots slots(const onnx::NodeProto& node) const {
    return plan::half_slots(index_, *index_.node(node.name()), types_.at(node.name()), original_.opset());
  }

  void rename_outputs(onnx::NodeProto& node) {
    const DataType type = types_.at(node.name());
    for (const int slot : slots(node).outputs) {
      std::string& output = *node.mutable_output(slot);
      const std::string half = half_name(output, type);
      made_[output] = {half, type};
      output = half;
    }
  }

  void convert_inputs(onnx::NodeProto& node) {
    const onnx::NodeProto& before = *index_.node(node.name());
    const auto weight = weights_.find(node.name());
    for (const int slot : slots(node).inputs) {
      const bool summed = weight != weights_.end() && weight->second->input == slot;
      const SumAxes sum_axes = summed ? weight->second->sum_axes : SumAxes{};
      const std::string bias = summed ? own_bias(before, before.input(slot)) : std::string();
      node.set_input(slot, half_of(before.input(slot), types_.at(node.name()), sum_axes, bias));
    }
  }

  /// The constant that is added to what this weight alone makes; "" if there is none.
  std::string own_bias(const onnx::NodeProto& node, const std::string& weight) const {
    const bool product = node.op_type() == "Conv" || (node.op_type() == "Gemm" && has_unit_factors(node));
    if (!product || node.input_size() < 3 || index_.uses(weight).size() != 1) return {};
    return index_.initializer(node.input(2)) != nullptr ? node.input(2) : std::string();
  }

  static bool has_unit_factors(const onnx::NodeProto& gemm) {
    return graph::float_attribute(gemm, "alpha", 1.0F) == 1 && graph::float_attribute(gemm, "beta", 1.0F) == 1;
  }

  /// The value in the type: made so, converted from a constant, or cast. `bias`: see round_for_usual_inputs.
  std::string half_of(const std::string& value, DataType type, const SumAxes& sum_axes, const std::string& bias) {
    const auto made = made_.find(value);
    if (made != made_.end() && made->second.type == type) return made->second.name;
    std::string& name = halves_[{value, type, sum_axes}];
    if (!name.empty()) return name;
    editor_.edit(*homes_.at(value));
    if (const onnx::TensorProto* initializer = index_.initializer(value)) {
      const Tensor real = original_.tensor(*initializer);
      const Tensor added = bias.empty() ? Tensor() : original_.tensor(*index_.initializer(bias));
      const Tensor half =
          sum_axes.empty() ? nearest_halves(real, type) : quant::round_for_usual_inputs(real, type, sum_axes, added);
      original_.release_weights();
      name = editor_.add_initializer(value + "_" + std::string(data_type_name(type)), half);
      return name;
    }
    name = half_name(value, type);
    add_cast(value, type, name);
    return name;
  }

  /// Piece by piece: what was read of a large table may leave memory.
  Tensor nearest_halves(const Tensor& real, DataType type) const {
    constexpr int64_t kPiece = int64_t{1} << 20;
    Workspace workspace;
    if (real.size() <= kPiece) return convert_elements(real, type, workspace);
    Tensor half(type, real.shape());
    std::byte* to = half.mutable_bytes();
    for (int64_t begin = 0; begin < real.size(); begin += kPiece) {
      const Tensor piece = piece_of(real, begin, std::min(kPiece, real.size() - begin));
      const Tensor converted = convert_elements(piece, type, workspace);
      std::memcpy(to, converted.bytes(), converted.byte_size());
      to += converted.byte_size();
      original_.release_weights();
    }
    return half;
  }

  std::string half_name(const std::string& value, DataType type) {
    return editor_.unique_name(value + "_" + std::string(data_type_name(type)));
  }

  void add_cast(const std::string& from, DataType type, const std::string& to) {
    onnx::NodeProto& cast = editor_.add_node("Cast", to + "_Cast", {from}, {to});
    graph::set_int_attribute(cast, "to", static_cast<int64_t>(type));
  }

  /// A half layer of the other type reads the float32 value too.
  bool has_float_reader(const std::string& value) const {
    if (index_.is_output(value)) return true;
    const auto uses = index_.uses(value);
    return std::any_of(uses.begin(), uses.end(), [&](const graph::Use& use) {
      const auto type = types_.find(use.node->name());
      if (type == types_.end() || type->second != made_.at(value).type) return true;
      const std::vector<int> converted = slots(*use.node).inputs;
      return std::find(converted.begin(), converted.end(), use.input) == converted.end();
    });
  }

  const graph::Model& original_;
  graph::GraphIndex index_;
  graph::GraphEditor editor_;
  std::unordered_map<std::string, DataType> types_;  // of half layers, by node
  std::unordered_map<std::string, const plan::HalfWeightPlan*> weights_;
  std::vector<onnx::NodeProto*> nodes_;
  std::unordered_map<std::string, onnx::GraphProto*> homes_;  // of values
  std::map<std::string, Half> made_;                          // values that half layers make
  std::map<std::tuple<std::string, DataType, SumAxes>, std::string> halves_;
};

}  // namespace

graph::Model convert_halves(const graph::Model& model, const plan::PrecisionPlan& plan) {
  const auto half = [](const plan::LayerPlan& layer) { return plan::half_type(layer.decision).has_value(); };
  if (std::none_of(plan.layers.begin(), plan.layers.end(), half)) return model;
  graph::Model result = model;
  HalfWriter(model, result, plan).write();
  return result;
}

}  // namespace narrow::rewrite
