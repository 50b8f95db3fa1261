#include "lib/exec/kernels/row_loops.h"

#include <algorithm>
#include <bit>
#include <cstdint>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "lib/exec/kernels/row_loops.cc"
#include <hwy/foreach_target.h>
// After foreach_target.
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace narrow::exec::HWY_NAMESPACE {

// Plain loops that the compiler turns into vectors of each instruction set.
constexpr size_t kParts = 16;

namespace hn = hwy::HWY_NAMESPACE;
using FloatTag = hn::CappedTag<float, kParts>;
using IntTag = hn::Rebind<int32_t, FloatTag>;
using FloatVec = hn::Vec<FloatTag>;

// exp(x) = 2^n * exp(r), r in [-ln(2)/2, ln(2)/2], by Taylor's polynomial of degree 7 (error below 1e-8). x <= 0.
HWY_INLINE FloatVec power(FloatVec x) {
  const FloatTag df;
  constexpr float kRound = 12582912.0F;  // 1.5 * 2^23: adding it rounds to an integer
  const FloatVec lowest = hn::Set(df, -87.0F);
  const FloatVec clamped = hn::Max(x, lowest);
  const FloatVec round = hn::Set(df, kRound);
  const FloatVec n = hn::Sub(hn::Add(hn::Mul(clamped, hn::Set(df, 1.44269504F)), round), round);
  // ln(2) in two parts, the first exact in 15 bits, so that its product with n is exact.
  FloatVec r = hn::Sub(clamped, hn::Mul(n, hn::Set(df, 0.693145752F)));
  r = hn::Sub(r, hn::Mul(n, hn::Set(df, 1.42860677e-6F)));
  FloatVec p = hn::Set(df, 1.0F / 5040);
  for (const float term : {1.0F / 720, 1.0F / 120, 1.0F / 24, 1.0F / 6, 0.5F, 1.0F, 1.0F}) {
    p = hn::Add(hn::Mul(p, r), hn::Set(df, term));
  }
  const auto exponent = hn::Add(hn::ConvertTo(IntTag(), n), hn::Set(IntTag(), 127));
  const FloatVec scaled = hn::Mul(p, hn::BitCast(df, hn::ShiftLeft<23>(exponent)));
  return hn::IfThenElse(hn::Lt(x, lowest), hn::Zero(df), scaled);
}

HWY_INLINE float power(float x) {
  const FloatTag df;
  return hn::GetLane(power(hn::Set(df, x)));
}

template <class T>
HWY_INLINE T total(const T* parts) {
  T sum = 0;
  for (size_t i = 0; i < kParts; ++i) sum += parts[i];
  return sum;
}

void softmax_impl(const float* x, float* y, size_t count) {
  float largest[kParts];
  std::fill_n(largest, kParts, x[0]);
  size_t i = 0;
  for (; i + kParts <= count; i += kParts) {
    for (size_t k = 0; k < kParts; ++k) largest[k] = x[i + k] > largest[k] ? x[i + k] : largest[k];
  }
  for (; i < count; ++i) largest[0] = std::max(largest[0], x[i]);
  float top = largest[0];
  for (const float part : largest) top = std::max(top, part);
  const FloatTag df;
  const size_t lanes = hn::Lanes(df);
  HWY_ALIGN float parts[kParts] = {};
  for (i = 0; i + kParts <= count; i += kParts) {
    for (size_t k = 0; k < kParts; k += lanes) {
      const FloatVec p = power(hn::Sub(hn::LoadU(df, x + i + k), hn::Set(df, top)));
      hn::StoreU(p, df, y + i + k);
      hn::Store(hn::Add(hn::Load(df, parts + k), p), df, parts + k);
    }
  }
  for (; i < count; ++i) parts[0] += y[i] = power(x[i] - top);
  const float sum = total(parts);
  for (i = 0; i < count; ++i) y[i] /= sum;
}

void moments_impl(const float* x, size_t count, bool centred, RowMoments& moments) {
  double mean = 0;
  size_t i = 0;
  if (centred) {
    double sums[kParts] = {};
    for (; i + kParts <= count; i += kParts) {
      for (size_t k = 0; k < kParts; ++k) sums[k] += static_cast<double>(x[i + k]);
    }
    for (; i < count; ++i) sums[0] += static_cast<double>(x[i]);
    mean = total(sums) / static_cast<double>(count);
  }
  double squares[kParts] = {};
  for (i = 0; i + kParts <= count; i += kParts) {
    for (size_t k = 0; k < kParts; ++k) {
      const double difference = static_cast<double>(x[i + k]) - mean;
      squares[k] += difference * difference;
    }
  }
  for (; i < count; ++i) {
    const double difference = static_cast<double>(x[i]) - mean;
    squares[0] += difference * difference;
  }
  moments = {mean, total(squares) / static_cast<double>(count)};
}

void normalize_impl(const float* x, double mean, double factor, const float* scale, const float* shift, float* y,
                    size_t count) {
  if (shift == nullptr) {
    for (size_t i = 0; i < count; ++i)
      y[i] = static_cast<float>((static_cast<double>(x[i]) - mean) * factor) * scale[i];
  } else {
    for (size_t i = 0; i < count; ++i)
      y[i] = static_cast<float>((static_cast<double>(x[i]) - mean) * factor) * scale[i] + shift[i];
  }
}

}  // namespace narrow::exec::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace narrow::exec {

HWY_EXPORT(softmax_impl);
HWY_EXPORT(moments_impl);
HWY_EXPORT(normalize_impl);

void softmax_row(const float* x, float* y, size_t count) {
  if (count > 0) HWY_DYNAMIC_DISPATCH(softmax_impl)(x, y, count);
}

RowMoments row_moments(const float* x, size_t count, bool centred) {
  RowMoments moments;
  if (count > 0) HWY_DYNAMIC_DISPATCH(moments_impl)(x, count, centred, moments);
  return moments;
}

void normalize_row(const float* x, double mean, double factor, const float* scale, const float* shift, float* y,
                   size_t count) {
  HWY_DYNAMIC_DISPATCH(normalize_impl)(x, mean, factor, scale, shift, y, count);
}

}  // namespace narrow::exec
#endif  // HWY_ONCE
