// One row per operator that quantization knows: which slots hold activations, weights and bias, and what its output's
// parameters come from.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "lib/graph/onnx_proto.h"

namespace narrow::ops {

enum class QuantRole {
  kWeighted,     // products with a weight: where the arithmetic is; the output has a range of its own
  kElementwise,  // arithmetic on activations; the output has a range of its own
  kClamp,        // Relu, Clip: vanishes into its producer's quantization where that clamps as it does
  kPassThrough,  // moves data: the output has the input's parameters
  kConcat,       // joins data: inputs and output share parameters where nothing else uses the inputs
  kFixedRange,   // the operator bounds its output: the range needs no data
  kNever,        // stays float
};

struct FixedRange {
  float rmin = 0;
  float rmax = 0;
};

struct OpRow {
  std::string_view op_type;
  QuantRole role = QuantRole::kNever;
  int activation_inputs = 1;  // how many of the first inputs carry activations; kAllInputs for variadic operators
  int weight_input = -1;      // slot, or -1
  int bias_input = -1;        // slot, or -1
  bool float_output = false;  // integer kernels with a float32 result exist: the output need not be quantized
  FixedRange range;           // kFixedRange only
  std::string_view note;      // kNever: why; else ""
};

inline constexpr int kAllInputs = -1;

/// The rows, sorted by op_type (ONNX's own domain).
std::span<const OpRow> op_table();

/// The row of a node, or nullptr if the operator is not in the table (it then stays float).
const OpRow* find_op(const onnx::NodeProto& node);

/// Axis of the weight that counts output channels: Conv 0; ConvTranspose 1; Gemm 0 if transB else 1; MatMul 1.
/// nullopt where per-channel scales have no meaning or no kernel (MatMul with a weight of another rank than 2,
/// ConvTranspose with groups).
std::optional<int64_t> weight_channel_axis(const onnx::NodeProto& node, size_t weight_rank);

/// LSTM, GRU and RNN: two weights, W of the inputs and R of the state, each multiplied once in a step of a sequence.
bool is_recurrent(std::string_view op_type);

}  // namespace narrow::ops
