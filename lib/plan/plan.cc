#include "lib/plan/plan.h"

#include <algorithm>
#include <cmath>
#include <unordered_map>
#include <unordered_set>

#include "lib/base/error.h"
#include "lib/graph/graph_index.h"
#include "lib/plan/block_operators.h"
#include "lib/plan/clamp.h"
#include "lib/plan/decide.h"
#include "lib/plan/half.h"
#include "lib/plan/weights.h"

namespace narrow::plan {
namespace {

quant::Scheme activation_scheme(const LayerScheme& scheme) {
  return {.type = scheme.activations, .symmetric = scheme.activations_symmetric};
}

/// Numbers for what decide() chose.
class Numberer {
 public:
  Numberer(const graph::Model& model, const analyze::Analysis& analysis, const Ranges& ranges)
      : model_(model), index_(model.graph(), graph::Depth::kBodies), analysis_(analysis), ranges_(ranges) {}

  /// The range of a group, or why there is none.
  ValueRange range_of(size_t group) const {
    const analyze::ValueGroup& values = analysis_.groups[group];
    if (const auto known = known_range(model_, index_, analysis_, values)) {
      const bool constant = index_.initializer(values.representative) != nullptr;
      return {.range = *known, .calibrator = constant ? "constant" : "operator"};
    }
    const auto found = ranges_.find(values.representative);
    if (found != ranges_.end()) return found->second;
    return {.unusable = Reason{ReasonCode::kNoRange, "'" + values.representative + "'"}};
  }

  PrecisionPlan number(Decided decided) const {
    PrecisionPlan plan;
    plan.form = decided.form;
    std::unordered_set<std::string> wanted;
    for (const LayerPlan& layer : decided.layers) {
      wanted.insert(layer.activations.begin(), layer.activations.end());
      wanted.insert(layer.outputs.begin(), layer.outputs.end());
    }
    std::unordered_map<std::string, size_t> value_at;
    const std::map<size_t, ClampBounds> folded = folded_bounds(decided);
    for (const auto& [group, layer] : decided.groups) {
      const LayerScheme& scheme = decided.resolved[layer].scheme;
      ValueRange range = range_of(group);
      const auto bounds = folded.find(group);
      if (bounds != folded.end()) range.range = within(bounds->second, range.range);
      for (ValuePlan& value : group_values(group, scheme, range, wanted)) {
        value_at[value.value] = plan.values.size();
        plan.values.push_back(std::move(value));
      }
    }
    for (size_t i = 0; i < decided.layers.size(); ++i) {
      LayerPlan& layer = decided.layers[i];
      const analyze::Layer& facts = analysis_.layers[i];
      const LayerScheme& scheme = decided.resolved[i].scheme;
      if (layer.decision == Decision::kWeightOnly) {
        store_weight(facts, scheme, row(decided.target), !plan.values.empty(), layer);
      }
      const bool summed = facts.stored_weight && !facts.stored_weight->sum_axes.empty();
      if (half_type(layer.decision) && scheme.rounding == Rounding::kSquant && summed) {
        const analyze::ConstantSlot& slot = *facts.stored_weight;
        layer.half_weight = {.input = slot.input, .initializer = slot.initializer, .sum_axes = slot.sum_axes};
      }
      if (layer.decision == Decision::kDynamic) {
        layer.weight = plan_weight(*facts.weight, initializer(facts.weight->initializer), Tensor(), 1, scheme);
      }
      if (layer.decision != Decision::kQuantize || !facts.weight) continue;
      const quant::QuantParams& input = plan.values[value_at.at(layer.activations[0])].params;
      const bool integer_bias = facts.bias && row(decided.target).integer_bias && has_integer_bias(scheme, input.type);
      const Tensor bias = integer_bias ? initializer(facts.bias->initializer) : Tensor();
      layer.weight = plan_weight(*facts.weight, initializer(facts.weight->initializer), bias, input.scales[0], scheme);
      if (integer_bias) layer.bias_input = facts.bias->input;
    }
    plan.layers = std::move(decided.layers);
    return plan;
  }

 private:
  void store_weight(const analyze::Layer& facts, const LayerScheme& scheme, const TargetRow& target,
                    bool integer_activations, LayerPlan& layer) const {
    for (const analyze::ConstantSlot& slot : facts.more_stored) {
      layer.more_weights.push_back(
          plan_stored_weight(facts, slot, initializer(slot.initializer), scheme, target, integer_activations));
    }
    const Tensor weight = initializer(facts.stored_weight->initializer);
    layer.weight = plan_stored_weight(facts, *facts.stored_weight, weight, scheme, target, integer_activations);
    if (scheme.operators == Operators::kStandard) return;
    const onnx::NodeProto& node = *index_.node(layer.node);
    const auto refused = block_operator_refusal(index_, node, *layer.weight, weight.shape());
    if (refused) layer.adapted.push_back(*refused);
    if (!refused) layer.weight->operators = scheme.operators;
  }

  Tensor initializer(const std::string& name) const { return model_.tensor(*index_.initializer(name)); }

  /// The widest bounds of the clamps that fold into each group.
  std::map<size_t, ClampBounds> folded_bounds(const Decided& decided) const {
    std::map<size_t, ClampBounds> result;
    for (const LayerPlan& layer : decided.layers) {
      if (layer.decision != Decision::kFold) continue;
      const onnx::NodeProto& clamp = *index_.node(layer.node);
      const ClampBounds bounds = *clamp_bounds(model_, index_, clamp);
      const auto [entry, added] = result.emplace(analysis_.group_of.at(clamp.output(0)), bounds);
      if (!added) entry->second.high = std::max(entry->second.high, bounds.high);
    }
    return result;
  }

