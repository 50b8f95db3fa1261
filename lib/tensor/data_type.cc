#include "lib/tensor/data_type.h"

#include <algorithm>
#include <array>

#include "lib/base/error.h"

namespace narrow {
namespace {

struct DataTypeRow {
  DataType type;
  std::string_view name;
  int bits;
};

constexpr std::array kDataTypes{
    DataTypeRow{DataType::kUndefined, "undefined", 0},
    DataTypeRow{DataType::kFloat32, "float32", 32},
    DataTypeRow{DataType::kUint8, "uint8", 8},
    DataTypeRow{DataType::kInt8, "int8", 8},
    DataTypeRow{DataType::kUint16, "uint16", 16},
    DataTypeRow{DataType::kInt16, "int16", 16},
    DataTypeRow{DataType::kInt32, "int32", 32},
    DataTypeRow{DataType::kInt64, "int64", 64},
    DataTypeRow{DataType::kString, "string", 0},
    DataTypeRow{DataType::kBool, "bool", 8},
    DataTypeRow{DataType::kFloat16, "float16", 16},
    DataTypeRow{DataType::kFloat64, "float64", 64},
    DataTypeRow{DataType::kUint32, "uint32", 32},
    DataTypeRow{DataType::kUint64, "uint64", 64},
    DataTypeRow{DataType::kComplex64, "complex64", 64},
    DataTypeRow{DataType::kComplex128, "complex128", 128},
    DataTypeRow{DataType::kBfloat16, "bfloat16", 16},
    DataTypeRow{DataType::kFloat8e4m3fn, "float8e4m3fn", 8},
    DataTypeRow{DataType::kFloat8e4m3fnuz, "float8e4m3fnuz", 8},
    DataTypeRow{DataType::kFloat8e5m2, "float8e5m2", 8},
    DataTypeRow{DataType::kFloat8e5m2fnuz, "float8e5m2fnuz", 8},
    DataTypeRow{DataType::kUint4, "uint4", 4},
    DataTypeRow{DataType::kInt4, "int4", 4},
    DataTypeRow{DataType::kFloat4e2m1, "float4e2m1", 4},
    DataTypeRow{DataType::kFloat8e8m0, "float8e8m0", 8},
    DataTypeRow{DataType::kUint2, "uint2", 2},
    DataTypeRow{DataType::kInt2, "int2", 2},
    DataTypeRow{DataType::kSequence, "sequence", 0},
    DataTypeRow{DataType::kEmptyOptional, "empty optional", 0},
};

const DataTypeRow* find_row(DataType type) {
  const auto found =
      std::find_if(kDataTypes.begin(), kDataTypes.end(), [&](const DataTypeRow& row) { return row.type == type; });
  return found == kDataTypes.end() ? nullptr : &*found;
}

}  // namespace

std::string_view data_type_name(DataType type) {
  const DataTypeRow* row = find_row(type);
  return row == nullptr ? "unknown" : row->name;
}

int data_type_bits(DataType type) {
  const DataTypeRow* row = find_row(type);
  return row == nullptr ? 0 : row->bits;
}

size_t storage_bytes(DataType type, int64_t count) {
  int64_t bits = 0;
  if (count < 0 || __builtin_mul_overflow(count, static_cast<int64_t>(data_type_bits(type)), &bits)) {
    throw Error(ErrorKind::kModel, "{} elements of {} are too many", count, data_type_name(type));
  }
  return (static_cast<size_t>(bits) + 7) / 8;
}

}  // namespace narrow
