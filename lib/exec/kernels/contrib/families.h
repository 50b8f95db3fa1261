// The factories of the domain com.microsoft, by file of this folder. Semantics are those of onnxruntime's kernels.
#pragma once

#include "lib/exec/float_program.h"

namespace narrow::exec {

// quantized.cc
KernelPtr make_qlinear_binary(const KernelRequest& request);
KernelPtr make_qlinear_unary(const KernelRequest& request);
KernelPtr make_qlinear_concat(const KernelRequest& request);
KernelPtr make_qlinear_where(const KernelRequest& request);
KernelPtr make_qgemm(const KernelRequest& request);
KernelPtr make_dynamic_quantize_matmul(const KernelRequest& request);
KernelPtr make_matmul_integer_to_float(const KernelRequest& request);
// fused.cc
KernelPtr make_contrib_gelu(const KernelRequest& request);
KernelPtr make_quick_gelu(const KernelRequest& request);
KernelPtr make_fused_matmul(const KernelRequest& request);
KernelPtr make_fused_gemm(const KernelRequest& request);
KernelPtr make_fused_conv(const KernelRequest& request);
KernelPtr make_contrib_pad(const KernelRequest& request);
KernelPtr make_contrib_trilu(const KernelRequest& request);
KernelPtr make_contrib_unique(const KernelRequest& request);
// embedding.cc
KernelPtr make_skip_layer_normalization(const KernelRequest& request);
KernelPtr make_embed_layer_normalization(const KernelRequest& request);
// block_quantized.cc
KernelPtr make_gather_block_quantized(const KernelRequest& request);
KernelPtr make_matmul_nbits(const KernelRequest& request);
// attention.cc
KernelPtr make_contrib_attention(const KernelRequest& request);
KernelPtr make_multi_head_attention(const KernelRequest& request);
KernelPtr make_qattention(const KernelRequest& request);
// group_query.cc
KernelPtr make_group_query_attention(const KernelRequest& request);
// ../recurrent.cc
/// LSTM whose constant weights multiply what is rounded to 8 bits, the inputs of all steps at once, then each step's
/// state.
KernelPtr make_rounding_lstm(const KernelRequest& request);
// dynamic_lstm.cc
KernelPtr make_dynamic_quantize_lstm(const KernelRequest& request);
// ../regions.cc
KernelPtr make_crop_and_resize(const KernelRequest& request);
// rotary.cc
KernelPtr make_rotary_embedding(const KernelRequest& request);

}  // namespace narrow::exec
