#include "lib/recover/equalize.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <unordered_map>

#include "lib/graph/attributes.h"
#include "lib/graph/edit.h"

namespace narrow::recover {
namespace {

constexpr double kLargestFactor = 64;

struct Class {
  double range = 0;  // largest magnitude of its channels
  double factor = std::numeric_limits<double>::infinity();
  double limit = kLargestFactor;
  bool mixed = false;  // some reader sums it with other channels
};

bool depthwise(const graph::GraphIndex& index, const onnx::NodeProto& node) {
  return node.op_type() == "Conv" && index.initializer(node.input(1))->dims(1) == 1;
}

class Equalizer {
 public:
  Equalizer(const graph::Model& model, const ChannelMaxima& maxima, const EqualizeOptions& options)
      : model_(model), index_(model.graph()), classes_(model), maxima_(maxima), options_(options) {}

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

  void find_ranges() {
    for (const std::string& value : classes_.values()) {
      if (only_clamped(value)) continue;
      const auto seen = maxima_.find(value);
      for_each_class(value, [&](Class& entry, size_t channel) {
        if (seen != maxima_.end()) entry.range = std::max(entry.range, static_cast<double>(seen->second[channel]));
      });
    }
    for (const ChannelClasses::Bound& bound : classes_.bounds()) {
      Class& entry = facts_[bound.class_id];
      const auto seen = maxima_.find(bound.input);
      const double most = seen == maxima_.end() ? std::numeric_limits<double>::infinity()
                                                : seen->second[static_cast<size_t>(bound.channel)];
      // Above 0 the bound alone counts: a factor below 1 would move it.
      entry.limit = std::min(entry.limit, most > 0 ? static_cast<double>(bound.high) / most : kLargestFactor);
    }
    for (const onnx::NodeProto& node : model_.graph().node()) {
      if (!takes_factors(index_, node) || depthwise(index_, node)) continue;
      for_each_class(node.input(0), [](Class& entry, size_t) { entry.mixed = true; });
    }
  }

  void find_factors() {
    for (const std::string& value : classes_.values()) {
      if (only_clamped(value)) continue;
      const auto seen = maxima_.find(value);
      if (seen == maxima_.end()) continue;
      // Channels that may not be scaled count in the range that the others are brought to.
      const double range = *std::max_element(seen->second.begin(), seen->second.end());
      for_each_class(value, [&](Class& entry, size_t) {
        const double strength = entry.mixed ? options_.mixed_strength : 1;
        const double wanted = entry.range > 0 ? std::pow(range / entry.range, strength) : 1;
        entry.factor = std::min({entry.factor, std::max(wanted, 1.0), std::max(entry.limit, 1.0)});
      });
    }
    for (auto& [id, entry] : facts_) {
      if (std::isinf(entry.factor)) entry.factor = 1;
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
    Tensor weight = model_.tensor(*index_.initializer(node.input(1)));
    const bool conv = node.op_type() == "Conv";
    const bool transposed = !conv && graph::int_attribute(node, "transB", 0) == 0;  // [inputs, outputs]
    const int64_t outputs = weight.shape()[transposed ? 1 : 0];
    const int64_t groups = conv ? graph::int_attribute(node, "group", 1) : 1;
    const int64_t per_group = weight.shape()[transposed ? 0 : 1];
    const std::vector<double> out = factors(node.output(0), outputs);
    const std::vector<double> in = factors(node.input(0), per_group * groups);
    const auto is_one = [](double factor) { return factor == 1; };
    if (std::all_of(out.begin(), out.end(), is_one) && std::all_of(in.begin(), in.end(), is_one)) return;
    const auto values = weight.mutable_data<float>();
    const int64_t inner = conv ? element_count(weight.shape()) / (outputs * per_group) : 1;
    for (size_t i = 0; i < values.size(); ++i) {
      const auto at = static_cast<int64_t>(i) / inner;
      const int64_t output = transposed ? at % outputs : at / per_group;
      const int64_t input = (transposed ? at / outputs : at % per_group) + output / (outputs / groups) * per_group;
      values[i] = static_cast<float>(values[i] * out[static_cast<size_t>(output)] / in[static_cast<size_t>(input)]);
    }
    editor.replace_initializer(node.input(1), weight);
    if (node.input_size() < 3 || node.input(2).empty()) return;
    Tensor bias = model_.tensor(*index_.initializer(node.input(2)));
    const auto biases = bias.mutable_data<float>();
    for (size_t i = 0; i < biases.size(); ++i) biases[i] = static_cast<float>(biases[i] * out[i]);
    editor.replace_initializer(node.input(2), bias);
  }

  const graph::Model& model_;
  graph::GraphIndex index_;
  ChannelClasses classes_;
  const ChannelMaxima& maxima_;
  const EqualizeOptions& options_;
  std::unordered_map<int64_t, Class> facts_;
};

}  // namespace

EqualizeResult equalize(const graph::Model& model, const ChannelMaxima& maxima, const EqualizeOptions& options) {
  return Equalizer(model, maxima, options).run();
}

}  // namespace narrow::recover
