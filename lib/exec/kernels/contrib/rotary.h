// Pairs of elements of a head turned by an angle of their position.
#pragma once

#include <cstdint>

namespace narrow::exec {

/// x, y: a head's first 2 * pairs elements, not the same memory; cosine, sine: of the position. Pairs are neighbours if
/// interleaved, otherwise half the turned elements apart.
template <class T>
void turn_pairs(const T* x, const T* cosine, const T* sine, int64_t pairs, bool interleaved, T* y) {
  for (int64_t i = 0; i < pairs; ++i) {
    const int64_t first = interleaved ? 2 * i : i;
    const int64_t second = interleaved ? 2 * i + 1 : i + pairs;
    y[first] = x[first] * cosine[i] - x[second] * sine[i];
    y[second] = x[first] * sine[i] + x[second] * cosine[i];
  }
}

}  // namespace narrow::exec
