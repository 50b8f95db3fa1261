#include "lib/image/image.h"

#include <cstddef>

#include "lib/base/error.h"

namespace narrow::image {

Image to_gray(const Image& image) {
  ensure(image.channels == 3, "three channels make gray");
  Image result{image.height, image.width, 1, {}};
  result.pixels.resize(image.pixels.size() / 3);
  for (size_t i = 0; i < result.pixels.size(); ++i) {
    const uint8_t* rgb = image.pixels.data() + 3 * i;
    result.pixels[i] = static_cast<uint8_t>((rgb[0] * 19595 + rgb[1] * 38470 + rgb[2] * 7471 + 0x8000) >> 16);
  }
  return result;
}

}  // namespace narrow::image
