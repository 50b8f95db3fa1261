#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <unordered_map>

#include "lib/base/error.h"
#include "lib/base/suggest.h"
#include "lib/graph/graph_index.h"
#include "lib/graph/tensor_shape.h"
#include "lib/graph/traverse.h"
#include "lib/plan/block_operators.h"
#include "lib/plan/clamp.h"
#include "lib/plan/half.h"
#include "lib/plan/plan.h"
#include "lib/quant/codebook.h"

namespace narrow::plan {
namespace {

[[noreturn]] void fail(const LayerPlan& layer, const std::string& what) {
  throw Error(ErrorKind::kUsage, "plan: node '{}': {}", layer.node, what);
}

class Checker {
 public:
  Checker(const PrecisionPlan& plan, const graph::Model& model)
      : plan_(plan), model_(model), index_(model.graph(), graph::Depth::kBodies) {
    for (const ValuePlan& value : plan.values) values_[value.value] = &value;
    for (const LayerPlan& layer : plan.layers) layers_[layer.node] = &layer;
  }

  void check() const {
    check_nodes();
    for (const ValuePlan& value : plan_.values) {
      if (!index_.has_value(value.value)) throw Error(ErrorKind::kUsage, "plan: there is no value '{}'", value.value);
      check_type(fmt::format("plan: value '{}'", value.value), value.params.type);
    }
    for (const LayerPlan& layer : plan_.layers) check_layer(layer);
    for (const std::string& value : plan_.form.integer_io) check_integer_io(value);
  }

 private:
  /// A plan may be edited by hand: types that this rewrite can not write are refused here.
  static void check_type(const std::string& where, quant::QuantType type) {
    if (type != quant::QuantType::kInt32) return;
    throw Error(ErrorKind::kUsage, "{}: {} is no type of weights or activations", where, quant::name(type));
  }

  void check_nodes() const {
    std::vector<std::string> names;
    std::set<std::string> seen;
    graph::for_each_node(model_.graph(), [&](const onnx::NodeProto& node) { names.push_back(node.name()); });
    for (const LayerPlan& layer : plan_.layers) {
      if (!seen.insert(layer.node).second) fail(layer, "it is listed twice");
      const onnx::NodeProto* node = index_.node(layer.node);
      if (node == nullptr) fail(layer, "the model has no such node" + did_you_mean(layer.node, names));
      if (node->op_type() != layer.op_type)
        fail(layer, fmt::format("is {} in the model, not {}", node->op_type(), layer.op_type));
    }
    if (plan_.layers.size() != names.size()) {
      throw Error(ErrorKind::kUsage, "plan: it has {} nodes, the model {}", plan_.layers.size(), names.size());
    }
  }

  void check_integer_io(const std::string& value) const {
    if (!index_.is_input(value) && !index_.is_output(value)) {
      throw Error(ErrorKind::kUsage, "plan: integer_io: the model has no input or output '{}'", value);
    }
    if (!values_.contains(value)) throw Error(ErrorKind::kUsage, "plan: integer_io: '{}' is not quantized", value);
  }

  void check_layer(const LayerPlan& layer) const {
    const onnx::NodeProto& node = *index_.node(layer.node);
    for (const auto* values : {&layer.activations, &layer.outputs}) {
      for (const std::string& value : *values) {
        if (!values_.contains(value)) fail(layer, fmt::format("value '{}' has no parameters under \"values\"", value));
      }
    }
    for (const std::string& value : layer.activations) {
      if (std::find(node.input().begin(), node.input().end(), value) == node.input().end()) {
        fail(layer, fmt::format("it does not read '{}'", value));
      }
    }
    if (layer.weight) check_weight(layer, *layer.weight, node);
    for (const WeightPlan& weight : layer.more_weights) {
      if (weight.input == layer.weight->input) fail(layer, "more_weights: an input is listed twice");
      check_weight(layer, weight, node);
    }
    const bool needs_weight = layer.decision == Decision::kWeightOnly || layer.decision == Decision::kDynamic;
    if (needs_weight && !layer.weight) fail(layer, fmt::format("{} needs \"weights\"", decision_name(layer.decision)));
    if (layer.decision == Decision::kDynamic) check_dynamic(layer, node);
    if (layer.bias_input) check_bias(layer, node);
    if (layer.decision == Decision::kFold) check_fold(layer, node);
    if (const auto type = half_type(layer.decision)) {
      if (const auto reason = half_refusal(model_, index_, node, *type)) fail(layer, reason->text());
      if (const auto& weight = layer.half_weight) {
        check_sum_axes(layer, constant_shape(layer, node, weight->input, weight->initializer), weight->sum_axes);
      }
    }
  }