  /// A clamped value lies within the clamp's bounds whatever a table says; one that was never above 0 in calibration
  /// may be so later, so its range is the clamp's own.
  static quant::Range within(const ClampBounds& bounds, quant::Range range) {
    const float high = range.rmax > 0 ? std::min(range.rmax, bounds.high) : bounds.high;
    return {0, std::isinf(high) ? 1.0F : high};
  }

  /// One entry for each member that some layer reads or makes in quantized form.
  std::vector<ValuePlan> group_values(size_t group, const LayerScheme& scheme, const ValueRange& range,
                                      const std::unordered_set<std::string>& wanted) const {
    const quant::ScaleZeroPoint chosen = quant::choose_params(range.range, activation_scheme(scheme));
    std::vector<ValuePlan> values;
    for (const std::string& member : analysis_.groups[group].members) {
      if (!wanted.contains(member)) continue;
      // Assigned one by one: GCC 12 takes the temporary of a braced initializer for uninitialized when optimizing.
      ValuePlan& value = values.emplace_back();
      value.value = member;
      value.params.type = scheme.activations;
      value.params.scales.assign(1, chosen.scale);
      value.params.zero_points.assign(1, chosen.zero_point);
      value.range = range.range;
      value.calibrator = range.calibrator;
    }
    return values;
  }

  const graph::Model& model_;
  graph::GraphIndex index_;
  const analyze::Analysis& analysis_;
  const Ranges& ranges_;
};

}  // namespace

std::string_view fate_name(Fate fate) {
  if (fate == Fate::kComputedOnce) return "computed_once";
  return fate == Fate::kFolded ? "fold_into_weights" : "replace";
}

std::string_view fate_text(Fate fate) {
  if (fate == Fate::kComputedOnce) return "it depends on no input: computed once, what it makes is a constant";
  if (fate == Fate::kFolded) return "arithmetic on constants, in the weights or the bias of the product beside it";
  return "the model does without it, or other operators stand for it";
}

std::string_view decision_name(Decision decision) {
  switch (decision) {
    case Decision::kQuantize:
      return "quantize";
    case Decision::kFold:
      return "fold";
    case Decision::kDynamic:
      return "dynamic";
    case Decision::kWeightOnly:
      return "weight_only";
    case Decision::kFloat16:
      return "float16";
    case Decision::kBfloat16:
      return "bfloat16";
    case Decision::kFloat:
      return "float32";
  }
  return "";
}

bool allows(const LayerPlan& layer, RecoveryMethod method) {
  return std::find(layer.recovery.begin(), layer.recovery.end(), method) != layer.recovery.end();
}

std::optional<DataType> half_type(Decision decision) {
  if (decision == Decision::kFloat16) return DataType::kFloat16;
  if (decision == Decision::kBfloat16) return DataType::kBfloat16;
  return std::nullopt;
}

FormatNeeds format_needs(const PrecisionPlan& plan) {
  FormatNeeds needs;
  const auto add = [&](int opset, int ir_version) {
    needs.opset = std::max(needs.opset, opset);
    needs.ir_version = std::max(needs.ir_version, ir_version);
  };
  const auto add_params = [&](const quant::QuantParams& params) {
    add(quant::row(params.type).min_opset, quant::row(params.type).min_ir);
    // Decoders are made of older operators.
    if (params.block > 0 && !quant::needs_decoder(params.type)) add(quant::kBlockOpset, quant::kBlockIr);
  };
  // MatMulNBits has its codes in bytes; GatherBlockQuantized has them in their own type, which is the file format's.
  const auto add_weight = [&](const LayerPlan& layer, const WeightPlan& weight) {
    if (weight.operators == Operators::kStandard) return add_params(weight.params);
    if (layer.op_type == "Gather") add(0, quant::row(weight.params.type).min_ir);
  };
  for (const ValuePlan& value : plan.values) add_params(value.params);
  for (const LayerPlan& layer : plan.layers) {
    if (layer.weight) add_weight(layer, *layer.weight);
    for (const WeightPlan& weight : layer.more_weights) add_weight(layer, weight);
    if (layer.decision == Decision::kBfloat16) add(kBfloat16Opset, quant::kBlockIr);
  }
  return needs;
}

std::map<std::string, GroupNeed> calibration_needs(const graph::Model& model, const analyze::Analysis& analysis,
                                                   const Rules& rules) {
  const Decided decided = decide(model, analysis, rules, {});
  const graph::GraphIndex index(model.graph(), graph::Depth::kBodies);
  std::map<std::string, GroupNeed> needs;
  for (const auto& [group, layer] : decided.groups) {
    const analyze::ValueGroup& values = analysis.groups[group];
    const LayerScheme& scheme = decided.resolved[layer].scheme;
    GroupNeed need{.scheme = activation_scheme(scheme), .calibrator = scheme.calibrator};
    if (!known_range(model, index, analysis, values)) need.sources = values.sources;
    needs.emplace(values.representative, std::move(need));
  }
  return needs;
}

PrecisionPlan make_plan(const graph::Model& model, const analyze::Analysis& analysis, const Ranges& ranges,
                        const Rules& rules) {
  const Numberer numberer(model, analysis, ranges);
  std::map<std::string, Reason> unusable;
  // A group without a range turns layers to float, which changes what else is needed: until nothing new turns up.
  for (;;) {
    Decided decided = decide(model, analysis, rules, unusable);
    const size_t known = unusable.size();
    for (const auto& [group, layer] : decided.groups) {
      const ValueRange range = numberer.range_of(group);
      if (range.unusable) unusable.emplace(analysis.groups[group].representative, *range.unusable);
    }
    if (unusable.size() == known) return numberer.number(std::move(decided));
  }
}

}  // namespace narrow::plan
