#include "lib/onednn/output_transform.h"

#include <limits>

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

void fold_destination(const Requantize& requantize, DataType type, size_t channels, OutputTransform& transform) {
  const double scale = requantize.destination_scale;
  const double zero_point = requantize.destination_zero_point;
  if (transform.bias.empty() && zero_point != 0) transform.bias.assign(channels, 0.0F);
  for (float& value : transform.bias) value = static_cast<float>(value / scale + zero_point);
  const Limits limits = limits_of(type);
  Clamp& clamp = transform.clamp;
  clamp.low = static_cast<float>(clamp.low / scale + zero_point);
  clamp.high = static_cast<float>(clamp.high / scale + zero_point);
  if (clamp.low <= limits.low) clamp.low = Clamp{}.low;
  if (clamp.high >= limits.high) clamp.high = Clamp{}.high;
}

}  // namespace

OutputTransform make_output_transform(OutputTypes types, const std::optional<Requantize>& requantize,
                                      const Clamp& clamp, const Tensor& bias, int64_t channels) {
  check_types(types, requantize);
  OutputTransform transform{
      .multipliers = {}, .bias = bias_values(bias, channels), .clamp = clamp, .source_zero_point = 0};
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
  const bool to_integer = types.destination != DataType::kFloat32;
  const double divisor = to_integer ? requantize->destination_scale : 1.0;
  for (const float scale : requantize->weight_scales) {
    transform.multipliers.push_back(static_cast<float>(double{requantize->source_scale} * scale / divisor));
  }
  if (to_integer) fold_destination(*requantize, types.destination, static_cast<size_t>(channels), transform);
  return transform;
}

void append_clamp(const Clamp& clamp, dnnl::post_ops& operations) {
  if (clamp == Clamp{}) return;
  if (clamp.low == 0 && clamp.high == Clamp{}.high) {
    operations.append_eltwise(dnnl::algorithm::eltwise_relu, 0.0F, 0.0F);
  } else {
    // oneDNN wants finite ends.
    const float low = std::max(clamp.low, std::numeric_limits<float>::lowest());
    const float high = std::min(clamp.high, std::numeric_limits<float>::max());
    operations.append_eltwise(dnnl::algorithm::eltwise_clip, low, high);
  }
}

}  // namespace narrow::onednn
