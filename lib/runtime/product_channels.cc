#include "lib/runtime/product_channels.h"

#include <algorithm>
#include <cmath>

#include "lib/exec/window.h"

namespace narrow::runtime {
namespace {

// The least step of a sum that a bias is divided by: a channel that is multiplied by nothing is its bias alone, and any
// sum times such a step vanishes beside it.
constexpr double kLeastStep = 1e-25;

double with_least_magnitude(double value, double least) {
  if (std::abs(value) >= least) return value;
  return std::signbit(value) ? -least : least;
}

void spread(std::vector<float>& values, size_t count) {
  if (values.size() == 1) values.assign(count, values.front());
}

template <class Value>
bool all_equal(const std::vector<Value>& values) {
  return std::adjacent_find(values.begin(), values.end(), std::not_equal_to<>()) == values.end();
}

}  // namespace

std::optional<GroupwiseSource> groupwise_source(const LowerContext& context, const onnx::NodeProto& convolution,
                                                const Shape& weights) {
  const Quantized* source = context.quant.source(convolution.input(0));
  if (source == nullptr || source->params.axis != 1) return std::nullopt;
  const quant::QuantParams& params = source->params;
  const bool bytes = params.type == quant::QuantType::kInt8 || params.type == quant::QuantType::kUint8;
  const auto groups = static_cast<size_t>(exec::group_count(convolution, weights));
  const auto outputs = static_cast<size_t>(weights[0]);
  const auto channels = static_cast<size_t>(weights[1]);  // of one group
  const bool fits = params.scales.size() == groups * channels;
  if (!bytes || !fits || !all_equal(params.zero_points)) return std::nullopt;
  GroupwiseSource result{.source = source, .scales = {}};
  for (size_t group = 0; group < groups; ++group) {
    const auto first = params.scales.begin() + static_cast<std::ptrdiff_t>(group * channels);
    if (!std::all_of(first, first + static_cast<std::ptrdiff_t>(channels), [&](float s) { return s == *first; })) {
      return std::nullopt;
    }
    result.scales.insert(result.scales.end(), outputs / groups, *first);
  }
  return result;
}

void scale_weights(const GroupwiseSource& source, onednn::Requantize& requantize) {
  requantize.source_scale = 1;
  spread(requantize.weight_scales, source.scales.size());
  for (size_t c = 0; c < source.scales.size(); ++c) {
    requantize.weight_scales[c] = source.scales[c] * requantize.weight_scales[c];
  }
}

void fold_linear(const LowerContext& context, const GroupEnd& end, int64_t channels, ProductGroup& product) {
  if (end.linear.empty()) return;
  const exec::FindConstant find = [&](const std::string& value) { return context.constant(value); };
  const auto count = static_cast<size_t>(channels);
  auto [factors, bias] = exec::fold_channels(end.linear, find, product.bias, count);
  product.bias = std::move(bias);
  if (std::all_of(factors.begin(), factors.end(), [](double factor) { return factor == 1; })) return;
  std::vector<float>& scales = product.requantize.weight_scales;
  spread(scales, count);
  const double least = kLeastStep / static_cast<double>(product.requantize.source_scale);
  for (size_t c = 0; c < count; ++c) {
    scales[c] = static_cast<float>(with_least_magnitude(static_cast<double>(scales[c]) * factors[c], least));
  }
}

}  // namespace narrow::runtime
