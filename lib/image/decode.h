// Image files to RGB (grayscale files too). As Pillow's convert("RGB") does, alpha is dropped and 16-bit samples keep
// their upper byte. Each throws Error(kData) with the reason: truncated, corrupt, of a kind it does not know, or more
// than kMaxPixels.
#pragma once

#include <cstddef>
#include <span>
#include <string_view>

#include "lib/image/image.h"

namespace narrow::image {

inline constexpr int64_t kMaxPixels = int64_t{1} << 28;

Image decode_jpeg(std::span<const std::byte> bytes);
Image decode_png(std::span<const std::byte> bytes);
/// Uncompressed, of 24 or 32 bits a pixel.
Image decode_bmp(std::span<const std::byte> bytes);
/// Binary PGM (P5) or PPM (P6).
Image decode_pnm(std::span<const std::byte> bytes);

/// The format that the first bytes are those of: "JPEG", "PNG", "BMP", "PNM", "JPEG 2000", "TIFF", "WebP", or "".
std::string_view format_of(std::span<const std::byte> bytes);

/// Any of the four formats above, told apart by the first bytes. Throws Error(kUnsupported) naming another format.
Image decode(std::span<const std::byte> bytes);

}  // namespace narrow::image
