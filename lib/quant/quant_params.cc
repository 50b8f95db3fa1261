#include "lib/quant/quant_params.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "lib/base/error.h"

namespace narrow::quant {
namespace {

/// How a plain tensor splits around an axis: index = (outer * channels + channel) * inner + i.
struct AxisSplit {
  int64_t outer = 1;
  int64_t channels = 1;
  int64_t inner = 1;
};

AxisSplit split_at(const Shape& shape, std::optional<int64_t> axis) {
  AxisSplit split;
  if (!axis) {
    split.inner = element_count(shape);
    return split;
  }
  const auto at = static_cast<size_t>(normalize_axis(*axis, shape.size()));
  for (size_t i = 0; i < shape.size(); ++i) (i < at ? split.outer : i == at ? split.channels : split.inner) *= shape[i];
  return split;
}

template <class Body>  // body(channel, begin, end) over runs of elements that share a channel
void for_each_run(const AxisSplit& split, Body body) {
  for (int64_t outer = 0; outer < split.outer; ++outer) {
    for (int64_t channel = 0; channel < split.channels; ++channel) {
      const int64_t begin = (outer * split.channels + channel) * split.inner;
      body(static_cast<size_t>(channel), static_cast<size_t>(begin), static_cast<size_t>(begin + split.inner));
    }
  }
}

void check_params(const AxisSplit& split, const QuantParams& params) {
  const auto channels = static_cast<size_t>(params.axis ? split.channels : 1);
  ensure(params.scales.size() == channels && params.zero_points.size() == channels,
         "as many scales and zero points as channels");
}

template <class Q>
void quantize_into(const Tensor& real, const QuantParams& params, const AxisSplit& split, Tensor& result) {
  const auto source = real.data<float>();
  const auto target = result.mutable_data<Q>();
  for_each_run(split, [&](size_t channel, size_t begin, size_t end) {
    const float scale = params.scales[channel];
    const int32_t zero_point = params.zero_points[channel];
    for (size_t i = begin; i < end; ++i) {
      target[i] = static_cast<Q>(quantize_value(source[i], scale, zero_point, params.type));
    }
  });
}

template <class Q>
void dequantize_into(const Tensor& quantized, const QuantParams& params, const AxisSplit& split, Tensor& result) {
  const auto source = quantized.data<Q>();
  const auto target = result.mutable_data<float>();
  for_each_run(split, [&](size_t channel, size_t begin, size_t end) {
    const float scale = params.scales[channel];
    const int32_t zero_point = params.zero_points[channel];
    for (size_t i = begin; i < end; ++i)
      target[i] = dequantize_value(static_cast<int32_t>(source[i]), scale, zero_point);
  });
}

template <class Call>
void dispatch(QuantType type, Call call) {
  switch (type) {
    case QuantType::kInt8:
      return call(int8_t{});
    case QuantType::kUint8:
      return call(uint8_t{});
    case QuantType::kInt16:
      return call(int16_t{});
    case QuantType::kUint16:
      return call(uint16_t{});
    case QuantType::kInt32:
      return call(int32_t{});
  }
}

}  // namespace

ScaleZeroPoint choose_params(Range range, Scheme scheme) {
  ensure(std::isfinite(range.rmin) && std::isfinite(range.rmax), "a range is finite");
  const IntegerLimits limits =
      integer_limits(scheme.type, {.symmetric = scheme.symmetric, .reduce_range = scheme.reduce_range});
  // float64 keeps rmax - rmin from overflowing and the division exact enough for one rounding to float32.
  const double rmin = std::min(range.rmin, 0.0F);
  const double rmax = std::max(range.rmax, 0.0F);
  const auto centre = static_cast<int32_t>(row(scheme.type).is_signed ? 0 : (limits.qmax + 1) / 2);
  const double width = scheme.symmetric ? std::max(-rmin, rmax) : rmax - rmin;
  const double steps =
      scheme.symmetric ? static_cast<double>(limits.qmax - centre) : static_cast<double>(limits.qmax - limits.qmin);
  const auto scale = static_cast<float>(width / steps);
  const bool usable = scale >= std::numeric_limits<float>::min();
  if (scheme.symmetric) return {usable ? scale : 1.0F, centre};
  if (!usable) return {1.0F, static_cast<int32_t>(limits.qmin)};
  const double zero_point = std::nearbyint(static_cast<double>(limits.qmin) - rmin / static_cast<double>(scale));
  return {scale, static_cast<int32_t>(
                     std::clamp(zero_point, static_cast<double>(limits.qmin), static_cast<double>(limits.qmax)))};
}

int32_t quantize_value(float x, float scale, int32_t zero_point, QuantType type) {
  const QuantTypeRow& limits = row(type);
  if (std::isnan(x)) return zero_point;
  const double q = static_cast<double>(std::nearbyintf(x / scale)) + zero_point;
  return static_cast<int32_t>(std::clamp(q, static_cast<double>(limits.qmin), static_cast<double>(limits.qmax)));
}

Tensor quantize(const Tensor& real, const QuantParams& params) {
  ensure(real.layout() == Layout::kPlain || !params.axis, "per-channel parameters need the plain layout");
  const AxisSplit split = split_at(real.shape(), params.axis);
  check_params(split, params);
  Tensor result(row(params.type).storage, real.shape(), real.layout());
  dispatch(params.type, [&](auto sample) { quantize_into<decltype(sample)>(real, params, split, result); });
  return result;
}

Tensor dequantize(const Tensor& quantized, const QuantParams& params) {
  ensure(quantized.layout() == Layout::kPlain || !params.axis, "per-channel parameters need the plain layout");
  const AxisSplit split = split_at(quantized.shape(), params.axis);
  check_params(split, params);
  Tensor result(DataType::kFloat32, quantized.shape(), quantized.layout());
  dispatch(params.type, [&](auto sample) { dequantize_into<decltype(sample)>(quantized, params, split, result); });
  return result;
}

QuantParams choose_weight_params(const Tensor& weight, Scheme scheme, std::optional<int64_t> axis) {
  const AxisSplit split = split_at(weight.shape(), axis);
  std::vector<Range> ranges(static_cast<size_t>(split.channels));
  const auto values = weight.data<float>();
  for_each_run(split, [&](size_t channel, size_t begin, size_t end) {
    Range& range = ranges[channel];
    for (size_t i = begin; i < end; ++i) {
      range.rmin = std::min(range.rmin, values[i]);
      range.rmax = std::max(range.rmax, values[i]);
    }
  });
  QuantParams params{.type = scheme.type, .axis = axis, .scales = {}, .zero_points = {}};
  for (const Range& range : ranges) {
    const ScaleZeroPoint chosen = choose_params(range, scheme);
    params.scales.push_back(chosen.scale);
    params.zero_points.push_back(chosen.zero_point);
  }
  return params;
}

}  // namespace narrow::quant
