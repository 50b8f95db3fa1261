#include "lib/recover/absorb.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <unordered_set>

#include "lib/graph/attributes.h"
#include "lib/graph/edit.h"
#include "lib/graph/graph_index.h"
#include "lib/plan/clamp.h"
#include "lib/recover/channel_classes.h"
#include "lib/recover/layer_weights.h"

namespace narrow::recover {
namespace {

constexpr double kLeastGain = 0.01;  // of a range

using Shift = std::vector<double>;  // by channel

bool is_clamp(const onnx::NodeProto& node) {
  return graph::canonical_domain(node.domain()).empty() && (node.op_type() == "Relu" || node.op_type() == "Clip");
}

bool is_add(const onnx::NodeProto& node) {
  return graph::canonical_domain(node.domain()).empty() && node.op_type() == "Add";
}

/// Behind zeros that pad it a shifted value would have other edges.
bool pads(const graph::GraphIndex& index, const onnx::NodeProto& node) {
  if (node.op_type() != "Conv") return false;
  const std::vector<int64_t> amounts = graph::ints_attribute(node, "pads");
  if (std::any_of(amounts.begin(), amounts.end(), [](int64_t amount) { return amount != 0; })) return true;
  const std::string automatic = graph::string_attribute(node, "auto_pad", "NOTSET");
  if (automatic == "NOTSET" || automatic == "VALID") return false;
  const auto& dims = index.initializer(node.input(1))->dims();
  return std::any_of(dims.begin() + 2, dims.end(), [](int64_t size) { return size != 1; });
}

/// What may be shifted.
class Places {
 public:
  Places(const graph::Model& model, const std::set<std::string>& untouched)
      : model_(model), index_(model.graph()), untouched_(untouched) {
    const auto& nodes = model.graph().node();
    for (auto node = nodes.rbegin(); node != nodes.rend(); ++node) {
      if (node->output_size() == 1 && may_shift(*node)) shifted_.insert(node->output(0));
    }
    // A clamp shifts with the layer in front of it, an Add with one of what it adds.
    for (const onnx::NodeProto& node : nodes) {
      if (node.output_size() != 1 || !shifts(node.output(0))) continue;
      const bool follows =
          is_clamp(node) ? shifts(node.input(0)) : !is_add(node) || shifts(node.input(0)) || shifts(node.input(1));
      if (!follows) shifted_.erase(node.output(0));
    }
  }

  const graph::GraphIndex& index() const { return index_; }
  bool shifts(const std::string& value) const { return shifted_.contains(value); }
  bool is_layer(const onnx::NodeProto& node) const {
    return takes_factors(index_, node) && !untouched_.contains(node.name());
  }
  /// The clamp that alone reads the value, if one does.
  const onnx::NodeProto* clamp_behind(const std::string& value) const {
    const auto uses = index_.uses(value);
    return uses.size() == 1 && uses[0].input == 0 && is_clamp(*uses[0].node) ? uses[0].node : nullptr;
  }

 private:
  bool may_shift(const onnx::NodeProto& node) const {
    const std::string& value = node.output(0);
    const graph::ValueType type = index_.type(value);
    if (type.type != DataType::kFloat32 || !type.shape || type.shape->size() < 2 || (*type.shape)[1] < 1) return false;
    if (index_.is_output(value) || index_.uses(value).empty()) return false;
    if (is_layer(node)) {
      const onnx::NodeProto* const clamp = clamp_behind(value);
      return clamp == nullptr ? shifts_behind(value) : shifts(clamp->output(0));
    }
    if (is_clamp(node)) {
      const auto bounds = plan::clamp_bounds(model_, index_, node);
      return bounds && bounds->low == 0 && clamp_behind(node.input(0)) == &node && only_layers_behind(value);
    }
    return is_add(node) && node.input(0) != node.input(1) && same_shape(node) && shifts_behind(value);
  }

  /// Broadcasting would shift one channel into others.
  bool same_shape(const onnx::NodeProto& add) const {
    const auto shape = index_.type(add.output(0)).shape;
    for (const std::string& input : add.input()) {
      const auto other = index_.type(input).shape;
      if (!other || other->size() != shape->size() || (*other)[1] != (*shape)[1]) return false;
      if (index_.initializer(input) != nullptr) return false;
    }
    return true;
  }

  bool takes_back(const graph::Use& use) const {
    return use.input == 0 && is_layer(*use.node) && !pads(index_, *use.node);
  }

  /// What a clamp cuts has a floor, not a middle: sums of it do not shift.
  bool only_layers_behind(const std::string& value) const {
    const auto uses = index_.uses(value);
    return std::all_of(uses.begin(), uses.end(), [&](const graph::Use& use) { return takes_back(use); });
  }

