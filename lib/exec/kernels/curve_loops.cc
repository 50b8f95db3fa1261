#include "lib/exec/kernels/curve_loops.h"

#include <array>
#include <cstdint>
#include <numbers>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "lib/exec/kernels/curve_loops.cc"
#include <hwy/foreach_target.h>
// After foreach_target.
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace narrow::exec::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

using FloatTag = hn::ScalableTag<float>;
using IntTag = hn::RebindToSigned<FloatTag>;
using FloatVec = hn::Vec<FloatTag>;
using IntVec = hn::Vec<IntTag>;

HWY_INLINE FloatVec number(float x) {
  return hn::Set(FloatTag(), x);
}

// x within [low, high]; NaN becomes one of them.
HWY_INLINE FloatVec between(FloatVec x, float low, float high) {
  return hn::Min(hn::Max(x, number(low)), number(high));
}

// c[0] + u * (c[1] + u * (...)), each product and sum rounded.
template <size_t kCount>
HWY_INLINE FloatVec polynomial(FloatVec u, const std::array<float, kCount>& c) {
  FloatVec sum = number(c[kCount - 1]);
  for (size_t i = kCount - 1; i-- > 0;) sum = hn::Add(number(c[i]), hn::Mul(u, sum));
  return sum;
}

// ln(2) in two parts; multiples of the first by the exponents of float32 are exact.
constexpr float kLn2High = 0.693145752F;
constexpr float kLn2Low = 1.42860677e-6F;

// 2^n * e^r, r in [-ln(2)/2, ln(2)/2], by Taylor's polynomial of degree 7 (error below 1e-8). 2^n as two factors, so
// that neither overflows and numbers below the smallest normal one are rounded once.
HWY_INLINE FloatVec exponential(FloatVec x) {
  const FloatTag df;
  const IntTag di;
  constexpr std::array kTerms{1.0F, 1.0F, 0.5F, 1.0F / 6, 1.0F / 24, 1.0F / 120, 1.0F / 720, 1.0F / 5040};
  const FloatVec round = number(12582912.0F);  // 1.5 * 2^23: adding it rounds to an integer
  const FloatVec clamped = between(x, -105.0F, 89.0F);
  const FloatVec n = hn::Sub(hn::Add(hn::Mul(clamped, number(std::numbers::log2e_v<float>)), round), round);
  const FloatVec r = hn::Sub(hn::Sub(clamped, hn::Mul(n, number(kLn2High))), hn::Mul(n, number(kLn2Low)));
  const IntVec exponent = hn::ConvertTo(di, n);
  const IntVec half = hn::ShiftRight<1>(exponent);
  const auto power_of_two = [&](IntVec e) { return hn::BitCast(df, hn::ShiftLeft<23>(hn::Add(e, hn::Set(di, 127)))); };
  const FloatVec scaled =
      hn::Mul(hn::Mul(polynomial(r, kTerms), power_of_two(half)), power_of_two(hn::Sub(exponent, half)));
  return hn::IfThenElse(hn::IsNaN(x), x, scaled);
}

HWY_INLINE FloatVec sigmoid(FloatVec x) {
  const FloatVec one = number(1.0F);
  return hn::Div(one, hn::Add(one, exponential(hn::Neg(x))));
}

// Below 0.625 x + x^3 P(x^2), P fitted to the largest relative error (2e-10); above 1 - 2 / (e^(2|x|) + 1).
HWY_INLINE FloatVec hyperbolic_tangent(FloatVec x) {
  constexpr std::array kTerms{-0.3333333134651184F,  0.1333320587873459F,    -0.053946759551763535F,
                              0.021700682118535042F, -0.008177350275218487F, 0.0021429210901260376F};
  const FloatVec magnitude = hn::Abs(x);
  const FloatVec u = hn::Mul(x, x);
  const FloatVec near = hn::Add(x, hn::Mul(hn::Mul(x, u), polynomial(u, kTerms)));
  const FloatVec one = number(1.0F);
  const FloatVec grown = hn::Add(exponential(hn::Add(magnitude, magnitude)), one);
  const FloatVec far = hn::Sub(one, hn::Div(number(2.0F), grown));
  return hn::CopySign(hn::IfThenElse(hn::Lt(magnitude, number(0.625F)), near, far), x);
}

// x P(x^2) / Q(x^2), fitted by least squares with weights that even out the largest errors; beyond 3.94 it is 1.
HWY_INLINE FloatVec error_function(FloatVec x) {
  constexpr std::array kUpper{1.128378987312317F,     0.19193239510059357F,   0.05296562239527702F,
                              0.0038364562205970287F, 0.0002874393539968878F, 2.0503475752775557e-06F};
  constexpr std::array kLower{1.0F,
                              0.5034274458885193F,
                              0.11475449055433273F,
                              0.0151083804666996F,
                              0.0011816162150353193F,
                              3.822938379016705e-05F};
  const FloatVec y = between(x, -3.94F, 3.94F);
  const FloatVec u = hn::Mul(y, y);
  const FloatVec ratio = hn::Div(hn::Mul(y, polynomial(u, kUpper)), polynomial(u, kLower));
  return hn::IfThenElse(hn::IsNaN(x), x, between(ratio, -1.0F, 1.0F));
}

// 2 s (1 + s^2/3 + s^4/5 + ...) = ln((1 + s) / (1 - s)), |s| <= 1/3: the first term left out is below 2e-9 of the sum.
HWY_INLINE FloatVec log_of_ratio(FloatVec s) {
  constexpr std::array kTerms{1.0F, 1.0F / 3, 1.0F / 5, 1.0F / 7, 1.0F / 9, 1.0F / 11, 1.0F / 13, 1.0F / 15};
  return hn::Mul(hn::Add(s, s), polynomial(hn::Mul(s, s), kTerms));
}

