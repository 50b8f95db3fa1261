#include "lib/plan/decide.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "lib/base/error.h"
#include "lib/graph/graph_index.h"
#include "lib/ops/op_table.h"
#include "lib/plan/angles.h"
#include "lib/plan/clamp.h"
#include "lib/plan/half.h"
#include "lib/plan/half_kernels.h"
#include "lib/plan/half_range.h"
#include "lib/plan/integer_io.h"
#include "lib/plan/misread_values.h"
#include "lib/plan/mode_refusal.h"
#include "lib/plan/spectrum.h"

namespace narrow::plan {
namespace {

using analyze::Layer;
using ops::QuantRole;

constexpr std::string_view kSum = "Add";

class Decider {
 public:
  Decider(const graph::Model& model, const analyze::Analysis& analysis, const Rules& rules,
          const std::map<std::string, Reason>& unusable)
      : model_(model),
        index_(model.graph(), graph::Depth::kBodies),
        analysis_(analysis),
        unusable_(unusable),
        wanted_io_(model, index_, rules.integer_io) {
    decided_.resolved = resolve_rules(analysis, rules);
    decided_.target = rules.target;
    target_ = &row(rules.target);
    decided_.form = {.format = rules.format,
                     .microsoft = target_->microsoft,
                     .pair_per_reader = target_->pair_per_reader,
                     .biases_apart = target_->misreads_biases,
                     .integer_io = {}};
    if (!target_->misreads_expansions) return;
    for (const std::string& value : expanded_channels(model, index_)) {
      const auto group = analysis.group_of.find(value);
      if (group == analysis.group_of.end()) continue;
      const std::string why = fmt::format("{} reads '{}', an expanded constant, wrongly", target_->name, value);
      unusable_.emplace(analysis.groups[group->second].representative, Reason{ReasonCode::kTargetCanNot, why});
    }
  }

  Decided run() {
    start_layers();
    keep_range();
    keep_spectra();
    keep_angles();
    // Each of these can only turn layers to float, so the loop ends.
    for (bool changed = true; changed;) {
      changed = false;
      find_folds();
      changed |= drop_floating_heads();
      changed |= drop_floating_tails();
    }
    list_values();
    decided_.form.integer_io = wanted_io_.found(decided_.layers);
    note_adaptations();
    return std::move(decided_);
  }

 private:
  void start_layers() {
    for (size_t i = 0; i < analysis_.layers.size(); ++i) {
      const Layer& layer = analysis_.layers[i];
      LayerPlan plan{.node = layer.node, .op_type = layer.op_type, .rule = decided_.resolved[i].rule};
      plan.reason = starting_reason(layer, decided_.resolved[i].scheme);
      plan.recovery = decided_.resolved[i].scheme.recovery;
      const Mode mode = decided_.resolved[i].scheme.mode;
      plan.decision = plan.reason ? Decision::kFloat : wished(layer, mode);
      if (plan.reason && layer.reason && mode == Mode::kStatic) plan.rule = "structure";
      number_of_[layer.node] = i;
      decided_.layers.push_back(std::move(plan));
    }
  }

  void keep_range() {
    const auto is_half = [](const LayerPlan& layer) { return half_type(layer.decision).has_value(); };
    if (std::none_of(decided_.layers.begin(), decided_.layers.end(), is_half)) return;
    const std::set<std::string> wide = wide_nodes(model_, index_, without_half_constants_);
    for (LayerPlan& layer : decided_.layers) {
      if (is_half(layer) && wide.contains(layer.node)) {
        turn_half_float(layer, "squares, sums and what is computed of them leave its range");
      }
    }
  }

  void keep_spectra() {
    const std::set<std::string> spectra = spectrum_nodes(model_, index_);
    for (size_t i = 0; i < decided_.layers.size(); ++i) {
      const bool integer = decided_.layers[i].decision == Decision::kQuantize;
      if (integer && spectra.contains(decided_.layers[i].node)) turn_float(i, "the logarithm of its power is taken");
    }
  }

  void keep_angles() {
    const std::set<std::string> angles = angle_nodes(model_, index_);
    for (size_t i = 0; i < decided_.layers.size(); ++i) {
      LayerPlan& layer = decided_.layers[i];
      if (layer.decision == Decision::kFloat || !angles.contains(layer.node)) continue;
      const std::string detail = "sines are taken of positions";
      half_type(layer.decision) ? turn_half_float(layer, detail) : turn_float(i, detail);
    }
  }

  static void turn_half_float(LayerPlan& layer, const std::string& detail) {
    layer.decision = Decision::kFloat;
    layer.reason = Reason{ReasonCode::kNotHalf, detail};
  }

