#pragma once

#include <cstdint>

#include "lib/quant/quant_type.h"
#include "lib/tensor/data_type.h"

namespace narrow::runtime {

/// Bytes of an int8 or uint8 tensor, as the Affine8 beside it tells.
using Byte = uint8_t;

/// One scale and zero point over int8 or uint8: real = (q - zero_point) * scale.
struct Affine8 {
  float scale = 1;
  int32_t zero_point = 0;
  bool is_signed = false;

  DataType storage() const { return is_signed ? DataType::kInt8 : DataType::kUint8; }
  quant::QuantType type() const { return is_signed ? quant::QuantType::kInt8 : quant::QuantType::kUint8; }
  bool operator==(const Affine8&) const = default;
};

}  // namespace narrow::runtime
