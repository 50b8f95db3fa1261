// What integer products have in common: constant weights, an 8-bit source, and the end of their group.
#pragma once

#include <optional>
#include <string>

#include "lib/runtime/integer_step.h"
#include "lib/runtime/kernels/product_groups.h"

namespace narrow::runtime {

/// The constant integers behind input 1, with a byte for each; nullopt if there are none, or if they are wider.
std::optional<Tensor> weight_integers(const LowerContext& context, const onnx::NodeProto& node);
/// Why weight_integers() found none.
Reason not_constant_weights(const LowerContext& context, const onnx::NodeProto& node);

void set_source(ProductGroup& group, const Quantized& x);

/// The end's clamp and destination; the name of the value the product makes.
std::string set_destination(ProductGroup& group, const GroupEnd& end);

}  // namespace narrow::runtime
