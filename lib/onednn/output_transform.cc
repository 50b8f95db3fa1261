#include "lib/onednn/output_transform.h"

#include <cmath>
#include <limits>

#include "lib/base/error.h"

namespace narrow::onednn {
namespace {

struct Limits {
  float low = 0;
  float high = 0;
};

Limits limits_of(DataType type) {
  if (type == DataType::kUint8) return {0, std::numeric_limits<uint8_t>::max()};
  return {std::numeric_limits<int8_t>::min(), std::numeric_limits<int8_t>::max()};
}

void check_types(OutputTypes types, const std::optional<Requantize>& requantize) {
  const bool integer = types.source == DataType::kUint8 || types.source == DataType::kInt8;
  if (!integer && types.source != DataType::kFloat32) {
    throw Error(ErrorKind::kUnsupported, "source type {}", data_type_name(types.source));
  }
  if (!integer && types.destination != DataType::kFloat32) {
    throw Error(ErrorKind::kUnsupported, "float32 source with {} result", data_type_name(types.destination));
  }
  ensure(integer == requantize.has_value(), "scales go with integer sources, and only with them");
}

std::vector<float> bias_values(const Tensor& bias, int64_t channels) {
  if (!bias.defined()) return {};
  const auto values = bias.data<float>();
  if (bias.size() != channels) {
    throw Error(ErrorKind::kModel, "bias has {} elements for {} channels", bias.size(), channels);
  }
  return {values.begin(), values.end()};
}

// A real bias in steps of the accumulator; a whole number if the bias was made as one, which dequantizing to float32
// and dividing again only nearly gives back.
float accumulator_steps(float bias, double step) {
  const double steps = bias / step;
  const double whole = std::nearbyint(steps);
  const bool is_whole = std::abs(steps - whole) <= std::abs(steps) * 2 * std::numeric_limits<float>::epsilon();
  return static_cast<float>(is_whole ? whole : steps);
}

void fold_destination(const Requantize& requantize, DataType type, OutputTransform& transform) {
  const auto pick = [](const std::vector<float>& values, size_t c) {
    return values.size() == 1 ? values[0] : values[c];
  };
  for (const float scale : requantize.weight_scales) {
    transform.multipliers.push_back(requantize.source_scale * scale / requantize.destination_scale);
  }
  for (size_t c = 0; c < transform.bias.size(); ++c) {
    const float step = requantize.source_scale * pick(requantize.weight_scales, c);
    transform.bias[c] = accumulator_steps(transform.bias[c], step);
  }
  transform.bias_first = !transform.bias.empty();
  transform.destination_zero_point = requantize.destination_zero_point;
  const Limits limits = limits_of(type);
  const auto zero_point = static_cast<float>(requantize.destination_zero_point);
  Clamp& clamp = transform.clamp;
  clamp.low /= requantize.destination_scale;
  clamp.high /= requantize.destination_scale;
  if (clamp.low <= limits.low - zero_point) clamp.low = Clamp{}.low;
  if (clamp.high >= limits.high - zero_point) clamp.high = Clamp{}.high;
}

}  // namespace

OutputTransform make_output_transform(OutputTypes types, const std::optional<Requantize>& requantize,
                                      const Clamp& clamp, const Tensor& bias, int64_t channels) {
  check_types(types, requantize);
  OutputTransform transform;
  transform.bias = bias_values(bias, channels);
  transform.clamp = clamp;
  if (!requantize) return transform;
  transform.source_zero_point = requantize->source_zero_point;
  if (types.destination == DataType::kInt32) {
    ensure(!bias.defined() && clamp == Clamp{}, "a bare accumulator has neither bias nor clamp");
    return transform;
  }
  const size_t scales = requantize->weight_scales.size();
  if (scales != 1 && scales != static_cast<size_t>(channels)) {
    throw Error(ErrorKind::kModel, "{} weight scales for {} channels", scales, channels);
  }
  if (types.destination != DataType::kFloat32) {
    fold_destination(*requantize, types.destination, transform);
  } else {
    for (const float scale : requantize->weight_scales)
      transform.multipliers.push_back(requantize->source_scale * scale);
  }
  return transform;
}

}  // namespace narrow::onednn
