// Types of 4 and 2 bits: ONNX packs two or four elements to a byte, the first in the lowest bits.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "lib/tensor/data_type.h"

namespace narrow {

/// True for int4, uint4, float4e2m1, int2 and uint2.
bool is_packed(DataType type);

/// One byte for each element: codes of unsigned types and of float4e2m1 in the low bits, int4 and int2 sign-extended.
/// `packed` has storage_bytes(type, to.size()) bytes.
void unpack(DataType type, const std::byte* packed, std::span<uint8_t> to);

/// The low bits of each byte, put together; the last byte's unused bits are 0.
void pack(DataType type, std::span<const uint8_t> from, std::byte* packed);
/// The same for codes of 1, 2, 4 or 8 bits, whatever they mean.
void pack_codes(int bits, std::span<const uint8_t> from, std::byte* packed);

}  // namespace narrow
