// x * (erf(x / sqrt(2)) + 1) / 2, spelled out in nodes as exporters write it: most of what a transformer computes in
// float between its products.
#pragma once

#include <vector>

#include "lib/runtime/integer_step.h"

namespace narrow::runtime {

/// Its nodes in order of computation if `first` begins one, and nobody else reads what they hand on; empty otherwise.
std::vector<const onnx::NodeProto*> spelled_gelu(const LowerContext& context, const exec::Constants& constants,
                                                 const onnx::NodeProto& first);

/// One pass in place of theirs.
exec::KernelPtr make_spelled_gelu(const LowerContext& context, const std::vector<const onnx::NodeProto*>& nodes);

}  // namespace narrow::runtime
