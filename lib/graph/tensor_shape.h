// The shape that a tensor's header says.
#pragma once

#include "lib/graph/onnx_proto.h"
#include "lib/tensor/shape.h"

namespace narrow::graph {

inline Shape shape_of(const onnx::TensorProto& tensor) {
  return {tensor.dims().begin(), tensor.dims().end()};
}

}  // namespace narrow::graph
