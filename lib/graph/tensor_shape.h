// The shape that a tensor's header says, and whether a value's is known.
#pragma once

#include <algorithm>
#include <optional>

#include "lib/graph/onnx_proto.h"
#include "lib/tensor/shape.h"

namespace narrow::graph {

inline Shape shape_of(const onnx::TensorProto& tensor) {
  return {tensor.dims().begin(), tensor.dims().end()};
}

/// Every dimension.
inline bool is_known(const std::optional<Shape>& shape) {
  return shape && std::all_of(shape->begin(), shape->end(), [](int64_t size) { return size >= 0; });
}

}  // namespace narrow::graph
