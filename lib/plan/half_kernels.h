// What a target can not compute in float16 although the operator's schema allows it.
#pragma once

#include <optional>

#include "lib/base/reason.h"
#include "lib/graph/graph_index.h"
#include "lib/plan/target.h"

namespace narrow::plan {

/// Where onnxruntime (1.31) fails in float16, in models that it would run in float32
/// (tests/peers/half_kernels_test.py):
/// - ScatterND and ScatterElements that add or multiply load, and fail when they run; so does ScatterND of extremes.
/// - A Transpose that brings axis 0 in front of the last axis, or behind it, and leaves the others in order, ends the
///   process while the model is optimized where a MatMul reads it, at most scaled in between: the fusion of both
///   (MatmulTransposeFusion) takes it for a permutation of the batch. In float32 the fusion works.
std::optional<Reason> half_kernel_refusal(const TargetRow& target, const graph::GraphIndex& index,
                                          const onnx::NodeProto& node, DataType type);

}  // namespace narrow::plan
