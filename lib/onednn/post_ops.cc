#include "lib/onednn/post_ops.h"

namespace narrow::onednn {

dnnl::post_ops make_post_ops(const OutputTransform& transform, const dnnl::memory::desc& multipliers) {
  dnnl::post_ops operations;
  if (transform.bias_first) operations.append_binary(dnnl::algorithm::binary_mul, multipliers);
  append_clamp(transform.clamp, operations);
  if (transform.destination_zero_point != 0) {
    // oneDNN rounds last of all; the sum of a zero point and a fraction has fewer bits for the fraction, and an odd
    // zero point moves ties.
    operations.append_eltwise(dnnl::algorithm::eltwise_round, 0.0F, 0.0F);
    operations.append_eltwise(dnnl::algorithm::eltwise_linear, 1.0F,
                              static_cast<float>(transform.destination_zero_point));
  }
  return operations;
}

void append_clamp(const Clamp& clamp, dnnl::post_ops& operations) {
  if (clamp == Clamp{}) return;
  append_activation({.kind = Activation::Kind::kClamp, .alpha = clamp.low, .beta = clamp.high}, operations);
}

dnnl::post_ops make_float_post_ops(const dnnl::memory::desc* residual, const Clamp& clamp,
                                   const std::vector<Activation>& activations) {
  dnnl::post_ops operations;
  if (residual != nullptr) operations.append_binary(dnnl::algorithm::binary_add, *residual);
  append_clamp(clamp, operations);
  for (const Activation& activation : activations) append_activation(activation, operations);
  return operations;
}

}  // namespace narrow::onednn
