// The user's model into the form that quantization wants, computing the same.
#pragma once

#include <map>
#include <string>

#include "lib/graph/model.h"
#include "lib/tensor/tensor.h"

namespace narrow::rewrite {

/// First opset with per-channel QuantizeLinear and DequantizeLinear.
inline constexpr int kPerChannelOpset = 13;

/// Functions inlined, opset raised to kPerChannelOpset by ONNX's version converter where it is lower, float16 widened
/// to float32 (widen_float16.h), Constant nodes and initializers that were also inputs made plain initializers, unnamed
/// nodes named: all of it in bodies too, whose values get names of their own. Names of inputs, outputs and the main
/// graph's values, metadata and unknown fields survive. Throws Error(kUnsupported) naming what the converter can not
/// convert.
graph::Model prepare(const graph::Model& loaded);

/// A prepared model at `opset`, or as it is where its opset is as new. Names survive; nodes that the version converter
/// adds are named, and their constants are initializers.
graph::Model with_opset(const graph::Model& prepared, int opset);

/// Large weights in files that are transposed, reshaped or passed on become initializers that lie where they lay, read
/// in another order (graph/viewed_data.h): folding would copy each into memory.
graph::Model view_weights(const graph::Model& model);

/// Values known to be constant (exec::fold_constants) become initializers; the nodes that made them go. Copies of one
/// tensor in several bodies become one initializer of the main graph, which all bodies see.
graph::Model apply_constants(const graph::Model& model, const std::map<std::string, Tensor>& constants);

/// BatchNormalization, per-channel Mul and Add after Conv, ConvTranspose, Gemm and MatMul folded into weights and bias;
/// Gemm's alpha and beta folded into its constants; Identity and inference Dropout removed.
graph::Model fold_linear(const graph::Model& model);

/// A Conv whose window is its whole input, such as a classifier behind global pooling, becomes Flatten, Gemm (of its
/// name) and Reshape where no integer kernel reads its result: runtimes have products of rows that end in float32, so
/// that what leaves the graph is not rounded to 8 bits, but no such convolutions.
graph::Model dense_heads(const graph::Model& model);

}  // namespace narrow::rewrite