  Shape constant_shape(const LayerPlan& layer, const onnx::NodeProto& node, int input,
                       const std::string& initializer) const {
    const bool there = input >= 0 && input < node.input_size() && node.input(input) == initializer;
    const onnx::TensorProto* constant = index_.initializer(initializer);
    if (!there || constant == nullptr) {
      fail(layer, fmt::format("input {} is not the initializer '{}'", input, initializer));
    }
    return graph::shape_of(*constant);
  }

  static bool has_axis(const Shape& shape, int64_t axis) {
    return axis >= 0 && axis < static_cast<int64_t>(shape.size());
  }

  static void check_sum_axes(const LayerPlan& layer, const Shape& shape, const SumAxes& sum_axes) {
    std::set<int64_t> before;
    for (const std::vector<int64_t>& list : sum_axes) {
      const std::set<int64_t> axes(list.begin(), list.end());
      const bool known = std::all_of(list.begin(), list.end(), [&](int64_t axis) { return has_axis(shape, axis); });
      if (!known || axes.size() != list.size()) fail(layer, "sum_axes: not axes of the weight, each once");
      if (!std::includes(axes.begin(), axes.end(), before.begin(), before.end())) {
        fail(layer, "sum_axes: each list holds the axes of the one before it");
      }
      before = axes;
    }
  }

  void check_weight(const LayerPlan& layer, const WeightPlan& weight, const onnx::NodeProto& node) const {
    const Shape shape = constant_shape(layer, node, weight.input, weight.initializer);
    if (weight.params.axis && !has_axis(shape, *weight.params.axis)) fail(layer, "the weight has no such axis");
    check_sum_axes(layer, shape, weight.params.sum_axes);
    const auto wanted = static_cast<size_t>(element_count(quant::scale_shape(shape, weight.params.grouping())));
    if (weight.params.scales.size() != wanted || weight.params.zero_points.size() != wanted) {
      fail(layer, fmt::format("the weight needs {} scales and zero points", wanted));
    }
    if (weight.operators == Operators::kMicrosoft) {
      if (layer.decision != Decision::kWeightOnly) fail(layer, "operators of com.microsoft are for weight_only layers");
      if (const auto refused = block_operator_refusal(index_, node, weight, shape)) fail(layer, *refused);
    }
    if (layer.decision == Decision::kQuantize && layer.activations.empty())
      fail(layer, "a layer with a weight reads an activation");
    check_type(fmt::format("plan: node '{}'", layer.node), weight.params.type);
    if (!weight.params.sum_axes.empty() && quant::needs_decoder(weight.params.type)) {
      fail(layer, fmt::format("rounding squant is not for {} weights", quant::name(weight.params.type)));
    }
    if (quant::needs_decoder(weight.params.type)) check_decoded(layer, weight.params, shape);
    if (weight.params.codebooks.has_value() != (weight.params.type == quant::QuantType::kCodebook)) {
      fail(layer, "\"codebooks\" belong to weights of type codebook");
    }
  }

  /// Weights of types that operators in the file decode.
  static void check_decoded(const LayerPlan& layer, const quant::QuantParams& params, const Shape& shape) {
    const std::string_view type = quant::name(params.type);
    if (layer.decision != Decision::kWeightOnly) fail(layer, fmt::format("{} weights are weight_only", type));
    const auto& zeros = params.zero_points;
    if (std::any_of(zeros.begin(), zeros.end(), [](int32_t zero) { return zero != 0; })) {
      fail(layer, fmt::format("{} weights have no zero points but 0", type));
    }
    if (!params.codebooks) return;
    const quant::Codebooks& books = *params.codebooks;
    if (params.block > 0) fail(layer, "codebooks have no blocks");
    const auto rank = static_cast<int64_t>(shape.size());
    if (books.axis && (*books.axis < 0 || *books.axis >= rank || (params.axis && params.axis != books.axis))) {
      fail(layer, "the codebooks' axis is not that of the weight's channels");
    }
    const auto wanted = static_cast<size_t>(quant::CodebookLayout(shape, params).count() * books.entries);
    if (books.values.size() != wanted) fail(layer, fmt::format("the codebooks need {} values", wanted));
    for (size_t i = 1; i < wanted; ++i) {
      const bool same = static_cast<int64_t>(i) % books.entries != 0;
      if (same && books.values[i] < books.values[i - 1]) fail(layer, "the values of a codebook ascend");
    }
  }

