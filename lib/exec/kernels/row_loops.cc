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

// exp(x) = 2^n * exp(r), r in [-ln(2)/2, ln(2)/2], by Taylor's polynomial of degree 7 (error below 1e-8). x <= 0.
HWY_INLINE float power(float x) {
  constexpr float kLog2E = 1.44269504F;
  constexpr float kLn2High = 0.693145752F;  // exact in 15 bits, so that n * kLn2High is exact
  constexpr float kLn2Low = 1.42860677e-6F;
  constexpr float kRound = 12582912.0F;  // 1.5 * 2^23: adding it rounds to an integer
  const float clamped = x < -87.0F ? -87.0F : x;
  const float n = (clamped * kLog2E + kRound) - kRound;
  const float r = (clamped - n * kLn2High) - n * kLn2Low;
  float p = 1.0F / 5040;
  p = p * r + 1.0F / 720;
  p = p * r + 1.0F / 120;
  p = p * r + 1.0F / 24;
  p = p * r + 1.0F / 6;
  p = p * r + 0.5F;
  p = p * r + 1.0F;
  p = p * r + 1.0F;
  const auto exponent = static_cast<int32_t>(n) + 127;
  const float scaled = p * std::bit_cast<float>(exponent << 23);
  return x < -87.0F ? 0.0F : scaled;
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
  float parts[kParts] = {};
  for (i = 0; i + kParts <= count; i += kParts) {
    for (size_t k = 0; k < kParts; ++k) {
      const float p = power(x[i + k] - top);
      y[i + k] = p;
      parts[k] += p;
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
