// Quantized number types: THE table. No other file spells 127 or 255.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "lib/tensor/data_type.h"

namespace narrow::quant {

enum class QuantType {
  kInt8,
  kUint8,
  kInt16,
  kUint16,
  kInt32,
  kInt4,
  kUint4,
  kInt2,
  kUint2,
  kFloat8e4m3fn,
  kFloat8e5m2,
  kFloat4e2m1,
  kBinary,    // -1 or 1
  kCodebook,  // a number of an entry in a table of floats
};

struct QuantTypeRow {
  QuantType type;
  std::string_view name;  // as plans, configs and reports spell it
  DataType storage;       // of kBinary and kCodebook in memory; files have 8 and fewer codes to a byte
  int64_t qmin;           // of a floating-point type: the lowest finite value
  int64_t qmax;
  bool is_signed;
  bool is_float;  // codes are no integers to multiply but stand for real numbers: symmetric, zero point 0
  int bits;
  int min_opset;  // first opset whose QuantizeLinear and DequantizeLinear take it
  int min_ir;     // first version of the file format that has it
};

/// First opset, and version of the file format, whose QuantizeLinear and DequantizeLinear know blocks.
inline constexpr int kBlockOpset = 21;
inline constexpr int kBlockIr = 10;

std::span<const QuantTypeRow> quant_types();
const QuantTypeRow& row(QuantType type);
std::string_view name(QuantType type);
/// kBinary and kCodebook: types of weights that ONNX does not have, which operators in the file decode.
bool needs_decoder(QuantType type);
/// Types that weights may have, as configs spell them: all but int32, which is for biases.
std::vector<std::string> weight_type_names();
/// Types that activations may have: those of weights that need no decoder.
std::vector<std::string> activation_type_names();
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
