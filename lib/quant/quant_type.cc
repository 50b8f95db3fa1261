#include "lib/quant/quant_type.h"

#include <algorithm>
#include <array>

#include "lib/base/error.h"
#include "lib/base/suggest.h"

namespace narrow::quant {
namespace {

constexpr std::array kQuantTypes{
    QuantTypeRow{QuantType::kInt8, "int8", DataType::kInt8, -128, 127, true, 8, 10},
    QuantTypeRow{QuantType::kUint8, "uint8", DataType::kUint8, 0, 255, false, 8, 10},
    QuantTypeRow{QuantType::kInt16, "int16", DataType::kInt16, -32768, 32767, true, 16, 21},
    QuantTypeRow{QuantType::kUint16, "uint16", DataType::kUint16, 0, 65535, false, 16, 21},
    QuantTypeRow{QuantType::kInt32, "int32", DataType::kInt32, INT32_MIN, INT32_MAX, true, 32, 10},
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
  if (options.reduce_range) {
    limits = {r.qmin / 2, r.qmax / 2};
  } else if (options.symmetric && r.is_signed) {
    limits.qmin = -r.qmax;
  }
  return limits;
}

}  // namespace narrow::quant
