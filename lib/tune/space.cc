#include "lib/tune/space.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>
#include <set>

#include "lib/base/error.h"
#include "lib/graph/graph_index.h"
#include "lib/plan/half.h"

namespace narrow::tune {
namespace {

using plan::Decision;
using plan::LayerPlan;

std::string params_text(const quant::QuantParams& params) {
  std::string text(quant::name(params.type));
  if (params.axis) text += fmt::format(" channel {}", *params.axis);
  if (params.block > 0) text += fmt::format(" block {}", params.block);
  return text;
}

bool may_be_item(const analyze::Layer& layer, const LayerPlan& plan) {
  if (plan.reason && plan.reason->code == ReasonCode::kKeptByRule) return false;  // the user said so
  if (layer.stored_weight || plan::half_type(plan.decision)) return true;
  const bool moves = layer.role == ops::QuantRole::kPassThrough || layer.role == ops::QuantRole::kConcat ||
                     layer.role == ops::QuantRole::kClamp;
  return plan.decision == Decision::kQuantize && !moves;
}

class SpaceMaker {
 public:
  explicit SpaceMaker(const PlanInputs& inputs)
      : model_(inputs.model),
        index_(inputs.model.graph(), graph::Depth::kBodies),
        analysis_(inputs.analysis),
        ranges_(inputs.ranges),
        rules_(inputs.rules) {}

  Space run(const std::vector<Choice>& choices) {
    const plan::PrecisionPlan base = plan::make_plan(model_, analysis_, ranges_, rules_);
    for (size_t i = 0; i < base.layers.size(); ++i) {
      if (!may_be_item(analysis_.layers[i], base.layers[i])) continue;
      const analyze::Layer& layer = analysis_.layers[i];
      layer_of_.push_back(i);
      space_.items.push_back({.node = layer.node,
                              .op_type = layer.op_type,
                              .macs = static_cast<double>(layer.macs),
                              .options = {},
                              .in_body = !layer.inside.empty()});
      space_.macs += static_cast<double>(layer.macs);
      space_.float_bytes += float_bytes(layer);
    }
    for (const Choice choice : choices) {
      const plan::Rules rules = rules_for(rules_, space_.nodes(), std::vector<Choice>(space_.items.size(), choice));
      add_options(choice, choice == Choice::kConfig ? base : plan::make_plan(model_, analysis_, ranges_, rules));
    }
    add_values(base);
    add_half_values(base);
    return std::move(space_);
  }

  PlanRoundings roundings(const std::vector<std::string>& nodes, const std::vector<std::vector<Choice>>& mixtures) {
    std::vector<std::set<std::string>> keys;
    for (const std::vector<Choice>& choices : mixtures) {
      keys.push_back(rounded_by(plan::make_plan(model_, analysis_, ranges_, rules_for(rules_, nodes, choices))));
    }
    PlanRoundings result;
    result.components = std::move(space_.components);
    result.by_plan.resize(keys.size());
    for (size_t i = 0; i < result.components.size(); ++i) {
      for (size_t plan = 0; plan < keys.size(); ++plan) {
        if (keys[plan].contains(result.components[i].key)) result.by_plan[plan].push_back(i);
      }
    }
    return result;
  }

 private:
  /// Component keys of all that the plan rounds.
  std::set<std::string> rounded_by(const plan::PrecisionPlan& plan) {
    std::set<std::string> keys;
    for (const LayerPlan& layer : plan.layers) {
      if (layer.weight) keys.insert(add_weights(layer));
      if (layer.decision == Decision::kDynamic) keys.insert(add_read(layer.node));
      const auto half = plan::half_type(layer.decision);
      if (!half) continue;
      keys.insert(add_halves(layer.node, *half));
      for (const std::string& value : half_values(layer.node, *half)) keys.insert(add_half_value(value, *half));
    }
    for (const plan::ValuePlan& value : plan.values) {
      if (is_component(value, plan)) keys.insert(add_value(value));
    }
    return keys;
  }

  int64_t elements(const std::string& initializer) const {
    return model_.tensor(*index_.initializer(initializer)).size();
  }

  double float_bytes(const analyze::Layer& layer) const {
    const auto& slot = layer.weight ? layer.weight : layer.stored_weight;
    double bytes = slot ? 4.0 * static_cast<double>(elements(slot->initializer)) : 0.0;
    for (const analyze::ConstantSlot& more : layer.more_stored) {
      bytes += 4.0 * static_cast<double>(elements(more.initializer));
    }
    return bytes;
  }

  void add_options(Choice choice, const plan::PrecisionPlan& plan) {
    for (size_t i = 0; i < space_.items.size(); ++i) {
      const LayerPlan& layer = plan.layers[layer_of_[i]];
      const std::optional<Option> option = option_of(choice, layer, analysis_.layers[layer_of_[i]]);
      if (!option) continue;
      auto& options = space_.items[i].options;
      const bool known = std::any_of(options.begin(), options.end(), [&](const Option& other) {
        return other.weight == option->weight && other.on_integers == option->on_integers && other.half == option->half;
      });
      if (!known) options.push_back(*option);
    }
  }

