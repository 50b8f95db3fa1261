#include "calib/image.h"

#include <gtest/gtest.h>

namespace narrow::calib {
namespace {

/// 7 wide, 5 high: pixel (x, y), channel c is (37 x + 91 y + 53 c + 7 x y) mod 256.
Image pattern() {
  Image image{5, 7, 3, {}};
  for (int y = 0; y < 5; ++y) {
    for (int x = 0; x < 7; ++x) {
      for (int c = 0; c < 3; ++c) image.pixels.push_back(static_cast<uint8_t>(37 * x + 91 * y + 53 * c + 7 * x * y));
    }
  }
  return image;
}

// Expected values: Pillow 13.0.0, Image.resize((w, h), Image.BILINEAR) and convert("L") of the same pattern.
TEST(ImageTest, ShrinksAsPillowDoes) {
  const Image small = resize_bilinear(pattern(), 2, 3);
  EXPECT_EQ(small.height, 2);
  EXPECT_EQ(small.width, 3);
  EXPECT_EQ(small.pixels, (std::vector<uint8_t>{105, 133, 143, 125, 129, 144, 133, 134, 127, 124, 135, 130, 139, 140,
                                                134, 151, 132, 125}));
}

TEST(ImageTest, GrowsOneSideAndShrinksTheOtherAsPillowDoes) {
  EXPECT_EQ(
      resize_bilinear(pattern(), 9, 4).pixels,
      (std::vector<uint8_t>{19,  72,  125, 77,  130, 183, 145, 198, 200, 203, 122, 65,  51,  104, 153, 112, 141, 150,
                            123, 152, 171, 161, 124, 104, 103, 156, 199, 171, 160, 95,  86,  75,  123, 90,  128, 169,
                            151, 155, 142, 139, 129, 108, 100, 113, 143, 133, 127, 131, 197, 140, 59,  83,  85,  138,
                            126, 179, 181, 205, 124, 67,  114, 118, 111, 114, 144, 157, 163, 142, 133, 142, 128, 133,
                            58,  109, 150, 142, 180, 163, 183, 118, 102, 104, 131, 172, 110, 155, 135, 161, 124, 119,
                            136, 144, 139, 169, 129, 108, 142, 183, 126, 172, 91,  93,  107, 160, 162, 208, 127, 70}));
}

TEST(ImageTest, GrayIsPillowsLuma) {
  const Image gray = to_gray(pattern());
  EXPECT_EQ(gray.channels, 1);
  EXPECT_EQ(gray.pixels, (std::vector<uint8_t>{43,  80,  117, 154, 191, 199, 86,  134, 178, 193, 87,  54,
                                               98,  142, 196, 97,  71,  122, 173, 195, 96,  60,  118, 176,
                                               205, 113, 94,  152, 151, 187, 102, 90,  155, 191, 106}));
  EXPECT_EQ(resize_bilinear(gray, 3, 3).pixels, (std::vector<uint8_t>{114, 134, 134, 132, 131, 136, 136, 139, 138}));
  EXPECT_EQ(to_gray(gray_to_rgb(gray)).pixels, gray.pixels);
}

TEST(ImageTest, TheSameSizeIsTheSameImage) {
  EXPECT_EQ(resize_bilinear(pattern(), 5, 7).pixels, pattern().pixels);
}

TEST(ImageTest, ShorterSideKeepsTheProportionRoundedDown) {
  Image wide{375, 500, 1, std::vector<uint8_t>(375 * 500)};
  EXPECT_EQ(resize_shorter_side(wide, 256).height, 256);
  EXPECT_EQ(resize_shorter_side(wide, 256).width, 341);  // 256 * 500 / 375 = 341.33
  const Image high{500, 375, 1, std::vector<uint8_t>(375 * 500)};
  EXPECT_EQ(resize_shorter_side(high, 256).height, 341);
  EXPECT_EQ(resize_shorter_side(high, 256).width, 256);
}

TEST(ImageTest, LetterboxKeepsTheProportionInTheMiddle) {
  const Image wide{2, 4, 1, std::vector<uint8_t>(8, 9)};
  // As wide as it may be; of the 3 rows left one is above.
  EXPECT_EQ(letterbox(wide, 5, 4, 1).pixels,
            (std::vector<uint8_t>{1, 1, 1, 1, 9, 9, 9, 9, 9, 9, 9, 9, 1, 1, 1, 1, 1, 1, 1, 1}));
  const Image square{2, 2, 1, std::vector<uint8_t>(4, 7)};
  EXPECT_EQ(letterbox(square, 3, 6, 0).pixels,
            (std::vector<uint8_t>{0, 7, 7, 7, 0, 0, 0, 7, 7, 7, 0, 0, 0, 7, 7, 7, 0, 0}));
  EXPECT_EQ(letterbox(pattern(), 5, 7, 0).pixels, pattern().pixels);
}

TEST(ImageTest, SidesBecomeTheNearestMultiples) {
  const Image image{47, 16, 1, std::vector<uint8_t>(47 * 16, 3)};
  const Image result = resize_to_multiples(image, 32);
  EXPECT_EQ(result.height, 32);  // 47 / 32 = 1.47
  EXPECT_EQ(result.width, 32);   // at least one
  const Image tie{80, 112, 1, std::vector<uint8_t>(80 * 112)};
  EXPECT_EQ(resize_to_multiples(tie, 32).height, 64);  // 2.5, to even
  EXPECT_EQ(resize_to_multiples(tie, 32).width, 128);  // 3.5, to even
}

// torchvision: round((5 - 2) / 2) = round(1.5) = 2 from the top, round((7 - 2) / 2) = round(2.5) = 2 from the left.
TEST(ImageTest, CropsTheCentreRoundingHalvesToEven) {
  Image image{5, 7, 1, {}};
  for (uint8_t i = 0; i < 35; ++i) image.pixels.push_back(i);
  EXPECT_EQ(crop_centre(image, 2, 2).pixels, (std::vector<uint8_t>{16, 17, 23, 24}));
  EXPECT_EQ(crop_centre(image, 5, 7).pixels, image.pixels);
}

}  // namespace
}  // namespace narrow::calib
