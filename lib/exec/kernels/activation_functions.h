// Functions of one number that several operators apply.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <type_traits>

namespace narrow::exec {

template <class T>
T sigmoid(T x) {
  return T{1} / (T{1} + std::exp(-x));
}

/// x within [-limit, limit], NaN as it is. On integers: loops over comparisons of floats, which may trap, do not
/// vectorize.
inline float clamp_magnitude(float x, float limit) {
  constexpr int32_t kMagnitude = 0x7FFFFFFF;
  constexpr int32_t kInfinity = 0x7F800000;
  const auto bits = std::bit_cast<int32_t>(x);
  const int32_t magnitude = bits & kMagnitude;
  const int32_t least = std::min(magnitude, std::bit_cast<int32_t>(limit));
  return std::bit_cast<float>((magnitude > kInfinity ? magnitude : least) | (bits & ~kMagnitude));
}

/// c[0] + u * (c[1] + u * (...)), each product and sum rounded.
template <size_t kFirst = 0, size_t kCount>
float polynomial(float u, const std::array<float, kCount>& c) {
  if constexpr (kFirst + 1 == kCount) {
    return c[kFirst];
  } else {
    return c[kFirst] + u * polynomial<kFirst + 1>(u, c);
  }
}

/// P, Q and the end of error_function().
inline constexpr std::array kErrorUpper{1.128378987312317F,     0.19193239510059357F,   0.05296562239527702F,
                                        0.0038364562205970287F, 0.0002874393539968878F, 2.0503475752775557e-06F};
inline constexpr std::array kErrorLower{1.0F,
                                        0.5034274458885193F,
                                        0.11475449055433273F,
                                        0.0151083804666996F,
                                        0.0011816162150353193F,
                                        3.822938379016705e-05F};
inline constexpr float kErrorEnd = 3.94F;

/// The error function. Of float32 x P(x^2) / Q(x^2), within 4e-7 of itself: fitted by least squares with weights that
/// even out the largest errors; beyond 3.94 it is 1. A loop over it vectorizes, unlike std::erf, and every CPU gives
/// the same.
template <class T>
T error_function(T x) {
  if constexpr (!std::is_same_v<T, float>) {
    return std::erf(x);
  } else {
    const float y = clamp_magnitude(x, kErrorEnd);
    const float u = y * y;
    return clamp_magnitude(y * polynomial(u, kErrorUpper) / polynomial(u, kErrorLower), 1);
  }
}

/// ln(1 + e^x) without overflow.
template <class T>
T softplus(T x) {
  return std::max(x, T{0}) + std::log1p(std::exp(-std::abs(x)));
}

}  // namespace narrow::exec
