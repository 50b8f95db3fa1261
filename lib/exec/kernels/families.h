// The factories of the kernel table, by file of this folder. Each throws Error(kUnsupported) naming the node.
#pragma once

#include "lib/exec/float_program.h"

namespace narrow::exec {

// unary.cc
KernelPtr make_unary(const KernelRequest& request);
KernelPtr make_parametric_unary(const KernelRequest& request);
KernelPtr make_float_test(const KernelRequest& request);
KernelPtr make_clip(const KernelRequest& request);
// binary.cc
KernelPtr make_arithmetic(const KernelRequest& request);
KernelPtr make_comparison(const KernelRequest& request);
KernelPtr make_pow(const KernelRequest& request);
KernelPtr make_variadic(const KernelRequest& request);
KernelPtr make_prelu(const KernelRequest& request);
KernelPtr make_bit_shift(const KernelRequest& request);
KernelPtr make_where(const KernelRequest& request);
// cast.cc
KernelPtr make_cast(const KernelRequest& request);
KernelPtr make_bit_cast(const KernelRequest& request);
// shape_ops.cc
KernelPtr make_reshape(const KernelRequest& request);
KernelPtr make_flatten(const KernelRequest& request);
KernelPtr make_squeeze(const KernelRequest& request);
KernelPtr make_unsqueeze(const KernelRequest& request);
KernelPtr make_identity(const KernelRequest& request);
KernelPtr make_shape(const KernelRequest& request);
KernelPtr make_size(const KernelRequest& request);
// transpose.cc
KernelPtr make_transpose(const KernelRequest& request);
KernelPtr make_depth_to_space(const KernelRequest& request);
KernelPtr make_space_to_depth(const KernelRequest& request);
KernelPtr make_expand(const KernelRequest& request);
KernelPtr make_tile(const KernelRequest& request);
// concat.cc
KernelPtr make_concat(const KernelRequest& request);
KernelPtr make_split(const KernelRequest& request);
// slice_pad.cc
KernelPtr make_slice(const KernelRequest& request);
KernelPtr make_pad(const KernelRequest& request);
// convolution.cc
KernelPtr make_conv(const KernelRequest& request);
// deconvolution.cc
KernelPtr make_conv_transpose(const KernelRequest& request);
// gemm.cc
KernelPtr make_gemm(const KernelRequest& request);
KernelPtr make_matmul(const KernelRequest& request);
// pooling.cc
KernelPtr make_pool(const KernelRequest& request);
KernelPtr make_global_pool(const KernelRequest& request);
// normalization.cc
KernelPtr make_batch_normalization(const KernelRequest& request);
KernelPtr make_instance_normalization(const KernelRequest& request);
KernelPtr make_layer_normalization(const KernelRequest& request);
KernelPtr make_lrn(const KernelRequest& request);
KernelPtr make_lp_normalization(const KernelRequest& request);
// softmax.cc
KernelPtr make_softmax(const KernelRequest& request);
KernelPtr make_hardmax(const KernelRequest& request);
// reduce.cc
KernelPtr make_reduce(const KernelRequest& request);
KernelPtr make_arg_extreme(const KernelRequest& request);
// order.cc
KernelPtr make_top_k(const KernelRequest& request);
KernelPtr make_cumulative(const KernelRequest& request);
// gather.cc
KernelPtr make_gather(const KernelRequest& request);
KernelPtr make_gather_elements(const KernelRequest& request);
KernelPtr make_gather_nd(const KernelRequest& request);
KernelPtr make_scatter_elements(const KernelRequest& request);
KernelPtr make_scatter_nd(const KernelRequest& request);
// generate.cc
KernelPtr make_constant(const KernelRequest& request);
KernelPtr make_constant_of_shape(const KernelRequest& request);
KernelPtr make_range(const KernelRequest& request);
KernelPtr make_one_hot(const KernelRequest& request);
KernelPtr make_non_zero(const KernelRequest& request);
KernelPtr make_trilu(const KernelRequest& request);
KernelPtr make_eye_like(const KernelRequest& request);
// resize.cc
KernelPtr make_resize(const KernelRequest& request);
KernelPtr make_upsample(const KernelRequest& request);
// control_flow.cc
KernelPtr make_if(const KernelRequest& request);
KernelPtr make_loop(const KernelRequest& request);
KernelPtr make_sequence_map(const KernelRequest& request);
// recurrent.cc
KernelPtr make_recurrent(const KernelRequest& request);
// scan.cc
KernelPtr make_scan(const KernelRequest& request);
// sequence.cc
KernelPtr make_sequence_construct(const KernelRequest& request);
KernelPtr make_sequence_empty(const KernelRequest& request);
KernelPtr make_sequence_length(const KernelRequest& request);
KernelPtr make_sequence_at(const KernelRequest& request);
KernelPtr make_sequence_insert(const KernelRequest& request);
KernelPtr make_sequence_erase(const KernelRequest& request);
KernelPtr make_split_to_sequence(const KernelRequest& request);
KernelPtr make_concat_from_sequence(const KernelRequest& request);
KernelPtr make_optional(const KernelRequest& request);
KernelPtr make_optional_has_element(const KernelRequest& request);
KernelPtr make_optional_get_element(const KernelRequest& request);
// quantize.cc
KernelPtr make_quantize_linear(const KernelRequest& request);
KernelPtr make_dequantize_linear(const KernelRequest& request);
KernelPtr make_dynamic_quantize_linear(const KernelRequest& request);
// detection.cc
KernelPtr make_non_max_suppression(const KernelRequest& request);
// roi_align.cc
KernelPtr make_roi_align(const KernelRequest& request);
// regions.cc
KernelPtr make_max_roi_pool(const KernelRequest& request);
// grid_sample.cc
KernelPtr make_grid_sample(const KernelRequest& request);
// select.cc
KernelPtr make_compress(const KernelRequest& request);
KernelPtr make_reverse_sequence(const KernelRequest& request);
KernelPtr make_tensor_scatter(const KernelRequest& request);
// unique.cc
KernelPtr make_unique(const KernelRequest& request);
// linear_algebra.cc
KernelPtr make_det(const KernelRequest& request);
KernelPtr make_inverse(const KernelRequest& request);
// unpool.cc
KernelPtr make_max_unpool(const KernelRequest& request);
KernelPtr make_col2im(const KernelRequest& request);
// deform_conv.cc
KernelPtr make_deform_conv(const KernelRequest& request);
// einsum.cc
KernelPtr make_einsum(const KernelRequest& request);
// fourier.cc
KernelPtr make_dft(const KernelRequest& request);
KernelPtr make_stft(const KernelRequest& request);
KernelPtr make_mel_weight_matrix(const KernelRequest& request);
// random.cc
KernelPtr make_random(const KernelRequest& request);
KernelPtr make_bernoulli(const KernelRequest& request);
KernelPtr make_multinomial(const KernelRequest& request);
KernelPtr make_dropout(const KernelRequest& request);
// training_normalization.cc
KernelPtr make_training_normalization(const KernelRequest& request);
// training.cc
KernelPtr make_adagrad(const KernelRequest& request);
KernelPtr make_adam(const KernelRequest& request);
KernelPtr make_momentum(const KernelRequest& request);
// image_decoder.cc
KernelPtr make_image_decoder(const KernelRequest& request);
// integer.cc
KernelPtr make_matmul_integer(const KernelRequest& request);
KernelPtr make_conv_integer(const KernelRequest& request);
KernelPtr make_qlinear_conv(const KernelRequest& request);
KernelPtr make_qlinear_matmul(const KernelRequest& request);

}  // namespace narrow::exec
