// Conversion between the numeric element types, as ONNX's Cast defines it.
#pragma once

#include <span>
#include <vector>

#include "lib/tensor/small_float.h"
#include "lib/tensor/tensor.h"
#include "lib/tensor/workspace.h"

namespace narrow {

struct ConvertOptions {
  Overflow overflow = Overflow::kSaturate;            // of 8-bit floats only
  ScaleRounding scale_rounding = ScaleRounding::kUp;  // of float8e8m0 only
};

/// Every element converted, in the same layout. Shares storage where nothing changes.
/// To floats: rounded once, half to even; out of range is infinity in float16 and bfloat16, the largest value in
/// float4e2m1, and by `overflow` in 8-bit floats. Floats to integers: towards zero. ONNX leaves values out of range
/// open; onnxruntime, numpy and ONNX's tests have the low bits of the int32 (for int64, uint32 and uint64: int64),
/// whose lowest number stands for whatever does not fit that, NaN included. Integers to integers: the low bits. To
/// bool: all but zero is true. Throws Error(kUnsupported) for strings and complex numbers.
Tensor convert_elements(const Tensor& tensor, DataType type, Workspace& workspace, const ConvertOptions& options = {});

/// True for the floating-point types that float32 holds exactly: 16 bits and less.
bool is_small_float(DataType type);

/// Codes of a small float (one a byte or two bytes; float4e2m1 unpacked) to float32 and back.
void decode_floats(DataType type, const std::byte* codes, std::span<float> to);
void encode_floats(DataType type, std::span<const float> from, std::byte* codes, const ConvertOptions& options = {});

/// All finite values of a small float, ascending; 0 is there once.
std::vector<float> finite_numbers(DataType type);

/// A packed tensor with a byte for each element (int4, int2: int8; else: uint8), and back.
Tensor unpacked(const Tensor& tensor, Workspace& workspace);
Tensor packed(const Tensor& bytes, DataType type, Workspace& workspace);

}  // namespace narrow
