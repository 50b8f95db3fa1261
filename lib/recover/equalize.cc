#include "lib/recover/equalize.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <unordered_map>

#include "lib/graph/edit.h"
#include "lib/recover/layer_weights.h"

namespace narrow::recover {
namespace {

constexpr double kLargestFactor = 64;
constexpr double kLevels = 255;

struct Class {
  bool bounded = false;          // by a Clip, from above
  double most = kLargestFactor;  // that keeps its channels within the ranges of their values
  double factor = std::numeric_limits<double>::infinity();
  double limit = kLargestFactor;
  // Shares of its readers' output energy, at factor 1. Rounding of the channels falls with the factor's square; that
  // of the weights which read them grows with it.
  double activation_noise = 0;
  double weight_noise = 0;
};

bool depthwise(const graph::GraphIndex& index, const onnx::NodeProto& node) {
  return node.op_type() == "Conv" && index.initializer(node.input(1))->dims(1) == 1;
}

class Equalizer {
 public:
  Equalizer(const graph::Model& model, const ValueChannels& seen, const EqualizeOptions& options)
      : model_(model), index_(model.graph()), classes_(model), seen_(seen), options_(options) {}

  EqualizeResult run() {
    find_ranges();
    find_factors();
    EqualizeResult result{.model = model_};
    graph::GraphEditor editor(result.model);
    for (const onnx::NodeProto& node : model_.graph().node()) {
      if (takes_factors(index_, node)) scale_layer(node, editor);
    }
    for (const auto& [id, entry] : facts_) {
      if (entry.factor == 1) continue;
      ++result.channels;
      result.largest = std::max(result.largest, entry.factor);
    }
    editor.finish();
    return result;
  }

 private:
  /// What a clamp alone reads is never stored.
  bool only_clamped(const std::string& value) const {
    const auto uses = index_.uses(value);
    return uses.size() == 1 && uses[0].input != graph::Use::kCaptured &&
           (uses[0].node->op_type() == "Relu" || uses[0].node->op_type() == "Clip");
  }

  template <class Visit>  // visit(class, channel)
  void for_each_class(const std::string& value, Visit visit) {
    for (int64_t i = 0; i < classes_.channels(value); ++i) {
      const int64_t id = classes_.class_of(value, i);
      if (id >= 0) visit(facts_[id], static_cast<size_t>(i));
    }
  }

  const ChannelStatistics* seen(const std::string& value) const {
    const auto found = seen_.find(value);
    return found == seen_.end() ? nullptr : &found->second;
  }

  /// A channel that is not its value's widest has room for other data, and scaled up to the widest would have lost it.
  /// Channels that a Clip bounds from above get none: on mobilenet_v1, where all are, it cost what it gained.
  static double reach(const Class& entry, const ChannelStatistics& statistics, size_t channel) {
    return statistics.maxima[channel] + (entry.bounded ? 0 : kReach * statistics.spreads[channel]);
  }

  void find_ranges() {
    for (const ChannelClasses::Bound& bound : classes_.bounds()) facts_[bound.class_id].bounded = true;
    for (const std::string& value : classes_.values()) {
      const ChannelStatistics* statistics = seen(value);
      if (only_clamped(value) || statistics == nullptr) continue;
      // Channels that may not be scaled count in the range that the others stay within.
      const double range = *std::max_element(statistics->maxima.begin(), statistics->maxima.end());
      for_each_class(value, [&](Class& entry, size_t channel) {
        const double own = reach(entry, *statistics, channel);
        // What never came out of 0 may on other data.
        entry.most = std::min(entry.most, own > 0 ? range / own : 1);
      });
    }
    for (const ChannelClasses::Bound& bound : classes_.bounds()) {
      Class& entry = facts_[bound.class_id];
      const ChannelStatistics* statistics = seen(bound.input);
      const double most = statistics == nullptr ? std::numeric_limits<double>::infinity()
                                                : statistics->maxima[static_cast<size_t>(bound.channel)];
      // Above 0 the bound alone counts: a factor below 1 would move it.
      entry.limit = std::min(entry.limit, most > 0 ? static_cast<double>(bound.high) / most : kLargestFactor);
    }
    for (const onnx::NodeProto& node : model_.graph().node()) {
      if (takes_factors(index_, node)) add_noise(node);
    }
  }

