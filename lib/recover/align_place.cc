#include "lib/recover/align_place.h"

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "lib/graph/attributes.h"

namespace narrow::recover {
namespace {

constexpr int kBias = 2;

/// The axis of a model input that axis 1 of `value` is; nullopt where others than transpositions lie between.
std::optional<std::pair<std::string, size_t>> trace(const graph::GraphIndex& index, std::string value) {
  size_t axis = 1;
  while (!index.is_input(value)) {
    const onnx::NodeProto* producer = index.producer(value);
    if (producer == nullptr || producer->op_type() != "Transpose") return std::nullopt;
    const std::vector<int64_t> order = graph::ints_attribute(*producer, "perm");
    if (axis >= order.size()) return std::nullopt;
    axis = static_cast<size_t>(order[axis]);
    value = producer->input(0);
  }
  return std::pair(value, axis);
}

bool has_padding(const onnx::NodeProto& convolution) {
  if (graph::string_attribute(convolution, "auto_pad", "NOTSET").starts_with("SAME")) return true;
  const std::vector<int64_t> pads = graph::ints_attribute(convolution, "pads");
  return std::any_of(pads.begin(), pads.end(), [](int64_t pad) { return pad != 0; });
}

bool is_off_grid(float shift, float scale) {
  return std::abs(shift) > (0.5F + static_cast<float>(kNegligible)) * scale;
}

}  // namespace

std::optional<Place> place_of(const graph::GraphIndex& index, const std::string& value) {
  const auto uses = index.uses(value);
  if (uses.size() != 1 || uses[0].input != 0 || index.is_output(value)) return std::nullopt;
  const onnx::NodeProto& node = *uses[0].node;
  if (node.op_type() != "Conv" || graph::int_attribute(node, "group", 1) != 1) return std::nullopt;
  const onnx::TensorProto* weight = index.initializer(node.input(1));
  const bool has_bias = node.input_size() > kBias && !node.input(kBias).empty();
  if (weight == nullptr || weight->dims_size() < 3 || (has_bias && index.initializer(node.input(kBias)) == nullptr) ||
      static_cast<DataType>(weight->data_type()) != DataType::kFloat32) {
    return std::nullopt;
  }
  const auto traced = trace(index, value);
  if (!traced) return std::nullopt;
  return Place{
      .convolution = &node, .input = traced->first, .channel_axis = traced->second, .channels = weight->dims(1)};
}

bool needs_pad(const onnx::NodeProto& convolution, const plan::AlignedInput& input) {
  return has_padding(convolution) && std::any_of(input.shifts.begin(), input.shifts.end(),
                                                 [&](float shift) { return is_off_grid(shift, input.scale); });
}

bool can_pad(const onnx::NodeProto& convolution, const plan::AlignedInput& input) {
  if (!needs_pad(convolution, input)) return true;
  const std::string mode = graph::string_attribute(convolution, "auto_pad", "NOTSET");
  return (mode == "NOTSET" || mode.empty()) && std::all_of(input.shifts.begin(), input.shifts.end(), [&](float shift) {
           const double zero = input.zero_point + static_cast<double>(shift) / static_cast<double>(input.scale);
           return zero > -0.5 && zero < kLastLevel + 0.5;
         });
}

std::string aligned_name(const std::string& value) {
  return value + "_aligned";
}

}  // namespace narrow::recover
