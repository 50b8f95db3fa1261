// What follows the accumulation of a convolution or a matrix product, in the form oneDNN takes.
#pragma once

#include <vector>

#include "lib/onednn/engine.h"
#include "lib/onednn/output_transform.h"

namespace narrow::onednn {

/// Argument index of the operand of post-operation 0.
constexpr int kFirstPostOperand = DNNL_ARG_ATTR_MULTIPLE_POST_OP(0) | DNNL_ARG_SRC_1;

/// Post-operations of the transform; `multipliers` describes OutputTransform::multipliers broadcast over the result,
/// and is the argument of post-operation 0 if bias_first.
dnnl::post_ops make_post_ops(const OutputTransform& transform, const dnnl::memory::desc& multipliers);

/// Post-operations of a float32 product: + residual (nullptr: none; argument kFirstPostOperand), clamp, activations.
dnnl::post_ops make_float_post_ops(const dnnl::memory::desc* residual, const Clamp& clamp,
                                   const std::vector<Activation>& activations);

void append_activation(const Activation& activation, dnnl::post_ops& operations);

/// Appends the clamp, if it does anything.
void append_clamp(const Clamp& clamp, dnnl::post_ops& operations);

}  // namespace narrow::onednn
