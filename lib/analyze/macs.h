#pragma once

#include <cstdint>

#include "lib/graph/graph_index.h"

namespace narrow::analyze {

/// Multiply-accumulates of one node for one sample, from inferred shapes; unknown dimensions count as 1. 0 for
/// operators other than Conv, ConvTranspose, Gemm and MatMul.
int64_t count_macs(const onnx::NodeProto& node, const graph::GraphIndex& index);

}  // namespace narrow::analyze
