#include "lib/exec/kernel_table.h"

#include <algorithm>
#include <array>

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
    {"", "Bernoulli", make_bernoulli},
    {"", "BitShift", make_bit_shift},
    {"", "BitwiseAnd", make_arithmetic},
    {"", "BitwiseNot", make_unary},
    {"", "BitwiseOr", make_arithmetic},
    {"", "BitwiseXor", make_arithmetic},
    {"", "Cast", make_cast},
    {"", "CastLike", make_cast},
    {"", "Ceil", make_unary},
    {"", "Celu", make_parametric_unary},
    {"", "Clip", make_clip},
    {"", "Col2Im", make_col2im},
    {"", "Compress", make_compress},
    {"", "Concat", make_concat},
    {"", "Constant", make_constant},
    {"", "ConstantOfShape", make_constant_of_shape},
    {"", "Conv", make_conv},
    {"", "ConvInteger", make_conv_integer},
    {"", "ConvTranspose", make_conv_transpose},
    {"", "Cos", make_unary},
    {"", "Cosh", make_unary},
    {"", "CumProd", make_cumulative},
    {"", "CumSum", make_cumulative},
    {"", "DFT", make_dft},
    {"", "DeformConv", make_deform_conv},
    {"", "DepthToSpace", make_depth_to_space},
    {"", "DequantizeLinear", make_dequantize_linear},
    {"", "Det", make_det},
    {"", "Div", make_arithmetic},
    {"", "Dropout", make_dropout},
    {"", "DynamicQuantizeLinear", make_dynamic_quantize_linear},
    {"", "Einsum", make_einsum},
    {"", "Elu", make_parametric_unary},
    {"", "Equal", make_comparison},
    {"", "Erf", make_unary},
    {"", "Exp", make_unary},
    {"", "Expand", make_expand},
    {"", "EyeLike", make_eye_like},
    {"", "Flatten", make_flatten},
    {"", "Floor", make_unary},
    {"", "Gather", make_gather},
    {"", "GatherElements", make_gather_elements},
    {"", "GatherND", make_gather_nd},
    {"", "Gelu", make_parametric_unary},
    {"", "Gemm", make_gemm},
    {"", "GlobalAveragePool", make_global_pool},
    {"", "GlobalLpPool", make_global_pool},
    {"", "GlobalMaxPool", make_global_pool},
    {"", "Greater", make_comparison},
    {"", "GreaterOrEqual", make_comparison},
    {"", "GridSample", make_grid_sample},
    {"", "GroupNormalization", make_instance_normalization},
    {"", "HardSigmoid", make_parametric_unary},
    {"", "HardSwish", make_unary},
    {"", "Hardmax", make_hardmax},
    {"", "Identity", make_identity},
    {"", "InstanceNormalization", make_instance_normalization},
    {"", "IsInf", make_float_test},
    {"", "IsNaN", make_float_test},
    {"", "LRN", make_lrn},
    {"", "LayerNormalization", make_layer_normalization},
    {"", "LeakyRelu", make_parametric_unary},
    {"", "Less", make_comparison},
    {"", "LessOrEqual", make_comparison},
    {"", "Log", make_unary},
    {"", "LogSoftmax", make_softmax},
    {"", "LpNormalization", make_lp_normalization},
    {"", "LpPool", make_pool},
    {"", "MatMul", make_matmul},
    {"", "MatMulInteger", make_matmul_integer},
    {"", "Max", make_variadic},
    {"", "MaxPool", make_pool},
    {"", "MaxUnpool", make_max_unpool},
    {"", "Mean", make_variadic},
    {"", "MelWeightMatrix", make_mel_weight_matrix},
    {"", "Min", make_variadic},
    {"", "Mish", make_unary},
    {"", "Mod", make_arithmetic},
    {"", "Mul", make_arithmetic},
    {"", "Multinomial", make_multinomial},
    {"", "Neg", make_unary},
    {"", "NonMaxSuppression", make_non_max_suppression},
    {"", "NonZero", make_non_zero},
    {"", "Not", make_unary},
    {"", "OneHot", make_one_hot},
    {"", "Or", make_arithmetic},
    {"", "PRelu", make_prelu},
    {"", "Pad", make_pad},
    {"", "Pow", make_pow},
    {"", "QLinearConv", make_qlinear_conv},
    {"", "QLinearMatMul", make_qlinear_matmul},
    {"", "QuantizeLinear", make_quantize_linear},
    {"", "RMSNormalization", make_layer_normalization},
    {"", "RandomNormal", make_random},
    {"", "RandomNormalLike", make_random},
    {"", "RandomUniform", make_random},
    {"", "RandomUniformLike", make_random},
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
    {"", "Resize", make_resize},
    {"", "ReverseSequence", make_reverse_sequence},
    {"", "RoiAlign", make_roi_align},
    {"", "Round", make_unary},
    {"", "STFT", make_stft},
    {"", "Scatter", make_scatter_elements},
    {"", "ScatterElements", make_scatter_elements},
    {"", "ScatterND", make_scatter_nd},
    {"", "Selu", make_parametric_unary},
    {"", "Shape", make_shape},
    {"", "Shrink", make_parametric_unary},
    {"", "Sigmoid", make_unary},
    {"", "Sign", make_unary},
    {"", "Sin", make_unary},
    {"", "Sinh", make_unary},
    {"", "Size", make_size},
    {"", "Slice", make_slice},
    {"", "Softmax", make_softmax},
    {"", "Softplus", make_unary},
    {"", "Softsign", make_unary},
    {"", "SpaceToDepth", make_space_to_depth},
    {"", "Split", make_split},
    {"", "Sqrt", make_unary},
    {"", "Squeeze", make_squeeze},
    {"", "Sub", make_arithmetic},
    {"", "Sum", make_variadic},
    {"", "Swish", make_parametric_unary},
    {"", "Tan", make_unary},
    {"", "Tanh", make_unary},
    {"", "TensorScatter", make_tensor_scatter},
    {"", "ThresholdedRelu", make_parametric_unary},
    {"", "Tile", make_tile},
    {"", "TopK", make_top_k},
    {"", "Transpose", make_transpose},
    {"", "Trilu", make_trilu},
    {"", "Unique", make_unique},
    {"", "Unsqueeze", make_unsqueeze},
    {"", "Upsample", make_upsample},
    {"", "Where", make_where},
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
    refuse(request, node.domain().empty() ? "there is no kernel for this operator"
                                          : fmt::format("there is no kernel in domain '{}'", node.domain()));
  }
  return row->make(request);
}

}  // namespace narrow::exec
