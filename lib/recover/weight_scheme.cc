#include "lib/recover/weight_scheme.h"

#include <algorithm>

namespace narrow::recover {

namespace {

/// The lowest and the highest integer that nearest rounding uses.
quant::IntegerLimits used_integers(const Tensor& weight, const quant::QuantParams& params) {
  const Tensor integers = to_float32(quant::quantize(weight, params));
  const auto values = integers.data<float>();
  const auto [low, high] = std::minmax_element(values.begin(), values.end());
  return {.qmin = static_cast<int64_t>(*low), .qmax = static_cast<int64_t>(*high)};
}

/// Of parameters with which nearest rounding uses these integers.
quant::Scheme scheme_of(const quant::IntegerLimits& used, const quant::QuantParams& params) {
  const quant::QuantTypeRow& row = quant::row(params.type);
  quant::Scheme scheme{.type = params.type, .symmetric = true};
  if (row.bits <= 4) scheme.fit = quant::WeightFit::kSquaredError;
  if (row.is_float) return scheme;
  const auto centre = static_cast<int32_t>(row.is_signed ? 0 : (row.qmax + 1) / 2);
  const auto& zeros = params.zero_points;
  scheme.symmetric = std::all_of(zeros.begin(), zeros.end(), [&](int32_t zero) { return zero == centre; });
  const quant::IntegerLimits half =
      quant::integer_limits(params.type, {.symmetric = scheme.symmetric, .reduce_range = true});
  scheme.reduce_range = used.qmin >= half.qmin && used.qmax <= half.qmax;
  return scheme;
}

}  // namespace

quant::Scheme weight_scheme(const Tensor& weight, const quant::QuantParams& params) {
  const bool of_integers = !quant::row(params.type).is_float;
  return scheme_of(of_integers ? used_integers(weight, params) : quant::IntegerLimits{}, params);
}

quant::IntegerLimits weight_limits(const Tensor& weight, const quant::QuantParams& params) {
  const quant::IntegerLimits used = used_integers(weight, params);
  const quant::Scheme scheme = scheme_of(used, params);
  const quant::IntegerLimits limits =
      quant::integer_limits(scheme.type, {.symmetric = scheme.symmetric, .reduce_range = scheme.reduce_range});
  return {.qmin = std::min(limits.qmin, used.qmin), .qmax = std::max(limits.qmax, used.qmax)};
}

}  // namespace narrow::recover
