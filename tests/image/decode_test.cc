// Formats that are read without a library. JPEG and PNG are tested with the reader of image folders in tests/calib.
#include "lib/image/decode.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "lib/base/error.h"

namespace narrow::image {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

Image decode_text(const std::string& text) {
  return decode(std::as_bytes(std::span(text.data(), text.size())));
}

std::string little_endian(uint64_t value, int bytes) {
  std::string text;
  for (int i = 0; i < bytes; ++i) text += static_cast<char>(value >> (8 * i) & 0xFF);
  return text;
}

// One column of two pixels, 24 bits: rows are filled up to 4 bytes and stand from the bottom up.
std::string bmp(int32_t height) {
  return "BM" + little_endian(0, 8) + little_endian(54, 4) + little_endian(40, 4) + little_endian(1, 4) +
         little_endian(static_cast<uint32_t>(height), 4) + little_endian(1, 2) + little_endian(24, 2) +
         std::string(24, '\0') + std::string("\1\2\3\0\4\5\6\0", 8);
}

TEST(Decode, BmpIsBlueFirstAndBottomUp) {
  const Image up = decode_text(bmp(2));
  EXPECT_EQ(up.height, 2);
  EXPECT_EQ(up.width, 1);
  EXPECT_THAT(up.pixels, ElementsAre(6, 5, 4, 3, 2, 1));
  EXPECT_THAT(decode_text(bmp(-2)).pixels, ElementsAre(3, 2, 1, 6, 5, 4));
}

TEST(Decode, PnmGrayAndColour) {
  EXPECT_THAT(decode_text("P5 # comment\n2 1\n255\n\x07\x09").pixels, ElementsAre(7, 7, 7, 9, 9, 9));
  EXPECT_THAT(decode_text("P6\n1 1\n255\n\x01\x02\x03").pixels, ElementsAre(1, 2, 3));
}

TEST(Decode, TruncatedFilesAndOtherFormatsAreErrors) {
  EXPECT_THROW(decode_text(bmp(2).substr(0, 60)), Error);
  EXPECT_THROW(decode_text("P6\n1 1\n255\n\x01"), Error);
  EXPECT_THROW(decode_text("P6\n99999 99999\n255\n"), Error);
  try {
    decode_text("RIFF\x20\x02\x01\x01WEBPVP8 ");
    FAIL() << "it was decoded";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kUnsupported);
    EXPECT_THAT(error.what(), HasSubstr("WebP"));
  }
}

TEST(ToGray, WeighsTheColours) {
  EXPECT_THAT(to_gray({1, 2, 3, {255, 0, 0, 255, 255, 255}}).pixels, ElementsAre(76, 255));
}

}  // namespace
}  // namespace narrow::image
