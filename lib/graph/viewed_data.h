// Tensors in files that are read with their elements in another order: a weight that is transposed takes no memory for
// it. In memory only: what writes models writes what is read.
#pragma once

#include <optional>
#include <span>

#include "lib/graph/onnx_proto.h"
#include "lib/tensor/shape.h"

namespace narrow::graph {

/// True for a large tensor that lies in a file, of elements that are whole bytes: one that the functions below take.
bool can_be_viewed(const onnx::TensorProto& tensor);

/// The tensor is read as ONNX's Transpose of it. Large results are written to a temporary file once, where the system
/// has room for one, and mapped from there.
void transpose_external(onnx::TensorProto& tensor, std::span<const int64_t> permutation);

/// The tensor is read with that shape, of as many elements.
void reshape_external(onnx::TensorProto& tensor, const Shape& shape);

/// What a Transpose node makes of a tensor that can be viewed, under the name of its result; nullopt for other nodes
/// and tensors.
std::optional<onnx::TensorProto> transposed_view(const onnx::NodeProto& node, const onnx::TensorProto& source);

/// All elements of the tensor as a vector, in the order in which they lie in the file: for who asks about each of them.
onnx::TensorProto as_stored(const onnx::TensorProto& tensor);

}  // namespace narrow::graph
