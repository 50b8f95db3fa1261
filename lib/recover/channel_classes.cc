#include "lib/recover/channel_classes.h"

#include <algorithm>
#include <array>
#include <numeric>
#include <string_view>

#include "lib/graph/attributes.h"
#include "lib/graph/inputs.h"
#include "lib/plan/clamp.h"

namespace narrow::recover {
namespace {

/// f(s x) = s f(x) for s > 0, each channel by itself; sorted.
constexpr std::array<std::string_view, 8> kChannelwise{"AveragePool", "GlobalAveragePool", "GlobalMaxPool", "Identity",
                                                       "LeakyRelu",   "MaxPool",           "PRelu",         "Relu"};

bool owns_constant(const graph::GraphIndex& index, const std::string& name) {
  const onnx::TensorProto* initializer = index.initializer(name);
  return initializer != nullptr && index.uses(name).size() == 1 && !index.is_output(name) &&
         static_cast<DataType>(initializer->data_type()) == DataType::kFloat32;
}

}  // namespace

bool takes_factors(const graph::GraphIndex& index, const onnx::NodeProto& node) {
  const bool conv = node.op_type() == "Conv";
  const bool gemm = node.op_type() == "Gemm" && graph::int_attribute(node, "transA", 0) == 0 &&
                    graph::float_attribute(node, "alpha", 1) == 1 && graph::float_attribute(node, "beta", 1) == 1;
  if ((!conv && !gemm) || !graph::canonical_domain(node.domain()).empty() || !owns_constant(index, node.input(1))) {
    return false;
  }
  if (node.input_size() < 3 || node.input(2).empty()) return true;
  // A bias of one element, which all outputs share, could not take their factors.
  const auto& dims = index.initializer(node.input(1))->dims();
  const int64_t outputs = conv || graph::int_attribute(node, "transB", 0) != 0 ? dims.at(0) : dims.at(1);
  const onnx::TensorProto* bias = owns_constant(index, node.input(2)) ? index.initializer(node.input(2)) : nullptr;
  return bias != nullptr && bias->dims_size() == 1 && bias->dims(0) == outputs;
}

ChannelClasses::ChannelClasses(const graph::Model& model) : model_(model), index_(model.graph()) {
  const auto add_value = [&](const std::string& value) {
    const graph::ValueType type = index_.type(value);
    if (value.empty() || type.type != DataType::kFloat32 || !type.shape || type.shape->size() < 2) return;
    const int64_t channels = (*type.shape)[1];
    if (channels < 1 || index_.initializer(value) != nullptr || first_.contains(value)) return;
    first_[value] = static_cast<int64_t>(parent_.size());
    count_[value] = channels;
    parent_.resize(parent_.size() + static_cast<size_t>(channels));
    values_.push_back(value);
  };
  for (const onnx::ValueInfoProto& input : model.graph().input()) add_value(input.name());
  for (const onnx::NodeProto& node : model.graph().node()) {
    for (const std::string& output : node.output()) add_value(output);
  }
  std::iota(parent_.begin(), parent_.end(), 0);
  pinned_.assign(parent_.size(), false);
  for (const onnx::ValueInfoProto& input : model.graph().input()) pin_value(input.name());
  for (const onnx::ValueInfoProto& output : model.graph().output()) pin_value(output.name());
  for (const onnx::NodeProto& node : model.graph().node()) join_node(node);
  for (Bound& bound : bounds_) bound.class_id = class_of(bound.input, bound.channel);
  std::erase_if(bounds_, [](const Bound& bound) { return bound.class_id < 0; });
  std::erase_if(values_, [&](const std::string& value) {
    for (int64_t i = 0; i < channels(value); ++i) {
      if (class_of(value, i) >= 0) return false;
    }
    return true;
  });
}

int64_t ChannelClasses::channels(const std::string& value) const {
  const auto found = count_.find(value);
  return found == count_.end() ? 0 : found->second;
}

int64_t ChannelClasses::element(const std::string& value, int64_t channel) const {
  return first_.at(value) + channel;
}

int64_t ChannelClasses::find(int64_t element) const {
  while (parent_[static_cast<size_t>(element)] != element) {
    int64_t& parent = parent_[static_cast<size_t>(element)];
    parent = parent_[static_cast<size_t>(parent)];
    element = parent;
  }
  return element;
}

int64_t ChannelClasses::class_of(const std::string& value, int64_t channel) const {
  if (!first_.contains(value)) return -1;
  const int64_t root = find(element(value, channel));
  return pinned_[static_cast<size_t>(root)] ? -1 : root;
}

void ChannelClasses::join(int64_t a, int64_t b) {
  const int64_t low = std::min(find(a), find(b));
  const int64_t high = std::max(find(a), find(b));
  parent_[static_cast<size_t>(high)] = low;
  if (pinned_[static_cast<size_t>(high)]) pinned_[static_cast<size_t>(low)] = true;
}

void ChannelClasses::pin_value(const std::string& value) {
  for (int64_t i = 0; i < channels(value); ++i) pinned_[static_cast<size_t>(find(element(value, i)))] = true;
}

bool ChannelClasses::same_channels(const std::string& a, const std::string& b) const {
  return first_.contains(a) && first_.contains(b) && channels(a) == channels(b);
}

void ChannelClasses::join_values(const std::string& a, const std::string& b) {
  for (int64_t i = 0; i < channels(a); ++i) join(element(a, i), element(b, i));
}

void ChannelClasses::join_node(const onnx::NodeProto& node) {
  if (takes_factors(index_, node) && (node.op_type() == "Conv" || channels(node.input(0)) > 0)) return;
  if (join_channelwise(node) || join_concat(node)) return;
  for (const std::string& value : graph::reads_of(node)) pin_value(value);
  for (const std::string& value : node.output()) pin_value(value);
}

bool ChannelClasses::join_channelwise(const onnx::NodeProto& node) {
  if (!graph::canonical_domain(node.domain()).empty() || node.output_size() != 1) return false;
  const std::string& type = node.op_type();
  const std::string& input = graph::input_or_none(node, 0);
  const std::string& output = node.output(0);
  if (!same_channels(input, output)) return false;
  if (type == "Add") {
    // Broadcasting could join channels: shapes must be equal.
    const bool equal = same_channels(graph::input_or_none(node, 1), output) &&
                       index_.type(input).shape->size() == index_.type(node.input(1)).shape->size();
    if (!equal) return false;
    join_values(input, output);
    join_values(node.input(1), output);
    return true;
  }
  const auto size = [&](const std::string& value) {
    const Shape shape = index_.type(value).shape.value_or(Shape{});
    return std::all_of(shape.begin() + 2, shape.end(), [](int64_t d) { return d == 1; });
  };
  const bool reshapes = type == "Flatten" || type == "Reshape" || type == "Squeeze";
  const bool clips = type == "Clip";
  if (reshapes) {
    if (!size(input) || !size(output)) return false;
  } else if (!clips && !std::binary_search(kChannelwise.begin(), kChannelwise.end(), type)) {
    return false;
  }
  if (clips) {
    const auto bounds = plan::clamp_bounds(model_, index_, node);
    if (!bounds || bounds->low != 0) return false;
    for (int64_t i = 0; i < channels(input); ++i) bounds_.push_back({0, input, i, bounds->high});
  }
  join_values(input, output);
  return true;
}

bool ChannelClasses::join_concat(const onnx::NodeProto& node) {
  if (node.op_type() != "Concat" || graph::int_attribute(node, "axis", 1) != 1) return false;
  const std::string& output = node.output(0);
  int64_t total = 0;
  for (const std::string& input : node.input()) {
    if (!first_.contains(input)) return false;
    total += channels(input);
  }
  if (total != channels(output)) return false;
  int64_t next = 0;
  for (const std::string& input : node.input()) {
    for (int64_t i = 0; i < channels(input); ++i) join(element(input, i), element(output, next++));
  }
  return true;
}

}  // namespace narrow::recover
