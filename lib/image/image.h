// 8-bit images.
#pragma once

#include <cstdint>
#include <vector>

namespace narrow::image {

/// Row by row, channels innermost: 1 (gray) or 3 (RGB).
struct Image {
  int64_t height = 0;
  int64_t width = 0;
  int64_t channels = 0;
  std::vector<uint8_t> pixels;
};

/// ITU-R 601-2 luma in Pillow's fixed point.
Image to_gray(const Image& image);

}  // namespace narrow::image
