#include "lib/tensor/memory.h"

#include "lib/base/error.h"

namespace narrow {

std::byte* allocate_tensor(size_t bytes) {
  void* memory = ::operator new(bytes, kTensorAlignment, std::nothrow);
  if (memory == nullptr) {
    throw Error(ErrorKind::kUnsupported, "a tensor of {:.1f} GiB does not fit into memory",
                static_cast<double>(bytes) / static_cast<double>(size_t{1} << 30));
  }
  return static_cast<std::byte*>(memory);
}

}  // namespace narrow