  void check_dynamic(const LayerPlan& layer, const onnx::NodeProto& node) const {
    const bool product = node.op_type() == "Conv" || node.op_type() == "Gemm" || node.op_type() == "MatMul";
    if (!product || layer.weight->input != 1) fail(layer, "only Conv, Gemm and MatMul can be dynamic");
    const quant::QuantTypeRow& type = quant::row(layer.weight->params.type);
    if (type.bits != 8 || type.is_float || layer.weight->params.block > 0) {
      fail(layer, "a dynamic product has 8-bit weights, with a scale for each channel or tensor");
    }
    const auto& zero_points = layer.weight->params.zero_points;
    if (node.op_type() == "Conv" && std::set(zero_points.begin(), zero_points.end()).size() > 1) {
      fail(layer, "a dynamic Conv takes one zero point");
    }
    const auto rank = static_cast<size_t>(index_.initializer(layer.weight->initializer)->dims_size());
    const auto& axis = layer.weight->params.axis;
    if (axis && axis != ops::weight_channel_axis(node, rank)) fail(layer, "its weight has no channels along that axis");
  }

  void check_bias(const LayerPlan& layer, const onnx::NodeProto& node) const {
    const int slot = *layer.bias_input;
    if (!layer.weight || layer.activations.empty()) fail(layer, "an int32 bias needs a quantized weight");
    const bool integers = !quant::row(layer.weight->params.type).is_float && layer.weight->params.block == 0 &&
                          !quant::row(values_.at(layer.activations[0])->params.type).is_float;
    if (!integers) fail(layer, "an int32 bias needs integers on both sides and a scale for each channel");
    const bool there = slot >= 0 && slot < node.input_size() && slot != layer.weight->input;
    const onnx::TensorProto* bias = there ? index_.initializer(node.input(slot)) : nullptr;
    if (bias == nullptr || bias->dims_size() != 1 || bias->data_type() != onnx::TensorProto::FLOAT) {
      fail(layer, fmt::format("input {} is not a constant float32 bias of rank 1", slot));
    }
    const auto& params = layer.weight->params;
    if (params.axis && bias->dims(0) != static_cast<int64_t>(params.scales.size())) {
      fail(layer, "its bias and its weight have different numbers of channels");
    }
  }

  void check_fold(const LayerPlan& layer, const onnx::NodeProto& node) const {
    if (node.op_type() != "Relu" && node.op_type() != "Clip") fail(layer, "only Relu and Clip can be folded");
    const std::string& input = node.input(0);
    const onnx::NodeProto* producer = index_.producer(input);
    const bool same_graph = producer != nullptr && index_.graph_of(*producer) == index_.graph_of(node);
    if (!same_graph || index_.uses(input).size() != 1 || index_.is_output(input)) {
      fail(layer, "it can not be folded: it is not the only reader of a node's result");
    }
    const auto value = node.output_size() == 1 ? values_.find(node.output(0)) : values_.end();
    const auto bounds = value == values_.end() ? std::nullopt : clamp_bounds(model_, index_, node);
    if (!bounds || !folds_exactly(*bounds, value->second->params)) {
      fail(layer, "it can not be folded: the parameters of its output do not clamp as it does");
    }
    if (!always_quantized(node.output(0), producer->name())) {
      fail(layer, fmt::format("it can not be folded: '{}' is not quantized for all that read it, so that nothing would "
                              "clamp it; make this node float32 too",
                              node.output(0)));
    }
  }

  /// By the node that makes it, or by each that reads it.
  bool always_quantized(const std::string& value, const std::string& producer) const {
    const auto lists = [&](const std::string& node, std::vector<std::string> LayerPlan::*values) {
      const auto found = layers_.find(node);
      if (found == layers_.end() || found->second->decision != Decision::kQuantize) return false;
      const std::vector<std::string>& all = found->second->*values;
      return std::find(all.begin(), all.end(), value) != all.end();
    };
    if (lists(producer, &LayerPlan::outputs)) return true;
    const auto uses = index_.uses(value);
    return !index_.is_output(value) && std::all_of(uses.begin(), uses.end(), [&](const graph::Use& use) {
      return lists(use.node->name(), &LayerPlan::activations);
    });
  }

  const PrecisionPlan& plan_;
  const graph::Model& model_;
  graph::GraphIndex index_;
  std::unordered_map<std::string, const ValuePlan*> values_;
  std::unordered_map<std::string, const LayerPlan*> layers_;
};

}  // namespace

void check_plan(const PrecisionPlan& plan, const graph::Model& model) {
  Checker(plan, model).check();
}

}  // namespace narrow::plan
