// Quantized number types: THE table. No other file spells 127 or 255.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "lib/tensor/data_type.h"

namespace narrow::quant {

enum class QuantType { kInt8, kUint8, kInt16, kUint16, kInt32 };

struct QuantTypeRow {
  QuantType type;
  std::string_view name;  // as plans, configs and reports spell it
  DataType storage;
  int64_t qmin;
  int64_t qmax;
  bool is_signed;
  int bits;
  int min_opset;  // first opset whose QuantizeLinear and DequantizeLinear take it
};

std::span<const QuantTypeRow> quant_types();
const QuantTypeRow& row(QuantType type);
std::string_view name(QuantType type);
/// Throws Error(kUsage) with a suggestion for an unknown name.
QuantType quant_type_from_name(std::string_view name);
/// The type stored as `storage`; throws Error(kUnsupported) if there is none.
QuantType quant_type_of_storage(DataType storage);

/// The integers a scheme uses of a type.
struct IntegerLimits {
  int64_t qmin = 0;
  int64_t qmax = 0;
};

/// Symmetric signed types leave out qmin, so that -x and x have the same step ([-127, 127]); reduce_range takes one
/// bit less (int8 [-64, 63], uint8 [0, 127]); otherwise the whole type.
struct LimitOptions {
  bool symmetric = false;
  bool reduce_range = false;
};
IntegerLimits integer_limits(QuantType type, LimitOptions options);

}  // namespace narrow::quant
