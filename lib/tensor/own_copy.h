// Tensors that are kept for longer than the run that made them.
#pragma once

#include <algorithm>

#include "lib/tensor/tensor.h"

namespace narrow {

/// The same tensor in storage of its own: what a run returns may lie in its workspace, which then lacks the memory, or
/// be a part of a larger tensor. Strings and sequences are shared.
inline Tensor own_copy(const Tensor& tensor) {
  if (tensor.type() == DataType::kSequence || tensor.type() == DataType::kString) return tensor;
  Tensor copy(tensor.type(), tensor.shape(), tensor.layout());
  std::copy(tensor.bytes(), tensor.bytes() + tensor.byte_size(), copy.mutable_bytes());
  return copy;
}

}  // namespace narrow
