// Functions of one byte as tables of 256 entries.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "lib/runtime/kernels/affine8.h"

namespace narrow::runtime {

/// y[i] = table[q[i] as its bits]. Tables are indexed by the byte, whatever its sign.
using Table = std::array<Byte, 256>;
void look_up_elements(const Table& table, const Byte* q, Byte* y, size_t count);

/// The same with floats as entries.
class FloatTable {
 public:
  explicit FloatTable(std::span<const float> values);
  void look_up(const Byte* q, float* y, size_t count) const;

 private:
  std::array<float, 256> values_{};
  std::array<Table, sizeof(float)> bytes_{};  // of the values, lowest first
};

}  // namespace narrow::runtime
