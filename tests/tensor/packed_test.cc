#include "lib/tensor/packed.h"

#include <gtest/gtest.h>

#include <array>
#include <vector>

namespace narrow {
namespace {

std::vector<int> unpacked_values(DataType type, const std::vector<uint8_t>& bytes, size_t count) {
  std::vector<uint8_t> result(count);
  unpack(type, reinterpret_cast<const std::byte*>(bytes.data()), result);
  return {result.begin(), result.end()};
}

TEST(Packed, FirstElementIsInTheLowestBits) {
  EXPECT_EQ(unpacked_values(DataType::kUint4, {0x21, 0xF3}, 3), (std::vector<int>{1, 2, 3}));
  EXPECT_EQ(unpacked_values(DataType::kUint2, {0b11100100, 0b10}, 5), (std::vector<int>{0, 1, 2, 3, 2}));
}

TEST(Packed, SignedElementsAreSignExtended) {
  EXPECT_EQ(unpacked_values(DataType::kInt4, {0x87, 0x0F}, 3), (std::vector<int>{7, 0xF8, 0xFF}));
  EXPECT_EQ(unpacked_values(DataType::kInt2, {0b11100100}, 4), (std::vector<int>{0, 1, 0xFE, 0xFF}));
}

TEST(Packed, EveryCodeComesBackAndTheRestOfTheLastByteIsZero) {
  for (const DataType type :
       {DataType::kUint4, DataType::kInt4, DataType::kFloat4e2m1, DataType::kUint2, DataType::kInt2}) {
    const unsigned mask = (1U << data_type_bits(type)) - 1;
    for (size_t count = 0; count < 70; ++count) {
      std::vector<uint8_t> codes(count);
      for (size_t i = 0; i < count; ++i) codes[i] = static_cast<uint8_t>(i * 7);
      std::array<std::byte, 40> bytes{};
      bytes.fill(std::byte{0xFF});
      pack(type, codes, bytes.data());
      std::vector<uint8_t> back(count);
      unpack(type, bytes.data(), back);
      for (size_t i = 0; i < count; ++i) ASSERT_EQ(back[i] & mask, codes[i] & mask) << data_type_name(type);
      const size_t used = storage_bytes(type, static_cast<int64_t>(count));
      const size_t bits = count * static_cast<size_t>(data_type_bits(type)) % 8;
      if (bits != 0) {
        EXPECT_EQ(static_cast<unsigned>(bytes.at(used - 1)) >> bits, 0U);
      }
      EXPECT_EQ(bytes.at(used), std::byte{0xFF});
    }
  }
}

}  // namespace
}  // namespace narrow
