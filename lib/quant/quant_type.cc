#include "lib/quant/quant_type.h"

#include <algorithm>
#include <array>

#include "lib/base/error.h"
#include "lib/base/suggest.h"

namespace narrow::quant {
namespace {

constexpr std::array kQuantTypes{
    QuantTypeRow{QuantType::kInt8, "int8", DataType::kInt8, -128, 127, true, false, 8, 10, 3},
    QuantTypeRow{QuantType::kUint8, "uint8", DataType::kUint8, 0, 255, false, false, 8, 10, 3},
    QuantTypeRow{QuantType::kInt16, "int16", DataType::kInt16, -32768, 32767, true, false, 16, 21, 10},
    QuantTypeRow{QuantType::kUint16, "uint16", DataType::kUint16, 0, 65535, false, false, 16, 21, 10},
    QuantTypeRow{QuantType::kInt32, "int32", DataType::kInt32, INT32_MIN, INT32_MAX, true, false, 32, 10, 3},
    QuantTypeRow{QuantType::kInt4, "int4", DataType::kInt4, -8, 7, true, false, 4, 21, 10},
    QuantTypeRow{QuantType::kUint4, "uint4", DataType::kUint4, 0, 15, false, false, 4, 21, 10},
    QuantTypeRow{QuantType::kInt2, "int2", DataType::kInt2, -2, 1, true, false, 2, 25, 13},
    QuantTypeRow{QuantType::kUint2, "uint2", DataType::kUint2, 0, 3, false, false, 2, 25, 13},
    QuantTypeRow{QuantType::kFloat8e4m3fn, "float8e4m3fn", DataType::kFloat8e4m3fn, -448, 448, true, true, 8, 19, 9},
    QuantTypeRow{QuantType::kFloat8e5m2, "float8e5m2", DataType::kFloat8e5m2, -57344, 57344, true, true, 8, 19, 9},
    QuantTypeRow{QuantType::kFloat4e2m1, "float4e2m1", DataType::kFloat4e2m1, -6, 6, true, true, 4, 23, 11},
    QuantTypeRow{QuantType::kBinary, "binary", DataType::kInt8, -1, 1, true, true, 1, 10, 3},
    QuantTypeRow{QuantType::kCodebook, "codebook", DataType::kUint8, 0, 255, false, true, 8, 10, 3},
};

}  // namespace

std::span<const QuantTypeRow> quant_types() {
  return kQuantTypes;
}

const QuantTypeRow& row(QuantType type) {
  return *std::find_if(kQuantTypes.begin(), kQuantTypes.end(), [&](const QuantTypeRow& r) { return r.type == type; });
}

std::string_view name(QuantType type) {
  return row(type).name;
}

bool needs_decoder(QuantType type) {
  return type == QuantType::kBinary || type == QuantType::kCodebook;
}

std::vector<std::string> weight_type_names() {
  std::vector<std::string> names;
  for (const QuantTypeRow& r : kQuantTypes) {
    if (r.type != QuantType::kInt32) names.emplace_back(r.name);
  }
  return names;
}

std::vector<std::string> activation_type_names() {
  std::vector<std::string> names = weight_type_names();
  std::erase_if(names, [](const std::string& name) { return needs_decoder(quant_type_from_name(name)); });
  return names;
}

QuantType quant_type_from_name(std::string_view name) {
  std::vector<std::string> names;
  for (const QuantTypeRow& r : kQuantTypes) {
    if (r.name == name) return r.type;
    names.emplace_back(r.name);
  }
  throw Error(ErrorKind::kUsage, "unknown type '{}'{}", name, did_you_mean(name, names));
}

QuantType quant_type_of_storage(DataType storage) {
  for (const QuantTypeRow& r : kQuantTypes) {
    if (r.storage == storage) return r.type;
  }
  throw Error(ErrorKind::kUnsupported, "{} is not a quantized type", data_type_name(storage));
}

IntegerLimits integer_limits(QuantType type, LimitOptions options) {
  const QuantTypeRow& r = row(type);
  IntegerLimits limits{r.qmin, r.qmax};
  if (r.is_float) return limits;
  if (options.reduce_range) {
    limits = {r.qmin / 2, r.qmax / 2};
  } else if (options.symmetric && r.is_signed) {
    limits.qmin = -r.qmax;
  }
  return limits;
}

}  // namespace narrow::quant
