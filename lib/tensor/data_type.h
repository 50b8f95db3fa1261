// Element types: one table, numbered as ONNX numbers them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace narrow {

/// Values equal onnx::TensorProto::DataType, up to the pseudo types of values that are no dense tensor.
enum class DataType : int32_t {
  kUndefined = 0,
  kFloat32 = 1,
  kUint8 = 2,
  kInt8 = 3,
  kUint16 = 4,
  kInt16 = 5,
  kInt32 = 6,
  kInt64 = 7,
  kString = 8,
  kBool = 9,
  kFloat16 = 10,
  kFloat64 = 11,
  kUint32 = 12,
  kUint64 = 13,
  kComplex64 = 14,
  kComplex128 = 15,
  kBfloat16 = 16,
  kFloat8e4m3fn = 17,
  kFloat8e4m3fnuz = 18,
  kFloat8e5m2 = 19,
  kFloat8e5m2fnuz = 20,
  kUint4 = 21,
  kInt4 = 22,
  kFloat4e2m1 = 23,
  kFloat8e8m0 = 24,
  kUint2 = 25,
  kInt2 = 26,
  kSequence = 1001,       // elements are tensors
  kEmptyOptional = 1002,  // an optional without value; one with a value is that value
};

/// "float32", "int8", ...; "type 99" numbers are spelled "unknown".
std::string_view data_type_name(DataType type);
/// Bits of one element; 0 for strings, sequences, empty optionals and undefined.
int data_type_bits(DataType type);
/// Bytes that `count` elements take when packed without gaps between elements (ONNX's packing for 4 and 2 bits).
/// Throws Error(kModel) where their number of bits does not fit int64.
size_t storage_bytes(DataType type, int64_t count);

template <class T>
constexpr DataType data_type_of();
template <>
constexpr DataType data_type_of<float>() {
  return DataType::kFloat32;
}
template <>
constexpr DataType data_type_of<double>() {
  return DataType::kFloat64;
}
template <>
constexpr DataType data_type_of<int8_t>() {
  return DataType::kInt8;
}
template <>
constexpr DataType data_type_of<uint8_t>() {
  return DataType::kUint8;
}
template <>
constexpr DataType data_type_of<int16_t>() {
  return DataType::kInt16;
}
template <>
constexpr DataType data_type_of<uint16_t>() {
  return DataType::kUint16;
}
template <>
constexpr DataType data_type_of<int32_t>() {
  return DataType::kInt32;
}
template <>
constexpr DataType data_type_of<uint32_t>() {
  return DataType::kUint32;
}
template <>
constexpr DataType data_type_of<int64_t>() {
  return DataType::kInt64;
}
template <>
constexpr DataType data_type_of<uint64_t>() {
  return DataType::kUint64;
}
template <>
constexpr DataType data_type_of<bool>() {
  return DataType::kBool;
}

}  // namespace narrow