  /// Of a layer that reads channels: steps are those of 8 bits; other widths change both alike.
  void add_noise(const onnx::NodeProto& node) {
    const ChannelStatistics* statistics = seen(node.input(0));
    if (statistics == nullptr) return;
    const LayerWeights weights(model_, index_, node);
    if (static_cast<int64_t>(statistics->maxima.size()) != weights.inputs * weights.groups) return;
    const std::vector<double> largest = weights.largest();
    const double step = *std::max_element(statistics->maxima.begin(), statistics->maxima.end()) / kLevels;
    std::vector<double> gains(statistics->maxima.size());  // sum of squared weights that read the channel
    std::vector<double> steps(statistics->maxima.size());  // sum of their squared steps
    for (int64_t i = 0; i < weights.size(); ++i) {
      const double weight = weights.value(i);
      const auto input = static_cast<size_t>(weights.input(i));
      gains[input] += weight * weight;
      const double weight_step = 2 * largest[static_cast<size_t>(weights.output(i))] / kLevels;
      steps[input] += weight_step * weight_step;
    }
    double energy = 0;
    for (size_t i = 0; i < gains.size(); ++i) energy += gains[i] * statistics->squares[i];
    if (!(energy > 0)) return;
    const bool free = depthwise(index_, node);
    for_each_class(node.input(0), [&](Class& entry, size_t channel) {
      entry.activation_noise += gains[channel] * step * step / energy;
      if (!free) entry.weight_noise += steps[channel] * statistics->squares[channel] / energy;
    });
  }

  void find_factors() {
    for (const std::string& value : classes_.values()) {
      const ChannelStatistics* statistics = seen(value);
      if (only_clamped(value) || statistics == nullptr) continue;
      for_each_class(value, [&](Class& entry, size_t) {
        const double noise = entry.weight_noise * options_.weight_noise;
        const double balanced = noise > 0 ? std::pow(entry.activation_noise / noise, 0.25) : kLargestFactor;
        const double most = std::min(entry.most, entry.limit);
        entry.factor = std::min(entry.factor, std::max(std::min(balanced, most), 1.0));
      });
    }
    for (auto& [id, entry] : facts_) {
      if (std::isinf(entry.factor)) entry.factor = 1;
    }
    for (const onnx::NodeProto& node : model_.graph().node()) {
      if (!options_.untouched.contains(node.name()) || !takes_factors(index_, node)) continue;
      for (const std::string& value : {node.input(0), node.output(0)}) {
        for_each_class(value, [](Class& entry, size_t) { entry.factor = 1; });
      }
    }
  }

  std::vector<double> factors(const std::string& value, int64_t channels) {
    std::vector<double> result(static_cast<size_t>(channels), 1.0);
    if (classes_.channels(value) == channels) {
      for_each_class(value, [&](const Class& entry, size_t channel) { result[channel] = entry.factor; });
    }
    return result;
  }

  void scale_layer(const onnx::NodeProto& node, graph::GraphEditor& editor) {
    LayerWeights weights(model_, index_, node);
    const std::vector<double> out = factors(node.output(0), weights.outputs);
    const std::vector<double> in = factors(node.input(0), weights.inputs * weights.groups);
    const auto is_one = [](double factor) { return factor == 1; };
    if (std::all_of(out.begin(), out.end(), is_one) && std::all_of(in.begin(), in.end(), is_one)) return;
    const auto values = weights.tensor.mutable_data<float>();
    for (int64_t i = 0; i < weights.size(); ++i) {
      float& value = values[static_cast<size_t>(i)];
      value = static_cast<float>(value * out[static_cast<size_t>(weights.output(i))] /
                                 in[static_cast<size_t>(weights.input(i))]);
    }
    editor.replace_initializer(node.input(1), weights.tensor);
    if (node.input_size() < 3 || node.input(2).empty()) return;
    Tensor bias = model_.tensor(*index_.initializer(node.input(2)));
    const auto biases = bias.mutable_data<float>();
    for (size_t i = 0; i < biases.size(); ++i) biases[i] = static_cast<float>(biases[i] * out[i]);
    editor.replace_initializer(node.input(2), bias);
  }

  const graph::Model& model_;
  graph::GraphIndex index_;
  ChannelClasses classes_;
  const ValueChannels& seen_;
  const EqualizeOptions& options_;
  std::unordered_map<int64_t, Class> facts_;
};

}  // namespace

EqualizeResult equalize(const graph::Model& model, const ValueChannels& seen, const EqualizeOptions& options) {
  return Equalizer(model, seen, options).run();
}

}  // namespace narrow::recover
