#pragma once

#include <optional>

#include "lib/runtime/integer_step.h"

namespace narrow::runtime {

/// How to count the node's multiply-accumulates, in names of the graph's real values; absent for a node without any.
/// `node` is left 0.
std::optional<MacCount> mac_count_of(const LowerContext& context, const onnx::NodeProto& node);

/// The count for a value of `shape`, `depth` being the last dimension of `count.inner` or 1. Throws Error(kModel) if
/// it overflows int64.
int64_t macs_of(const MacCount& count, const Shape& shape, int64_t depth);

/// The count from static shapes, with 1 for an unknown first dimension; absent if another one is unknown.
std::optional<int64_t> static_macs(const LowerContext& context, const MacCount& count);

}  // namespace narrow::runtime