  /// nullopt if the layer does not become what the choice says.
  std::optional<Option> option_of(Choice choice, const LayerPlan& layer, const analyze::Layer& facts) {
    if (is_stored(choice) && layer.decision != Decision::kWeightOnly) return std::nullopt;
    if (choice == Choice::kInt4 && (layer.decision != Decision::kQuantize || !layer.weight)) return std::nullopt;
    Option option{.choice = choice,
                  .weight = {},
                  .on_integers = layer.decision == Decision::kQuantize,
                  .bytes = float_bytes(facts)};
    if (const auto half = plan::half_type(layer.decision)) {
      option.half = true;
      option.weight = add_halves(layer.node, *half);
      option.bytes /= 2;
    }
    if (!layer.weight) return option;
    option.weight = add_weights(layer);
    const bool zeros = option.on_integers;  // in front of float operators zeros are left out
    option.bytes = stored_bytes(*layer.weight, zeros);
    for (const plan::WeightPlan& more : layer.more_weights) option.bytes += stored_bytes(more, zeros);
    return option;
  }

  double stored_bytes(const plan::WeightPlan& weight, bool zeros) const {
    const int bits = quant::stored_bits(weight.params);
    const auto groups = static_cast<double>(weight.params.scales.size());
    const size_t entries = weight.params.codebooks ? weight.params.codebooks->values.size() : 0;
    return static_cast<double>(elements(weight.initializer)) * bits / 8 + groups * (4 + (zeros ? bits / 8.0 : 0.0)) +
           4.0 * static_cast<double>(entries);
  }

  /// All weights of a layer are rounded together, as rules choose for the layer.
  std::string add_weights(const LayerPlan& layer) {
    const plan::WeightPlan& weight = *layer.weight;
    Component component{
        .key = fmt::format("weight {} {} {}", layer.node, weight.initializer, params_text(weight.params)),
        .tensor = weight.initializer,
        .node = main_node(layer.node),
        .constant = true,
        .params = weight.params};
    for (const plan::WeightPlan& more : layer.more_weights) {
      component.key += fmt::format(", {} {}", more.initializer, params_text(more.params));
      component.more.push_back(more.initializer);
      component.more_params.push_back(more.params);
    }
    std::string key = component.key;
    add(std::move(component));
    return key;
  }

  /// The node of the main graph that this one is, or stands in.
  const std::string& main_node(const std::string& node) const {
    const std::vector<std::string>& inside = analysis_.layer(node)->inside;
    return inside.empty() ? node : inside.front();
  }

  plan::HalfSlots half_slots(const onnx::NodeProto& node, DataType type) const {
    const int opset = std::max(model_.opset(), type == DataType::kBfloat16 ? plan::kBfloat16Opset : 0);
    return plan::half_slots(index_, node, type, opset);
  }

  /// The component of all constants that the node reads in the type; "" if there are none.
  std::string add_halves(const std::string& name, DataType type) {
    const onnx::NodeProto& node = *index_.node(name);
    Component component{.key = fmt::format("constants {} {}", name, data_type_name(type)),
                        .tensor = {},
                        .node = main_node(name),
                        .constant = true,
                        .params = {},
                        .half = type};
    for (const int slot : half_slots(node, type).inputs) {
      if (index_.initializer(node.input(slot)) == nullptr) continue;
      if (component.tensor.empty()) {
        component.tensor = node.input(slot);
      } else {
        component.more.push_back(node.input(slot));
      }
    }
    if (component.tensor.empty()) return {};
    std::string key = component.key;
    add(std::move(component));
    return key;
  }

  bool in_main_graph(const std::string& value) const { return index_.graph_of(value) == &model_.graph(); }

  void add(Component component) {
    if (keys_.insert(component.key).second) space_.components.push_back(std::move(component));
  }

  /// Values of the main graph that the node reads or makes in the type.
  std::vector<std::string> half_values(const std::string& name, DataType type) const {
    const onnx::NodeProto& node = *index_.node(name);
    const plan::HalfSlots slots = half_slots(node, type);
    std::vector<std::string> values;
    const auto touch = [&](const std::string& value) {
      if (index_.initializer(value) == nullptr && in_main_graph(value)) values.push_back(value);
    };
    for (const int slot : slots.inputs) touch(node.input(slot));
    for (const int slot : slots.outputs) touch(node.output(slot));
    return values;
  }

  std::string add_half_value(const std::string& value, DataType type) {
    const std::string key = fmt::format("value {} {}", value, data_type_name(type));
    add({.key = key, .tensor = value, .node = owner(value), .constant = false, .params = {}, .half = type});
    return key;
  }