// ln(2^n * m), m in [sqrt(1/2), sqrt(2)).
HWY_INLINE FloatVec logarithm(FloatVec x) {
  const FloatTag df;
  const IntTag di;
  constexpr int32_t kSqrtHalf = 0x3F3504F3;
  const auto tiny = hn::Lt(x, number(1.17549435e-38F));  // 2^24 times it is normal
  const IntVec bits = hn::BitCast(di, hn::IfThenElse(tiny, hn::Mul(x, number(16777216.0F)), x));
  const IntVec exponent = hn::ShiftRight<23>(hn::Sub(bits, hn::Set(di, kSqrtHalf)));
  const FloatVec m = hn::BitCast(df, hn::Sub(bits, hn::ShiftLeft<23>(exponent)));
  const FloatVec n = hn::Sub(hn::ConvertTo(df, exponent), hn::IfThenElseZero(tiny, number(24.0F)));
  const FloatVec one = number(1.0F);
  const FloatVec s = hn::Div(hn::Sub(m, one), hn::Add(m, one));
  const FloatVec sum = hn::Add(hn::Mul(n, number(kLn2High)), hn::Add(log_of_ratio(s), hn::Mul(n, number(kLn2Low))));
  const FloatVec infinity = hn::Inf(df);
  const FloatVec zero = hn::Zero(df);
  const FloatVec positive = hn::IfThenElse(hn::Eq(x, infinity), infinity, sum);
  const FloatVec not_positive = hn::IfThenElse(hn::Eq(x, zero), hn::Neg(infinity), hn::NaN(df));
  return hn::IfThenElse(hn::Gt(x, zero), positive, not_positive);
}

// max(x, 0) + ln(1 + u), u = e^-|x|, where 1 + u = (1 + s) / (1 - s).
HWY_INLINE FloatVec softplus(FloatVec x) {
  const FloatTag df;
  const FloatVec u = exponential(hn::Neg(hn::Abs(x)));
  const FloatVec rest = log_of_ratio(hn::Div(u, hn::Add(u, number(2.0F))));
  return hn::IfThenElse(hn::IsNaN(x), x, hn::Add(hn::Max(x, hn::Zero(df)), rest));
}

// tanh(ln(1 + w)) = w (w + 2) / (w (w + 2) + 2), w = e^x; beyond 20 it is 1.
HWY_INLINE FloatVec mish(FloatVec x) {
  const FloatVec w = exponential(hn::Min(x, number(20.0F)));
  const FloatVec t = hn::Mul(w, hn::Add(w, number(2.0F)));
  return hn::Mul(x, hn::Div(t, hn::Add(t, number(2.0F))));
}

HWY_INLINE FloatVec half_plus(FloatVec x, FloatVec gate) {
  return hn::Mul(hn::Mul(number(0.5F), x), hn::Add(number(1.0F), gate));
}

HWY_INLINE FloatVec gelu(FloatVec x) {
  return half_plus(x, error_function(hn::Mul(x, number(static_cast<float>(std::numbers::sqrt2 / 2)))));
}

HWY_INLINE FloatVec gelu_tanh(FloatVec x) {
  constexpr float kFactor = 0.79788456080286535588F;  // sqrt(2 / pi)
  const FloatVec cube = hn::Mul(hn::Mul(hn::Mul(number(0.044715F), x), x), x);
  return half_plus(x, hyperbolic_tangent(hn::Mul(number(kFactor), hn::Add(x, cube))));
}

template <class Function>
HWY_INLINE void map(const Function& function, const float* x, float* y, size_t count) {
  const FloatTag df;
  const size_t lanes = hn::Lanes(df);
  size_t i = 0;
  for (; i + lanes <= count; i += lanes) hn::StoreU(function(hn::LoadU(df, x + i)), df, y + i);
  if (i == count) return;
  HWY_ALIGN float rest[HWY_MAX_BYTES / sizeof(float)] = {};
  for (size_t k = i; k < count; ++k) rest[k - i] = x[k];
  hn::Store(function(hn::Load(df, rest)), df, rest);
  for (size_t k = i; k < count; ++k) y[k] = rest[k - i];
}

void map_impl(Curve curve, const float* x, float* y, size_t count) {
  switch (curve) {
    case Curve::kErf:
      return map([](FloatVec v) HWY_ATTR { return error_function(v); }, x, y, count);
    case Curve::kExp:
      return map([](FloatVec v) HWY_ATTR { return exponential(v); }, x, y, count);
    case Curve::kGelu:
      return map([](FloatVec v) HWY_ATTR { return gelu(v); }, x, y, count);
    case Curve::kGeluTanh:
      return map([](FloatVec v) HWY_ATTR { return gelu_tanh(v); }, x, y, count);
    case Curve::kLog:
      return map([](FloatVec v) HWY_ATTR { return logarithm(v); }, x, y, count);
    case Curve::kMish:
      return map([](FloatVec v) HWY_ATTR { return mish(v); }, x, y, count);
    case Curve::kSigmoid:
      return map([](FloatVec v) HWY_ATTR { return sigmoid(v); }, x, y, count);
    case Curve::kSoftplus:
      return map([](FloatVec v) HWY_ATTR { return softplus(v); }, x, y, count);
    case Curve::kTanh:
      return map([](FloatVec v) HWY_ATTR { return hyperbolic_tangent(v); }, x, y, count);
  }
}

}  // namespace narrow::exec::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace narrow::exec {

HWY_EXPORT(map_impl);

void map_curve(Curve curve, const float* x, float* y, size_t count) {
  HWY_DYNAMIC_DISPATCH(map_impl)(curve, x, y, count);
}

}  // namespace narrow::exec
#endif  // HWY_ONCE
