// A stretch of a tensor's elements, for what goes over large tensors piece by piece.
#pragma once

#include <memory>

#include "lib/tensor/tensor.h"

namespace narrow {

/// Elements [begin, begin + count) in memory order as a vector that shares their storage. Of types of whole bytes.
inline Tensor piece_of(const Tensor& tensor, int64_t begin, int64_t count) {
  const size_t element = data_type_bits(tensor.type()) / 8;
  const std::byte* from = tensor.bytes() + static_cast<size_t>(begin) * element;
  return {tensor.type(), {count}, Layout::kPlain, std::make_shared<const Tensor>(tensor), from, /*writable=*/false};
}

}  // namespace narrow