  /// What becomes of a layer that nothing speaks against. Of the dynamic ones, those that are no product have a table
  /// that they look up, or no integer operator: their weight is stored in fewer bits.
  static Decision wished(const Layer& layer, Mode mode) {
    if (mode == Mode::kStatic) return is_only_stored(layer) ? Decision::kWeightOnly : Decision::kQuantize;
    if (mode == Mode::kFloat16) return Decision::kFloat16;
    if (mode == Mode::kBfloat16) return Decision::kBfloat16;
    return mode == Mode::kDynamic && is_dynamic_product(layer) ? Decision::kDynamic : Decision::kWeightOnly;
  }

  /// Integers do not compute it, but much of a model's bytes may be in it: embeddings of small language models, the
  /// recurrent layers behind a recognizer's convolutions.
  static bool is_only_stored(const Layer& layer) {
    constexpr int64_t kLeastElements = 1024;
    const bool recurrent = ops::is_recurrent(layer.op_type);
    return (layer.op_type == "Gather" || recurrent) && layer.stored_weight && layer.parameters >= kLeastElements;
  }

  std::optional<Reason> starting_reason(const Layer& layer, const LayerScheme& scheme) {
    if (scheme.keep_float) return Reason{ReasonCode::kKeptByRule, scheme.keep_reason};
    if (const auto half = half_type(wished(layer, scheme.mode))) {
      const onnx::NodeProto& node = *index_.node(layer.node);
      if (auto reason = half_operator_refusal(model_, index_, node, *half)) return reason;
      if (auto reason = half_kernel_refusal(*target_, index_, node, *half)) return reason;
      auto reason = half_constant_refusal(model_, index_, node, *half);
      if (reason) without_half_constants_.insert(layer.node);
      return reason;
    }
    if (scheme.mode != Mode::kStatic) {
      if (!layer.stored_weight) return Reason{ReasonCode::kNoWeight, {}};
      if (auto reason = refusal(*target_, layer, scheme)) return reason;
      if (wished(layer, scheme.mode) == Decision::kDynamic) return dynamic_refusal(layer, scheme);
      return stored_refusal(scheme);
    }
    if (is_only_stored(layer)) {
      auto reason = refusal(*target_, layer, scheme);
      return reason ? reason : stored_refusal(scheme);
    }
    if (layer.reason) return layer.reason;
    if (layer.weight && quant::needs_decoder(scheme.weights)) {
      return Reason{
          ReasonCode::kTargetCanNot,
          fmt::format("{} weights are floats when the model runs: mode weight_only", quant::name(scheme.weights))};
    }
    if (auto reason = refusal(*target_, layer, scheme)) return reason;
    for (const auto* values : {&layer.activations, &layer.outputs}) {
      for (const std::string& value : *values) {
        const auto found = unusable_.find(analysis_.group(value).representative);
        if (found != unusable_.end()) return found->second;
      }
    }
    return std::nullopt;
  }

  /// On integers, that is; a layer that only stores its weight in fewer bits is float to its neighbours.
  bool is_quantized(size_t layer) const {
    const Decision decision = decided_.layers[layer].decision;
    return decision == Decision::kQuantize || decision == Decision::kFold;
  }

  /// A clamp folds if its producer runs on integers, its result is wanted in integers (or its producer has no float
  /// result), and the quantization of its result is certain to clamp as it does.
  void find_folds() {
    for (const auto& [clamp, producer] : analysis_.clamp_producer) {
      LayerPlan& plan = decided_.layers[number_of_.at(clamp)];
      if (!is_quantized(number_of_.at(clamp))) continue;
      const std::string& output = index_.node(clamp)->output(0);
      const size_t made_by = number_of_.at(producer);
      const bool requantized = !analysis_.layers[made_by].float_output || read_on_integers(output);
      const bool folds = is_quantized(made_by) && requantized && clamps_surely(clamp, output);
      plan.decision = folds ? Decision::kFold : Decision::kQuantize;
    }
  }

  /// The parameters are those of the whole group, so every source of the group must be clamped at 0 and none may reach
  /// beyond this clamp's upper bound: then the group's range begins at 0 and ends within the bound.
  bool clamps_surely(const std::string& clamp, const std::string& output) const {
    const size_t group = analysis_.group_of.at(output);
    const auto bounds = clamp_bounds(model_, index_, *index_.node(clamp));
    const auto scheme_layer = scheme_layer_of(group);
    if (!bounds || !scheme_layer || !folds_surely(*bounds, decided_.resolved[*scheme_layer].scheme)) return false;
    const auto& sources = analysis_.groups[group].sources;
    return std::all_of(sources.begin(), sources.end(), [&](const std::string& source) {
      const onnx::NodeProto* maker = index_.producer(source);
      if (maker == nullptr || analysis_.layers[number_of_.at(maker->name())].role != QuantRole::kClamp) return false;
      const auto other = clamp_bounds(model_, index_, *maker);
      return other && other->low == 0 && other->high <= bounds->high;
    });
  }

