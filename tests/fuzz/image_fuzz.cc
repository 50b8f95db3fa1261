// An image file in memory: an Error or pixels. Big pictures are left out: they cost time and find nothing.
#include <cstdint>
#include <span>

#include "lib/base/error.h"
#include "lib/image/decode.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2) return 0;
  const auto bytes = std::as_bytes(std::span(data, size));
  try {
    narrow::image::decode(bytes);
  } catch (const narrow::Error&) {
  }
  return 0;
}
