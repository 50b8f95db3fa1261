#include "lib/onednn/padded_rows.h"

#include <algorithm>
#include <cstring>

namespace narrow::onednn {

void copy_bytes(const std::byte* from, std::byte* to, int64_t count, bool flip_signs) {
  if (!flip_signs) {
    std::memcpy(to, from, static_cast<size_t>(count));
  } else {
    for (int64_t i = 0; i < count; ++i) to[i] = from[i] ^ std::byte{0x80};
  }
}

void PaddedRows::copy(const std::byte* image, int64_t first, int64_t count, std::byte* to) const {
  const int64_t before = std::min(left, padded_width);
  const int64_t copied = std::min(width, padded_width - before);
  for (int64_t y = first; y < first + count; ++y, to += padded_width * pixel_bytes) {
    if (y < 0 || y >= height) {
      std::memset(to, std::to_integer<int>(padding), static_cast<size_t>(padded_width * pixel_bytes));
      continue;
    }
    std::memset(to, std::to_integer<int>(padding), static_cast<size_t>(before * pixel_bytes));
    copy_bytes(image + y * width * pixel_bytes, to + before * pixel_bytes, copied * pixel_bytes, flip_signs);
    std::memset(to + (before + copied) * pixel_bytes, std::to_integer<int>(padding),
                static_cast<size_t>((padded_width - before - copied) * pixel_bytes));
  }
}

}  // namespace narrow::onednn
