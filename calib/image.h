// 8-bit images and the steps from a decoded file to the size and colours a model wants.
#pragma once

#include <cstdint>
#include <vector>

namespace narrow::calib {

/// Row by row, channels innermost: 1 (gray) or 3 (RGB).
struct Image {
  int64_t height = 0;
  int64_t width = 0;
  int64_t channels = 0;
  std::vector<uint8_t> pixels;
};

/// Bilinear with antialiasing, the same 8-bit values as Pillow's Image.resize((width, height), Image.BILINEAR).
Image resize_bilinear(const Image& image, int64_t height, int64_t width);

/// The shorter side becomes `side`, the other keeps the proportion, rounded down, as torchvision's Resize does.
Image resize_shorter_side(const Image& image, int64_t side);

/// The middle `height` x `width`, placed as torchvision's CenterCrop does. The image must not be smaller.
Image crop_centre(const Image& image, int64_t height, int64_t width);

/// ITU-R 601-2 luma in Pillow's fixed point.
Image to_gray(const Image& image);

/// Three equal channels.
Image gray_to_rgb(const Image& image);

}  // namespace narrow::calib
