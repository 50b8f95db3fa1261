#include <fmt/format.h>

#include <algorithm>
#include <unordered_map>

#include "lib/base/error.h"
#include "lib/base/suggest.h"
#include "lib/graph/graph_index.h"
#include "lib/plan/clamp.h"
#include "lib/plan/plan.h"

namespace narrow::plan {
namespace {

[[noreturn]] void fail(const LayerPlan& layer, const std::string& what) {
  throw Error(ErrorKind::kUsage, "plan: node '{}': {}", layer.node, what);
}

class Checker {
 public:
  Checker(const PrecisionPlan& plan, const graph::Model& model) : plan_(plan), model_(model), index_(model.graph()) {
    for (const ValuePlan& value : plan.values) values_[value.value] = &value;
  }

  void check() const {
    check_nodes();
    for (const ValuePlan& value : plan_.values) {
      if (!index_.has_value(value.value)) throw Error(ErrorKind::kUsage, "plan: there is no value '{}'", value.value);
    }
    for (const LayerPlan& layer : plan_.layers) check_layer(layer);
  }

 private:
  void check_nodes() const {
    std::vector<std::string> names;
    for (const onnx::NodeProto& node : model_.graph().node()) names.push_back(node.name());
    for (const LayerPlan& layer : plan_.layers) {
      const onnx::NodeProto* node = index_.node(layer.node);
      if (node == nullptr) fail(layer, "the model has no such node" + did_you_mean(layer.node, names));
      if (node->op_type() != layer.op_type)
        fail(layer, fmt::format("is {} in the model, not {}", node->op_type(), layer.op_type));
    }
    if (plan_.layers.size() != names.size()) {
      throw Error(ErrorKind::kUsage, "plan: it has {} nodes, the model {}", plan_.layers.size(), names.size());
    }
  }

  void check_layer(const LayerPlan& layer) const {
    const onnx::NodeProto& node = *index_.node(layer.node);
    for (const auto* values : {&layer.activations, &layer.outputs}) {
      for (const std::string& value : *values) {
        if (!values_.contains(value)) fail(layer, fmt::format("value '{}' has no parameters under \"values\"", value));
      }
    }
    if (layer.weight) check_weight(layer, node);
    if (layer.decision == Decision::kFold) check_fold(layer, node);
  }

  void check_weight(const LayerPlan& layer, const onnx::NodeProto& node) const {
    const WeightPlan& weight = *layer.weight;
    const bool there =
        weight.input >= 0 && weight.input < node.input_size() && node.input(weight.input) == weight.initializer;
    const onnx::TensorProto* initializer = index_.initializer(weight.initializer);
    if (!there || initializer == nullptr) {
      fail(layer, fmt::format("input {} is not the initializer '{}'", weight.input, weight.initializer));
    }
    size_t wanted = 1;
    if (weight.params.axis) {
      if (*weight.params.axis < 0 || *weight.params.axis >= initializer->dims_size())
        fail(layer, "the weight has no such axis");
      wanted = static_cast<size_t>(initializer->dims(static_cast<int>(*weight.params.axis)));
    }
    if (weight.params.scales.size() != wanted || weight.params.zero_points.size() != wanted) {
      fail(layer, fmt::format("the weight needs {} scales and zero points", wanted));
    }
    if (layer.activations.empty()) fail(layer, "a layer with a weight reads an activation");
  }

  void check_fold(const LayerPlan& layer, const onnx::NodeProto& node) const {
    const auto value = node.output_size() == 1 ? values_.find(node.output(0)) : values_.end();
    const auto bounds = value == values_.end() ? std::nullopt : clamp_bounds(model_, index_, node);
    if (!bounds || !folds_exactly(*bounds, value->second->params)) {
      fail(layer, "it can not be folded: the parameters of its output do not clamp as it does");
    }
  }

  const PrecisionPlan& plan_;
  const graph::Model& model_;
  graph::GraphIndex index_;
  std::unordered_map<std::string, const ValuePlan*> values_;
};

}  // namespace

void check_plan(const PrecisionPlan& plan, const graph::Model& model) {
  Checker(plan, model).check();
}

}  // namespace narrow::plan
