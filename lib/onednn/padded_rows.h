// Rows of a channels-last image with padding around them: windows that reach over the edges need no care then.
#pragma once

#include <cstddef>
#include <cstdint>

namespace narrow::onednn {

struct PaddedRows {
  int64_t pixel_bytes = 1;
  int64_t height = 0;  // of the image; so is the width
  int64_t width = 0;
  int64_t left = 0;          // pixels of padding
  int64_t padded_width = 0;  // pixels of a row of the copy; an image that is wider is cut
  std::byte padding{0};      // all bytes of a real zero, as it is in the copy
  bool flip_signs = false;   // the copy has the sign bits of the image flipped

  /// Copies rows [first, first + count) of `image`, which may lie outside of it.
  void copy(const std::byte* image, int64_t first, int64_t count, std::byte* to) const;
};

/// The bytes, with the sign bit flipped if so wanted.
void copy_bytes(const std::byte* from, std::byte* to, int64_t count, bool flip_signs);

}  // namespace narrow::onednn
