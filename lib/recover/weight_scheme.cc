#include "lib/recover/weight_scheme.h"

#include <algorithm>

namespace narrow::recover {

quant::Scheme weight_scheme(const Tensor& weight, const quant::QuantParams& params) {
  const quant::QuantTypeRow& row = quant::row(params.type);
  quant::Scheme scheme{.type = params.type, .symmetric = true};
  if (row.bits <= 4) scheme.fit = quant::WeightFit::kSquaredError;
  if (row.is_float) return scheme;
  const auto centre = static_cast<int32_t>(row.is_signed ? 0 : (row.qmax + 1) / 2);
  const auto& zeros = params.zero_points;
  scheme.symmetric = std::all_of(zeros.begin(), zeros.end(), [&](int32_t zero) { return zero == centre; });
  const Tensor integers = to_float32(quant::quantize(weight, params));
  const auto values = integers.data<float>();
  const auto [low, high] = std::minmax_element(values.begin(), values.end());
  const quant::IntegerLimits half =
      quant::integer_limits(params.type, {.symmetric = scheme.symmetric, .reduce_range = true});
  scheme.reduce_range = *low >= static_cast<float>(half.qmin) && *high <= static_cast<float>(half.qmax);
  return scheme;
}

}  // namespace narrow::recover
