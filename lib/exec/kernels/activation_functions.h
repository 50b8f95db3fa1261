// Functions of one number that several operators apply; curve_loops.h has them for float32 in vectors.
#pragma once

#include <algorithm>
#include <cmath>

namespace narrow::exec {

template <class T>
T sigmoid(T x) {
  return T{1} / (T{1} + std::exp(-x));
}

/// ln(1 + e^x) without overflow.
template <class T>
T softplus(T x) {
  return std::max(x, T{0}) + std::log1p(std::exp(-std::abs(x)));
}

}  // namespace narrow::exec