  /// Whether all that reads the value can take a shift back, or shifts with it.
  bool shifts_behind(const std::string& value) const {
    const auto uses = index_.uses(value);
    return std::all_of(uses.begin(), uses.end(), [&](const graph::Use& use) {
      const bool adds = use.input != graph::Use::kCaptured && is_add(*use.node);
      return adds ? shifts(use.node->output(0)) : takes_back(use);
    });
  }

  const graph::Model& model_;
  graph::GraphIndex index_;
  const std::set<std::string>& untouched_;
  std::unordered_set<std::string> shifted_;
};

bool has_bias(const onnx::NodeProto& layer) {
  return layer.input_size() > 2 && !layer.input(2).empty();
}

/// The layer's own, or a new one.
void set_bias(onnx::NodeProto& layer, const Tensor& bias, graph::GraphEditor& editor) {
  if (has_bias(layer)) {
    editor.replace_initializer(layer.input(2), bias);
    return;
  }
  while (layer.input_size() < 3) layer.add_input("");
  layer.set_input(2, editor.add_initializer(layer.output(0) + "_bias", bias));
}

class Absorber {
 public:
  Absorber(const graph::Model& model, const ValueChannels& seen, const AbsorbOptions& options)
      : model_(model), places_(model, options.untouched), seen_(seen) {}

  AbsorbResult run() {
    std::vector<const onnx::NodeProto*> sums;
    for (const onnx::NodeProto& node : model_.graph().node()) {
      if (is_add(node) && places_.shifts(node.output(0))) sums.push_back(&node);
    }
    // Of what never ran, or was not finite, nobody knows where its channels lie.
    const bool known = std::all_of(sums.begin(), sums.end(), [&](const auto* sum) { return seen(sum->output(0)); });
    if (!known) return {.model = model_};
    for (const onnx::NodeProto* sum : sums) choose_for_sum(*sum);
    for (const onnx::NodeProto& node : model_.graph().node()) {
      if (places_.is_layer(node) && places_.shifts(node.output(0)) && !shifts_.contains(node.output(0))) {
        choose_alone(node.output(0));
      }
    }
    AbsorbResult result{.model = model_};
    for (const auto& [value, shift] : shifts_) {
      if (places_.clamp_behind(value) != nullptr) continue;  // never stored
      const double share = narrowed(value, shift);
      if (share > 1 - kLeastGain) continue;
      ++result.values;
      result.narrowest = std::min(result.narrowest, share);
    }
    std::erase_if(shifts_, [](const auto& entry) {
      return std::all_of(entry.second.begin(), entry.second.end(), [](double by) { return by == 0; });
    });
    if (result.values > 0) apply(result.model);
    return result;
  }

 private:
  const ChannelStatistics* seen(const std::string& value) const {
    const auto found = seen_.find(value);
    if (found == seen_.end()) return nullptr;
    const auto finite = [](double element) { return std::isfinite(element); };
    const ChannelStatistics& statistics = found->second;
    const bool known = std::all_of(statistics.lows.begin(), statistics.lows.end(), finite) &&
                       std::all_of(statistics.highs.begin(), statistics.highs.end(), finite);
    return known ? &statistics : nullptr;
  }

  static double range(const ChannelStatistics& statistics, const Shift& shift) {
    double low = 0;
    double high = 0;
    for (size_t i = 0; i < statistics.lows.size(); ++i) {
      const double by = shift.empty() ? 0 : shift[i];
      low = std::min(low, statistics.lows[i] - by);
      high = std::max(high, statistics.highs[i] - by);
    }
    return high - low;
  }

  double narrowed(const std::string& value, const Shift& shift) const {
    const ChannelStatistics* statistics = seen(value);
    if (statistics == nullptr) return 1;
    const double before = range(*statistics, {});
    return before > 0 ? range(*statistics, shift) / before : 1;
  }

  static Shift middles(const ChannelStatistics& statistics) {
    Shift shift;
    for (size_t i = 0; i < statistics.lows.size(); ++i) {
      shift.push_back((statistics.lows[i] + statistics.highs[i]) / 2);
    }
    return shift;
  }

  /// What elements do not fall below on more data either; a channel that the clamp's upper bound cuts stays.
  Shift floors(const ChannelStatistics& statistics, double high) const {
    Shift shift;
    for (size_t i = 0; i < statistics.lows.size(); ++i) {
      const double floor = statistics.lows[i] - kReach * statistics.unrest[i];
      shift.push_back(statistics.highs[i] < high ? std::max(floor, 0.0) : 0);
    }
    return shift;
  }