  /// Values that layers in 16-bit floats read or make: rounded once, whoever of them is the first.
  void add_half_values(const plan::PrecisionPlan& plan) {
    std::map<std::pair<std::string, DataType>, std::set<size_t>> touching;
    for (size_t i = 0; i < space_.items.size(); ++i) {
      const auto type = plan::half_type(plan.layers[layer_of_[i]].decision);
      if (!type) continue;
      for (const std::string& value : half_values(space_.items[i].node, *type)) touching[{value, *type}].insert(i);
    }
    for (const auto& [rounded, items] : touching) {
      space_.values.push_back({.component = add_half_value(rounded.first, rounded.second),
                               .items = {items.begin(), items.end()},
                               .half = true});
    }
  }

  /// What a dynamic product reads; "" inside a body.
  std::string add_read(const std::string& node) {
    const analyze::Layer& layer = *analysis_.layer(node);
    if (!layer.inside.empty()) return {};
    const std::string& value = layer.activations.front();
    std::string key = fmt::format("read {} {} dynamic uint8", node, value);
    add({.key = key, .tensor = value, .node = node, .constant = false, .params = {}, .dynamic = true});
    return key;
  }

  std::string add_value(const plan::ValuePlan& value) {
    const bool constant = index_.initializer(value.value) != nullptr;
    std::string key = fmt::format("value {} {}", value.value, params_text(value.params));
    add({.key = key,
         .tensor = value.value,
         .node = owner(value.value),
         .constant = constant,
         .for_all = constant,
         .params = value.params});
    return key;
  }

  /// Values inside bodies are none, nor those that data movement makes.
  bool is_component(const plan::ValuePlan& value, const plan::PrecisionPlan& plan) const {
    if (!is_source(value.value, analysis_.groups[analysis_.group_of.at(value.value)], plan)) return false;
    return index_.initializer(value.value) != nullptr || in_main_graph(value.value);
  }

  void add_values(const plan::PrecisionPlan& plan) {
    std::map<size_t, std::set<size_t>> touching;
    for (size_t i = 0; i < space_.items.size(); ++i) {
      const LayerPlan& layer = plan.layers[layer_of_[i]];
      for (const auto* values : {&layer.activations, &layer.outputs}) {
        for (const std::string& value : *values) touching[analysis_.group_of.at(value)].insert(i);
      }
    }
    for (const plan::ValuePlan& value : plan.values) {
      if (!is_component(value, plan)) continue;
      const std::set<size_t>& items = touching[analysis_.group_of.at(value.value)];
      space_.values.push_back({.component = add_value(value), .items = {items.begin(), items.end()}});
    }
  }

  /// Members that data movement makes from others are rounded already.
  static bool is_source(const std::string& value, const analyze::ValueGroup& group, const plan::PrecisionPlan& plan) {
    const auto has = [](const std::vector<std::string>& names, const std::string& name) {
      return std::find(names.begin(), names.end(), name) != names.end();
    };
    if (has(group.sources, value)) return true;
    const bool some = std::any_of(plan.values.begin(), plan.values.end(),
                                  [&](const plan::ValuePlan& other) { return has(group.sources, other.value); });
    if (some) return false;
    const auto first = std::find_if(plan.values.begin(), plan.values.end(),
                                    [&](const plan::ValuePlan& other) { return has(group.members, other.value); });
    return first->value == value;
  }

  std::string owner(const std::string& value) const {
    if (index_.initializer(value) != nullptr) return main_node(index_.uses(value).front().node->name());
    const onnx::NodeProto* producer = index_.producer(value);
    return producer == nullptr ? "" : producer->name();
  }

  const graph::Model& model_;
  graph::GraphIndex index_;
  const analyze::Analysis& analysis_;
  const plan::Ranges& ranges_;
  const plan::Rules& rules_;
  std::vector<size_t> layer_of_;  // by item
  std::set<std::string> keys_;
  Space space_;
};

}  // namespace

std::vector<std::string> Space::nodes() const {
  std::vector<std::string> names;
  for (const Item& item : items) names.push_back(item.node);
  return names;
}

std::vector<Choice> choices_of(const Space& space, const Assignment& assignment) {
  std::vector<Choice> choices;
  for (size_t i = 0; i < assignment.size(); ++i) choices.push_back(space.items[i].options[assignment[i]].choice);
  return choices;
}

Space make_space(const PlanInputs& inputs, const std::vector<Choice>& choices) {
  return SpaceMaker(inputs).run(choices);
}

PlanRoundings plan_roundings(const PlanInputs& inputs, const std::vector<std::string>& nodes,
                             const std::vector<std::vector<Choice>>& choices) {
  return SpaceMaker(inputs).roundings(nodes, choices);
}

}  // namespace narrow::tune
