// A JPEG or PNG in memory: an Error or pixels. Big pictures are left out: they cost time and find nothing.
#include <cstdint>
#include <span>

#include "calib/readers/image_file.h"
#include "lib/base/error.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2) return 0;
  const auto bytes = std::as_bytes(std::span(data, size));
  try {
    if (data[0] == 0xff) {
      narrow::calib::decode_jpeg(bytes);
    } else {
      narrow::calib::decode_png(bytes);
    }
  } catch (const narrow::Error&) {
  }
  return 0;
}