  /// The layer whose scheme a group takes: the maker of its first value, or what makes the input of a clamp that may
  /// fold into it; nullopt for a graph input or constant, which takes its first reader's.
  std::optional<size_t> scheme_layer_of(size_t group) const {
    const onnx::NodeProto* maker = index_.producer(analysis_.groups[group].representative);
    if (maker == nullptr) return std::nullopt;
    const auto clamp = analysis_.clamp_producer.find(maker->name());
    return number_of_.at(clamp == analysis_.clamp_producer.end() ? maker->name() : clamp->second);
  }

  void turn_float(size_t layer, const std::string& detail) {
    LayerPlan& plan = decided_.layers[layer];
    plan.decision = Decision::kFloat;
    plan.rule = "structure";
    plan.reason = Reason{ReasonCode::kNeighbourFloat, detail};
  }

  bool made_on_integers(const std::string& value) const {
    const onnx::NodeProto* producer = index_.producer(value);
    return producer != nullptr && is_quantized(number_of_.at(producer->name()));
  }

  /// Float32 already, or made by a product that can leave its sums so, perhaps moved since.
  bool float_if_wanted(const std::string& value) const {
    const onnx::NodeProto* producer = index_.producer(value);
    if (producer == nullptr || !is_quantized(number_of_.at(producer->name()))) return true;
    const Layer& layer = analysis_.layers[number_of_.at(producer->name())];
    return layer.float_output || (layer.role == QuantRole::kPassThrough && float_if_wanted(layer.activations[0]));
  }

  /// Arithmetic on nothing but float values gains no speed from quantizing them first, and loses accuracy: a bias
  /// behind a MatMul, a Gelu spelled out.
  bool drop_floating_heads() {
    bool changed = false;
    for (size_t i = 0; i < analysis_.layers.size(); ++i) {
      const Layer& layer = analysis_.layers[i];
      const bool moves = layer.role == QuantRole::kPassThrough || layer.role == QuantRole::kConcat;
      const bool folds = decided_.layers[i].decision == Decision::kFold;
      if (!is_quantized(i) || folds || layer.role == QuantRole::kWeighted || moves) continue;
      const auto& reads = layer.activations;
      if (!std::all_of(reads.begin(), reads.end(), [&](const auto& value) { return float_if_wanted(value); })) continue;
      const bool behind_product =
          std::any_of(reads.begin(), reads.end(), [&](const std::string& value) { return made_on_integers(value); });
      turn_float(i, behind_product ? "it reads the float result of a product" : "nothing it reads is made on integers");
      changed = true;
    }
    return changed;
  }

  bool read_on_integers(const std::string& value) const {
    if (wanted_io_.output(value)) return true;
    const auto uses = index_.uses(value);
    return std::any_of(uses.begin(), uses.end(), [&](const graph::Use& use) {
      const auto found = number_of_.find(use.node->name());
      if (found == number_of_.end() || !is_quantized(found->second)) return false;
      // A clamp that folds reads nothing: what counts is who reads its result.
      if (decided_.layers[found->second].decision == Decision::kFold) return read_on_integers(use.node->output(0));
      const auto& reads = analysis_.layers[found->second].activations;
      return std::find(reads.begin(), reads.end(), value) != reads.end();
    });
  }

  /// A layer without products whose result only float nodes read would be dequantized at once.
  bool drop_floating_tails() {
    bool changed = false;
    for (size_t i = analysis_.layers.size(); i-- > 0;) {
      const Layer& layer = analysis_.layers[i];
      const bool fold = decided_.layers[i].decision == Decision::kFold;
      if (!is_quantized(i) || fold || layer.role == QuantRole::kWeighted) continue;
      const bool wanted = std::any_of(layer.outputs.begin(), layer.outputs.end(),
                                      [&](const std::string& value) { return read_on_integers(value); });
      if (wanted) continue;
      turn_float(i, "nothing on integers reads its result");
      changed = true;
    }
    return changed;
  }

  /// What a quantized layer writes in the end: the output of the clamp that folds into it, where one does.
  std::string final_output(const std::string& output) const {
    const auto uses = index_.uses(output);
    if (uses.size() != 1) return output;
    const auto found = number_of_.find(uses[0].node->name());
    const bool folds = found != number_of_.end() && decided_.layers[found->second].decision == Decision::kFold;
    return folds ? analysis_.layers[found->second].outputs[0] : output;
  }

