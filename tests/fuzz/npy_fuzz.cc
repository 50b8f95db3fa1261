// A .npy in memory: an Error or a tensor whose size is what its shape says.
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <span>

#include "calib/readers/array_file.h"
#include "lib/base/error.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto bytes = std::as_bytes(std::span(data, size));
  try {
    const narrow::calib::NpyHeader header = narrow::calib::parse_npy_header(bytes, size);
    const narrow::Tensor tensor = narrow::calib::npy_tensor(header, bytes, nullptr);
    if (tensor.shape() != header.shape) std::abort();
  } catch (const narrow::Error&) {
  }
  return 0;
}
