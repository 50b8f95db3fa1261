// Decoded image files.
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>

#include "calib/image.h"

namespace narrow::calib {

/// A JPEG or PNG file, told apart by its first bytes, as RGB (grayscale files too). As Pillow's convert("RGB") does,
/// alpha is dropped and 16-bit samples keep their upper byte. Throws Error(kData) naming the file and the reason:
/// neither of the two, truncated, corrupt, CMYK, or more than 2^28 pixels.
Image read_image(const std::filesystem::path& path);

/// Errors of these do not name the file.
Image decode_jpeg(std::span<const std::byte> bytes);
Image decode_png(std::span<const std::byte> bytes);

inline constexpr int64_t kMaxPixels = int64_t{1} << 28;

}  // namespace narrow::calib
