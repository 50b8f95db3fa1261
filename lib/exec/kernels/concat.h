// Joining tensors along an axis and cutting them into pieces.
#pragma once

#include <span>

#include "lib/tensor/tensor.h"
#include "lib/tensor/workspace.h"

namespace narrow::exec {

/// The tensors one behind the other along an axis, which may count from the back. Of one type, rank and layout; throws
/// Error(kModel) otherwise.
Tensor concatenate(std::span<Tensor> tensors, int64_t axis, Workspace& workspace);

/// Plain tensors of one shape side by side along a new axis, counted among the axes of the result. At least one.
Tensor stack(std::span<const Tensor> tensors, int64_t axis, Workspace& workspace);

/// Elements [begin, begin + size) along an axis, copied.
struct Piece {
  size_t axis = 0;
  int64_t begin = 0;
  int64_t size = 1;
};
Tensor piece_of(const Tensor& tensor, Piece piece, Workspace& workspace);

}  // namespace narrow::exec