  /// True for what never leaves a kernel of the target's: the result of a product that only a sum reads, or of either
  /// that only a clamp reads. Of the operands of one sum that is the product made last; the other was there before.
  bool inside_chain(const std::string& value) const {
    if (!target_->fuses_chains || index_.is_output(value)) return false;
    const onnx::NodeProto* maker = index_.producer(value);
    const auto uses = index_.uses(value);
    if (maker == nullptr || uses.size() != 1 || index_.graph_of(*uses[0].node) != index_.graph_of(*maker)) return false;
    const Layer& made_by = layer_of(*maker);
    const Layer& read_by = layer_of(*uses[0].node);
    const bool product = made_by.role == QuantRole::kWeighted;
    if (!is_quantized(number_of_.at(maker->name())) || !is_quantized(number_of_.at(read_by.node))) return false;
    if (read_by.role == QuantRole::kClamp) return product || made_by.op_type == kSum;
    if (read_by.op_type != kSum || !product) return false;
    return std::none_of(read_by.activations.begin(), read_by.activations.end(), [&](const std::string& other) {
      const onnx::NodeProto* other_maker = index_.producer(other);
      return other_maker != nullptr && layer_of(*other_maker).role == QuantRole::kWeighted &&
             index_.uses(other).size() == 1 && number_of_.at(other_maker->name()) > number_of_.at(maker->name());
    });
  }

  const Layer& layer_of(const onnx::NodeProto& node) const { return analysis_.layers[number_of_.at(node.name())]; }

  /// Kernels of the layer exist that write its result as float32.
  bool can_end_in_float(const Layer& layer) const { return layer.float_output || target_->fuses_chains; }

  void note_adaptations() {
    for (size_t i = 0; i < decided_.layers.size(); ++i) {
      const Decision decision = decided_.layers[i].decision;
      const bool numbers = is_quantized(i) || decision == Decision::kDynamic || decision == Decision::kWeightOnly;
      if (numbers) decided_.layers[i].adapted = decided_.resolved[i].adapted;
    }
  }

  void list_values() {
    for (size_t i = 0; i < analysis_.layers.size(); ++i) {
      LayerPlan& plan = decided_.layers[i];
      if (plan.decision != Decision::kQuantize) continue;
      const Layer& layer = analysis_.layers[i];
      for (const std::string& value : layer.activations) {
        if (inside_chain(value)) continue;
        plan.activations.push_back(value);
        need_group(value, i);
      }
      for (const std::string& output : layer.outputs) {
        const std::string value = final_output(output);
        if (inside_chain(value) || (can_end_in_float(layer) && !read_on_integers(value))) continue;
        plan.outputs.push_back(value);
        need_group(value, i);
      }
    }
  }

  void need_group(const std::string& value, size_t reader) {
    const size_t group = analysis_.group_of.at(value);
    decided_.groups.emplace(group, scheme_layer_of(group).value_or(reader));
  }

  const graph::Model& model_;
  graph::GraphIndex index_;
  const analyze::Analysis& analysis_;
  std::map<std::string, Reason> unusable_;
  WantedIo wanted_io_;
  const TargetRow* target_ = nullptr;
  std::map<std::string, size_t> number_of_;
  std::set<std::string> without_half_constants_;  // layers whose constants float16 does not hold
  Decided decided_;
};

std::optional<quant::Range> constant_range(const graph::Model& model, const onnx::TensorProto& initializer) {
  const Tensor tensor = model.tensor(initializer);
  quant::Range range;
  for (const float value : tensor.data<float>()) {
    if (!std::isfinite(value)) return std::nullopt;
    range.rmin = std::min(range.rmin, value);
    range.rmax = std::max(range.rmax, value);
  }
  return range;
}

}  // namespace

Decided decide(const graph::Model& model, const analyze::Analysis& analysis, const Rules& rules,
               const std::map<std::string, Reason>& unusable) {
  return Decider(model, analysis, rules, unusable).run();
}

std::optional<quant::Range> known_range(const graph::Model& model, const graph::GraphIndex& index,
                                        const analyze::Analysis& analysis, const analyze::ValueGroup& group) {
  const std::string& value = group.representative;
  if (const auto* initializer = index.initializer(value)) return constant_range(model, *initializer);
  const onnx::NodeProto* producer = index.producer(value);
  // Sources that were joined by a Concat have several makers: those need data.
  if (producer == nullptr || group.sources.size() != 1) return std::nullopt;
  const Layer* layer = analysis.layer(producer->name());
  const ops::OpRow* row = ops::find_op(*producer);
  if (layer == nullptr || row == nullptr || row->role != QuantRole::kFixedRange) return std::nullopt;
  return quant::Range{row->range.rmin, row->range.rmax};
}

}  // namespace narrow::plan
