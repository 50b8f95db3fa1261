#include "lib/tensor/packed.h"

namespace narrow {

bool is_packed(DataType type) {
  const int bits = data_type_bits(type);
  return bits == 4 || bits == 2;
}

void unpack(DataType type, const std::byte* packed, std::span<uint8_t> to) {
  const auto bits = static_cast<size_t>(data_type_bits(type));
  const size_t per_byte = 8 / bits;
  const bool is_signed = type == DataType::kInt4 || type == DataType::kInt2;
  const auto mask = static_cast<uint8_t>((1U << bits) - 1);
  const auto sign = static_cast<uint8_t>(is_signed ? 1U << (bits - 1) : 0U);
  for (size_t i = 0; i < to.size(); ++i) {
    const auto code = static_cast<uint8_t>(static_cast<unsigned>(packed[i / per_byte]) >> (i % per_byte * bits) & mask);
    to[i] = static_cast<uint8_t>((code ^ sign) - sign);
  }
}

void pack(DataType type, std::span<const uint8_t> from, std::byte* packed) {
  pack_codes(data_type_bits(type), from, packed);
}

void pack_codes(int bits_of_one, std::span<const uint8_t> from, std::byte* packed) {
  const auto bits = static_cast<size_t>(bits_of_one);
  const size_t per_byte = 8 / bits;
  const unsigned mask = (1U << bits) - 1;
  for (size_t begin = 0; begin < from.size(); begin += per_byte) {
    unsigned byte = 0;
    const size_t end = begin + per_byte < from.size() ? begin + per_byte : from.size();
    for (size_t i = begin; i < end; ++i) byte |= (from[i] & mask) << ((i - begin) * bits);
    packed[begin / per_byte] = static_cast<std::byte>(byte);
  }
}

}  // namespace narrow
