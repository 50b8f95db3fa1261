// Float layers between quantized values, in a form in which runtimes leave them float.
#pragma once

#include "lib/graph/model.h"

namespace narrow::rewrite {

/// onnxruntime (optimizer WeightBiasQuantization, on from the basic level; seen in 1.31) rounds a float32 weight of
/// Conv, ConvTranspose and Gemm to int8 with one scale for the whole tensor, and a float32 bias to int32, where what
/// they read comes from a DequantizeLinear with one scale, and a QuantizeLinear follows, at most behind Relu and Clip.
/// It takes such layers for forgotten ones; a plan left them float because 8 bits ruin them. A Conv whose weight is
/// stored in 2 bits it makes a QLinearConv, which has no such type, and then refuses the file. These get a
/// DequantizeLinear of their own, with the same scale once for each channel, which says the same. A MatMul or Gemm
/// whose weight is stored in 2 bits, or in 8 in blocks, it makes a MatMulIntegerToFloat behind a rounded value (its
/// siblings' on integers), and refuses the file or fails in its run; a sum of one term keeps a MatMul from that. A
/// weight of 2 bits in front of a Gemm without transB, or of MatMul and Add, it unpacks wrongly: a sum of one term is
/// between there too. Names of values stay unique; `model` is a QDQ model.
void keep_float_layers(graph::Model& model);

}  // namespace narrow::rewrite