  /// A sum is shifted by what its parts are. Of those not chosen yet the last is shifted so that the sum's channels lie
  /// around 0, as far as its own range does not grow; the others lie around 0 themselves.
  void choose_for_sum(const onnx::NodeProto& add) {
    const ChannelStatistics& sum = *seen(add.output(0));
    Shift total(sum.lows.size(), 0);
    const std::string* free = nullptr;
    for (const std::string& part : add.input()) {
      const bool open = places_.shifts(part) && !shifts_.contains(part) && seen(part) != nullptr;
      if (open && free != nullptr) shifts_[*free] = middles(*seen(*free));
      if (open) free = &part;
    }
    for (const std::string& part : add.input()) {
      const auto found = shifts_.find(part);
      if (found == shifts_.end()) continue;
      for (size_t i = 0; i < total.size(); ++i) total[i] += found->second[i];
    }
    if (free != nullptr) {
      Shift shift = middles(sum);
      const ChannelStatistics& own = *seen(*free);
      const double half = range(own, {}) / 2;
      for (size_t i = 0; i < shift.size(); ++i) {
        shift[i] =
            std::clamp(shift[i] - total[i], own.highs[i] - half, std::max(own.lows[i] + half, own.highs[i] - half));
        total[i] += shift[i];
      }
      shifts_[*free] = std::move(shift);
    }
    shifts_[add.output(0)] = std::move(total);
  }

  void choose_alone(const std::string& value) {
    const onnx::NodeProto* const clamp = places_.clamp_behind(value);
    const std::string& stored = clamp == nullptr ? value : clamp->output(0);
    const ChannelStatistics* statistics = seen(stored);
    if (statistics == nullptr) return;
    Shift shift = clamp == nullptr ? middles(*statistics)
                                   : floors(*statistics, plan::clamp_bounds(model_, places_.index(), *clamp)->high);
    if (narrowed(stored, shift) > 1 - kLeastGain) return;
    if (clamp != nullptr) shifts_[stored] = shift;
    shifts_[value] = std::move(shift);
  }

  void apply(graph::Model& changed) const {
    graph::GraphEditor editor(changed);
    for (onnx::NodeProto& node : *changed.mutable_graph().mutable_node()) {
      if (!places_.is_layer(node)) continue;
      const auto made = shifts_.find(node.output(0));
      const auto read = shifts_.find(node.input(0));
      if (made != shifts_.end() || read != shifts_.end()) {
        change_bias(node, made == shifts_.end() ? nullptr : &made->second,
                    read == shifts_.end() ? nullptr : &read->second, editor);
      }
    }
    editor.finish();
  }

  void change_bias(onnx::NodeProto& node, const Shift* made, const Shift* read, graph::GraphEditor& editor) const {
    const LayerWeights weights(model_, places_.index(), node);
    Shift sums(static_cast<size_t>(weights.outputs), 0);
    if (made != nullptr) {
      for (size_t i = 0; i < sums.size(); ++i) sums[i] -= (*made)[i];
    }
    if (read != nullptr) {
      for (int64_t i = 0; i < weights.size(); ++i) {
        sums[static_cast<size_t>(weights.output(i))] +=
            weights.value(i) * (*read)[static_cast<size_t>(weights.input(i))];
      }
    }
    Tensor bias(DataType::kFloat32, {weights.outputs});
    const Tensor before = has_bias(node) ? model_.tensor(*places_.index().initializer(node.input(2))) : Tensor();
    for (size_t i = 0; i < sums.size(); ++i) {
      const double old = has_bias(node) ? static_cast<double>(before.data<float>()[i]) : 0;
      bias.mutable_data<float>()[i] = static_cast<float>(old + sums[i]);
    }
    set_bias(node, bias, editor);
  }

  const graph::Model& model_;
  Places places_;
  const ValueChannels& seen_;
  std::map<std::string, Shift> shifts_;
};

}  // namespace

std::vector<std::string> absorbable_values(const graph::Model& model) {
  const std::set<std::string> none;
  const Places places(model, none);
  std::vector<std::string> values;
  for (const onnx::NodeProto& node : model.graph().node()) {
    if (node.output_size() == 1 && places.shifts(node.output(0))) values.push_back(node.output(0));
  }
  return values;
}

std::vector<std::string> channel_values(const graph::Model& model) {
  std::vector<std::string> values = ChannelClasses(model).values();
  std::set<std::string> known(values.begin(), values.end());
  for (std::string& value : absorbable_values(model)) {
    if (known.insert(value).second) values.push_back(std::move(value));
  }
  return values;
}

graph::Model absorb_nodes(const graph::Model& model) {
  const std::set<std::string> none;
  const Places places(model, none);
  graph::Model changed = model;
  graph::GraphEditor editor(changed);
  for (onnx::NodeProto& node : *changed.mutable_graph().mutable_node()) {
    if (!places.is_layer(node) || has_bias(node)) continue;
    if (!places.shifts(node.output(0)) && !places.shifts(node.input(0))) continue;
    const LayerWeights weights(model, places.index(), node);
    const std::vector<float> zeros(static_cast<size_t>(weights.outputs), 0.0F);
    set_bias(node, Tensor::of<float>({weights.outputs}, std::span<const float>(zeros)), editor);
  }
  editor.finish();
  return changed;
}

AbsorbResult absorb(const graph::Model& model, const ValueChannels& seen, const AbsorbOptions& options) {
  return Absorber(model, seen, options).run();
}

}  // namespace narrow::recover
