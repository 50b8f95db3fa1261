#include "lib/onednn/padded_rows.h"

#include <algorithm>
#include <cstring>

namespace narrow::onednn {

void copy_bytes(const uint8_t* from, uint8_t* to, int64_t count, bool flip_signs) {
  if (!flip_signs) {
    std::memcpy(to, from, static_cast<size_t>(count));
  } else {
    for (int64_t i = 0; i < count; ++i) to[i] = static_cast<uint8_t>(from[i] ^ 0x80U);
  }
}

void PaddedRows::copy(const uint8_t* image, int64_t first, int64_t count, uint8_t* to) const {
  const int64_t before = std::min(left, padded_width);
  const int64_t copied = std::min(width, padded_width - before);
  for (int64_t y = first; y < first + count; ++y, to += padded_width * channels) {
    if (y < 0 || y >= height) {
      std::memset(to, padding, static_cast<size_t>(padded_width * channels));
      continue;
    }
    std::memset(to, padding, static_cast<size_t>(before * channels));
    copy_bytes(image + y * width * channels, to + before * channels, copied * channels, flip_signs);
    std::memset(to + (before + copied) * channels, padding,
                static_cast<size_t>((padded_width - before - copied) * channels));
  }
}

}  // namespace narrow::onednn
