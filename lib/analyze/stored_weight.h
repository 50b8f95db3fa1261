#pragma once

#include <optional>

#include "lib/analyze/analyze.h"
#include "lib/graph/graph_index.h"

namespace narrow::analyze {

/// The constant float32 weight of a node that only reads it in products (Conv, ConvTranspose, Gemm, MatMul on either
/// side) or looks rows up in it (Gather), with the axes along which its scales may lie. nullopt if there is none, or if
/// it holds NaN or infinity.
std::optional<ConstantSlot> find_stored_weight(const graph::Model& model, const graph::GraphIndex& index,
                                               const onnx::NodeProto& node);

/// True if a float32 tensor holds neither NaN nor infinity.
bool all_finite(const Tensor& tensor);

}  // namespace narrow::analyze
