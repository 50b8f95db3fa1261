#pragma once

#include <vector>

#include "lib/analyze/analyze.h"
#include "lib/graph/graph_index.h"

namespace narrow::analyze {

/// The constant float32 weights of a node that only reads them in products (Conv, ConvTranspose, Gemm, MatMul on either
/// side; LSTM, GRU and RNN, which have two) or looks rows up in them (Gather), with the axes along which their scales
/// may lie. Without those that hold NaN or infinity.
std::vector<ConstantSlot> find_stored_weights(const graph::Model& model, const graph::GraphIndex& index,
                                              const onnx::NodeProto& node);

/// True if a float32 tensor holds neither NaN nor infinity.
bool all_finite(const Tensor& tensor);

}  // namespace narrow::analyze
