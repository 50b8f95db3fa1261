#include "lib/exec/kernel_table.h"

#include <algorithm>
#include <array>

#include "lib/exec/function.h"
#include "lib/exec/kernels/families.h"
#include "lib/exec/kernels/support.h"
#include "lib/graph/model.h"

namespace narrow::exec {
namespace {

constexpr KernelRow kRows[] = {
    {"", "Abs", make_unary},
    {"", "Acos", make_unary},
    {"", "Acosh", make_unary},
    {"", "Add", make_arithmetic},
    {"", "And", make_arithmetic},
    {"", "ArgMax", make_arg_extreme},
    {"", "ArgMin", make_arg_extreme},
    {"", "Asin", make_unary},
    {"", "Asinh", make_unary},
    {"", "Atan", make_unary},
    {"", "Atanh", make_unary},
    {"", "AveragePool", make_pool},
    {"", "BatchNormalization", make_batch_normalization},
    {"", "BitCast", make_bit_cast, TypeUse::kNative},
    {"", "BitShift", make_bit_shift},
    {"", "BitwiseAnd", make_arithmetic},
    {"", "BitwiseNot", make_unary},
    {"", "BitwiseOr", make_arithmetic},
    {"", "BitwiseXor", make_arithmetic},
    {"", "Cast", make_cast, TypeUse::kNative},
    {"", "CastLike", make_cast, TypeUse::kNative},
    {"", "Ceil", make_unary},
    {"", "Celu", make_parametric_unary},
    {"", "Clip", make_clip},
    {"", "Concat", make_concat, TypeUse::kMoves},
    {"", "ConcatFromSequence", make_concat_from_sequence, TypeUse::kNative},
    {"", "Constant", make_constant},
    {"", "ConstantOfShape", make_constant_of_shape},
    {"", "Conv", make_conv},
    {"", "ConvInteger", make_conv_integer},
    {"", "ConvTranspose", make_conv_transpose},
    {"", "Cos", make_unary},
    {"", "Cosh", make_unary},
    {"", "CumSum", make_cum_sum},
    {"", "DepthToSpace", make_depth_to_space, TypeUse::kMoves},
    {"", "DequantizeLinear", make_dequantize_linear, TypeUse::kNative},
    {"", "Div", make_arithmetic},
    {"", "Dropout", make_dropout},
    {"", "DynamicQuantizeLinear", make_dynamic_quantize_linear},
    {"", "Elu", make_parametric_unary},
    {"", "Equal", make_comparison, TypeUse::kMovesAndWidens},
    {"", "Erf", make_unary},
    {"", "Exp", make_unary},
    {"", "Expand", make_expand, TypeUse::kMoves},
    {"", "EyeLike", make_eye_like},
    {"", "Flatten", make_flatten},
    {"", "Floor", make_unary},
    {"", "GRU", make_gru},
    {"", "Gather", make_gather, TypeUse::kMoves},
    {"", "GatherElements", make_gather_elements, TypeUse::kMoves},
    {"", "GatherND", make_gather_nd, TypeUse::kMoves},
    {"", "Gelu", make_parametric_unary},
    {"", "Gemm", make_gemm},
    {"", "GlobalAveragePool", make_global_pool},
    {"", "GlobalLpPool", make_global_pool},
    {"", "GlobalMaxPool", make_global_pool},
    {"", "Greater", make_comparison},
    {"", "GreaterOrEqual", make_comparison},
    {"", "GroupNormalization", make_instance_normalization},
    {"", "HardSigmoid", make_parametric_unary},
    {"", "HardSwish", make_unary},
    {"", "Hardmax", make_hardmax},
    {"", "Identity", make_identity},
    {"", "If", make_if, TypeUse::kNative},
    {"", "InstanceNormalization", make_instance_normalization},
    {"", "IsInf", make_float_test},
    {"", "IsNaN", make_float_test},
    {"", "LRN", make_lrn},
    {"", "LSTM", make_lstm},
    {"", "LayerNormalization", make_layer_normalization},
    {"", "LeakyRelu", make_parametric_unary},
    {"", "Less", make_comparison},
    {"", "LessOrEqual", make_comparison},
    {"", "Log", make_unary},
    {"", "LogSoftmax", make_softmax},
    {"", "Loop", make_loop, TypeUse::kNative},
    {"", "LpNormalization", make_lp_normalization},
    {"", "LpPool", make_pool},
    {"", "MatMul", make_matmul},
    {"", "MatMulInteger", make_matmul_integer},
    {"", "Max", make_variadic},
    {"", "MaxPool", make_pool},
    {"", "Mean", make_variadic},
    {"", "Min", make_variadic},
    {"", "Mish", make_unary},
    {"", "Mod", make_arithmetic},
    {"", "Mul", make_arithmetic},
    {"", "Neg", make_unary},
    {"", "NonZero", make_non_zero, TypeUse::kMovesAndWidens},
    {"", "Not", make_unary},
    {"", "OneHot", make_one_hot, TypeUse::kMovesAndWidens},
    {"", "Optional", make_optional, TypeUse::kNative},
    {"", "OptionalGetElement", make_optional_get_element, TypeUse::kNative},
    {"", "OptionalHasElement", make_optional_has_element, TypeUse::kNative},
    {"", "Or", make_arithmetic},
    {"", "PRelu", make_prelu},
    {"", "Pad", make_pad, TypeUse::kMoves},
    {"", "Pow", make_pow},
    {"", "QLinearConv", make_qlinear_conv},
    {"", "QLinearMatMul", make_qlinear_matmul},
    {"", "QuantizeLinear", make_quantize_linear, TypeUse::kNative},
    {"", "RMSNormalization", make_layer_normalization},
    {"", "RNN", make_rnn},
    {"", "Range", make_range},
    {"", "Reciprocal", make_unary},
    {"", "ReduceL1", make_reduce},
    {"", "ReduceL2", make_reduce},
    {"", "ReduceLogSum", make_reduce},
    {"", "ReduceLogSumExp", make_reduce},
    {"", "ReduceMax", make_reduce},
    {"", "ReduceMean", make_reduce},
    {"", "ReduceMin", make_reduce},
    {"", "ReduceProd", make_reduce},
    {"", "ReduceSum", make_reduce},
    {"", "ReduceSumSquare", make_reduce},
    {"", "Relu", make_unary},
    {"", "Reshape", make_reshape},
    {"", "Resize", make_resize, TypeUse::kMovesAndWidens},
    {"", "Round", make_unary},
    {"", "Scan", make_scan, TypeUse::kNative},
    {"", "Scatter", make_scatter_elements, TypeUse::kMovesAndWidens},
    {"", "ScatterElements", make_scatter_elements, TypeUse::kMovesAndWidens},
    {"", "ScatterND", make_scatter_nd, TypeUse::kMovesAndWidens},
    {"", "Selu", make_parametric_unary},
    {"", "SequenceAt", make_sequence_at, TypeUse::kNative},
    {"", "SequenceConstruct", make_sequence_construct, TypeUse::kNative},
    {"", "SequenceEmpty", make_sequence_empty, TypeUse::kNative},
    {"", "SequenceErase", make_sequence_erase, TypeUse::kNative},
    {"", "SequenceInsert", make_sequence_insert, TypeUse::kNative},
    {"", "SequenceLength", make_sequence_length, TypeUse::kNative},
    {"", "SequenceMap", make_sequence_map, TypeUse::kNative},
    {"", "Shape", make_shape},
    {"", "Shrink", make_parametric_unary},
    {"", "Sigmoid", make_unary},
    {"", "Sign", make_unary},
    {"", "Sin", make_unary},
    {"", "Sinh", make_unary},
    {"", "Size", make_size},
    {"", "Slice", make_slice, TypeUse::kMoves},
    {"", "Softmax", make_softmax},
    {"", "Softplus", make_unary},
    {"", "Softsign", make_unary},
    {"", "SpaceToDepth", make_space_to_depth, TypeUse::kMoves},
    {"", "Split", make_split, TypeUse::kMoves},
    {"", "SplitToSequence", make_split_to_sequence, TypeUse::kNative},
    {"", "Sqrt", make_unary},
    {"", "Squeeze", make_squeeze},
    {"", "Sub", make_arithmetic},
    {"", "Sum", make_variadic},
    {"", "Swish", make_parametric_unary},
    {"", "Tan", make_unary},
    {"", "Tanh", make_unary},
    {"", "ThresholdedRelu", make_parametric_unary},
    {"", "Tile", make_tile, TypeUse::kMoves},
    {"", "TopK", make_top_k},
    {"", "Transpose", make_transpose, TypeUse::kMoves},
    {"", "Trilu", make_trilu, TypeUse::kMoves},
    {"", "Unsqueeze", make_unsqueeze},
    {"", "Upsample", make_upsample, TypeUse::kMovesAndWidens},
    {"", "Where", make_where, TypeUse::kMoves},
    {"", "Xor", make_arithmetic},
};

constexpr bool before(const KernelRow& row, const KernelRow& other) {
  return row.domain != other.domain ? row.domain < other.domain : row.op_type < other.op_type;
}
static_assert(std::is_sorted(std::begin(kRows), std::end(kRows), before));

}  // namespace

std::span<const KernelRow> kernel_table() {
  return kRows;
}

const KernelRow* find_kernel_row(std::string_view domain, std::string_view op_type) {
  const KernelRow wanted{graph::canonical_domain(domain), op_type, nullptr};
  const auto* found = std::lower_bound(std::begin(kRows), std::end(kRows), wanted, before);
  if (found == std::end(kRows) || found->domain != wanted.domain || found->op_type != wanted.op_type) return nullptr;
  return found;
}

bool has_kernel(std::string_view domain, std::string_view op_type) {
  return find_kernel_row(domain, op_type) != nullptr;
}

KernelPtr make_kernel(const KernelRequest& request) {
  const onnx::NodeProto& node = *request.node;
  const KernelRow* row = find_kernel_row(node.domain(), node.op_type());
  if (row == nullptr) {
    if (has_function(node, request.opset)) return make_function(request);
    refuse(request, node.domain().empty() ? "there is no kernel for this operator"
                                          : fmt::format("there is no kernel in domain '{}'", node.domain()));
  }
  try {
    return adapt_types(request, row->types, row->make);
  } catch (const Error& error) {
    // What a kernel does not do, such as training mode, the operator's definition may.
    if (error.kind() != ErrorKind::kUnsupported || !has_function(node, request.opset)) throw;
  }
  return make_function(request);
}

}  // namespace narrow::exec
