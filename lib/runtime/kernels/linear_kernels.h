// Steps between real values and integers, and 256-entry tables over integers.
#pragma once

#include <functional>

#include "lib/exec/kernel.h"
#include "lib/quant/quant_params.h"
#include "lib/runtime/kernels/byte_table.h"
#include "lib/runtime/lower.h"

namespace narrow::runtime {

/// float32 -> integers. Any layout for per-tensor parameters, plain for per-channel ones.
exec::KernelPtr make_quantize(const quant::QuantParams& params, KernelChoice choice);
/// Integers -> float32.
exec::KernelPtr make_dequantize(const quant::QuantParams& params, KernelChoice choice);

/// y = table[x] for every element; the result has the storage type `result`.
exec::KernelPtr make_table(const Table& table, DataType result);

struct ChannelTables {
  size_t axis = 1;  // of the channels, in tensors of so many axes
  size_t rank = 2;
  std::vector<Table> tables;
  DataType result = DataType::kUint8;
};
/// y = tables[channel][x].
exec::KernelPtr make_channel_tables(ChannelTables tables);

/// y = values[x as its bits], float32; `values` float32 [256].
exec::KernelPtr make_float_table(const Tensor& values);

/// float32 -> quantize(Gelu(x)), the exact one (by erf).
exec::KernelPtr make_gelu(const Affine8& to);

/// y = quantize(f(dequantize(x))) for every byte x; `f` maps all 256 real values at once.
Table make_function_table(const Affine8& from, const Affine8& to, const std::function<Tensor(const Tensor&)>& f);
/// The table of the identity: changes parameters only.
Table make_requantize_table(const Affine8& from, const Affine8& to);

/// Bytes of an 8-bit tensor.
inline const Byte* bytes_of(const Tensor& tensor) {
  return reinterpret_cast<const Byte*>(tensor.bytes());
}
inline Byte* bytes_of(Tensor& tensor) {
  return reinterpret_cast<Byte*>(tensor.mutable_bytes());
}

/// Elements below which splitting a loop over threads costs more than it saves.
inline constexpr int64_t kElementGrain = int64_t{1} << 15;

}  // namespace narrow::runtime
