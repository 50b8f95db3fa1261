// Scales that differ from channel to channel in front of a product or behind it, taken into those of its weights.
#pragma once

#include <optional>
#include <vector>

#include "lib/runtime/integer_step.h"
#include "lib/runtime/kernels/product_groups.h"

namespace narrow::runtime {

/// The 8-bit integers that a convolution reads, with one scale for each of its groups: then each output channel meets
/// one scale only, and `scales` (one for each output channel) go into the weights'.
struct GroupwiseSource {
  const Quantized* source = nullptr;
  std::vector<float> scales;
};

/// `weights`: [M, C/groups, ...]. Absent if input 0 is something else; a zero point for each channel has no such form,
/// as padding then is not one byte.
std::optional<GroupwiseSource> groupwise_source(const LowerContext& context, const onnx::NodeProto& convolution,
                                                const Shape& weights);

/// Scales of the weights times those of the source; there is one for each output channel then.
void scale_weights(const GroupwiseSource& source, onednn::Requantize& requantize);

/// What lies behind the product (end.linear), in float64 and rounded once, into scales of weights and bias.
void fold_linear(const LowerContext& context, const GroupEnd& end, int64_t channels, ProductGroup& product);

}  // namespace narrow::runtime
