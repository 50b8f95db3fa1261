// The steps from a decoded file to the size and colours a model wants.
#pragma once

#include <cstdint>

#include "lib/image/image.h"

namespace narrow::calib {

using image::Image;
using image::to_gray;

/// Bilinear with antialiasing, the same 8-bit values as Pillow's Image.resize((width, height), Image.BILINEAR).
Image resize_bilinear(const Image& image, int64_t height, int64_t width);

/// The shorter side becomes `side`, the other keeps the proportion, rounded down, as torchvision's Resize does.
Image resize_shorter_side(const Image& image, int64_t side);

/// As large as fits into `height` x `width` in its proportion, sides rounded half to even, in the middle of `grey`; of
/// an odd rest the smaller half is above and left.
Image letterbox(const Image& image, int64_t height, int64_t width, uint8_t grey);

/// Each side becomes the nearest multiple of `unit` (ties to even multiples), at least one.
Image resize_to_multiples(const Image& image, int64_t unit);

/// The middle `height` x `width`, placed as torchvision's CenterCrop does. The image must not be smaller.
Image crop_centre(const Image& image, int64_t height, int64_t width);

/// Three equal channels.
Image gray_to_rgb(const Image& image);

}  // namespace narrow::calib
