// Decoded image files.
#pragma once

#include <filesystem>

#include "calib/image.h"

namespace narrow::calib {

/// A JPEG or PNG file, told apart by its first bytes, as RGB (grayscale files too). As Pillow's convert("RGB") does,
/// alpha is dropped and 16-bit samples keep their upper byte. Throws Error(kData) naming the file and the reason:
/// neither of the two, truncated, corrupt, CMYK, or more than 2^28 pixels.
Image read_image(const std::filesystem::path& path);

}  // namespace narrow::calib
