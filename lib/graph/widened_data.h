// float16 tensors in files that are read as float32.
#pragma once

#include "lib/graph/onnx_proto.h"

namespace narrow::graph {

/// A float16 tensor that lies in a file becomes float32; it is widened each time that it is read, so that a model of
/// float16 weights takes no memory for them. In memory only: what writes models writes what is read.
void widen_external(onnx::TensorProto& tensor);

}  // namespace narrow::graph
