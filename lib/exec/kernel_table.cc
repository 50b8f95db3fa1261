#include "lib/exec/kernel_table.h"

#include <algorithm>
#include <array>

#include "lib/exec/function.h"
#include "lib/exec/kernels/contrib/families.h"
#include "lib/exec/kernels/families.h"
#include "lib/exec/kernels/ml/families.h"
#include "lib/exec/kernels/support.h"
#include "lib/exec/kernels/text/families.h"
#include "lib/graph/model.h"
#include "lib/tensor/wrong_element_type.h"

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
    {"", "Col2Im", make_col2im, TypeUse::kWidens},
    {"", "Compress", make_compress, TypeUse::kMoves},
    {"", "Concat", make_concat, TypeUse::kMoves},
    {"", "ConcatFromSequence", make_concat_from_sequence, TypeUse::kNative},
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
    {"", "DepthToSpace", make_depth_to_space, TypeUse::kMoves},
    {"", "DequantizeLinear", make_dequantize_linear, TypeUse::kNative},
    {"", "Det", make_det},
    {"", "Div", make_arithmetic},
    {"", "Dropout", make_dropout},
    {"", "DynamicQuantizeLinear", make_dynamic_quantize_linear},
    {"", "Einsum", make_einsum},
    {"", "Elu", make_parametric_unary},
    {"", "Equal", make_comparison, TypeUse::kMovesAndWidens},
    {"", "Erf", make_unary},
    {"", "Exp", make_unary},
    {"", "Expand", make_expand, TypeUse::kMoves},
    {"", "EyeLike", make_eye_like},
    {"", "Flatten", make_flatten},
    {"", "Floor", make_unary},
    {"", "GRU", make_recurrent},
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
    {"", "GridSample", make_grid_sample, TypeUse::kWidens},
    {"", "GroupNormalization", make_instance_normalization},
    {"", "HardSigmoid", make_parametric_unary},
    {"", "HardSwish", make_unary},
    {"", "Hardmax", make_hardmax},
    {"", "Identity", make_identity},
    {"", "If", make_if, TypeUse::kNative},
    {"", "ImageDecoder", make_image_decoder},
    {"", "InstanceNormalization", make_instance_normalization},
    {"", "IsInf", make_float_test},
    {"", "IsNaN", make_float_test},
    {"", "LRN", make_lrn},
    {"", "LSTM", make_recurrent},
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
    {"", "MaxRoiPool", make_max_roi_pool},
    {"", "MaxUnpool", make_max_unpool},
    {"", "Mean", make_variadic},
    {"", "MelWeightMatrix", make_mel_weight_matrix, TypeUse::kWidens},
    {"", "Min", make_variadic},
    {"", "Mish", make_unary},
    {"", "Mod", make_arithmetic},
    {"", "Mul", make_arithmetic},
    {"", "Multinomial", make_multinomial},
    {"", "Neg", make_unary},
    {"", "NonMaxSuppression", make_non_max_suppression},
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
    {"", "RNN", make_recurrent},
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
    {"", "RegexFullMatch", make_regex_full_match},
    {"", "Relu", make_unary},
    {"", "Reshape", make_reshape},
    {"", "Resize", make_resize, TypeUse::kMovesAndWidens},
    {"", "ReverseSequence", make_reverse_sequence, TypeUse::kMoves},
    {"", "RoiAlign", make_roi_align},
    {"", "Round", make_unary},
    {"", "STFT", make_stft},
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
    {"", "SimplifiedLayerNormalization", make_layer_normalization},
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
    {"", "StringConcat", make_string_concat},
    {"", "StringNormalizer", make_string_normalizer},
    {"", "StringSplit", make_string_split},
    {"", "Sub", make_arithmetic},
    {"", "Sum", make_variadic},
    {"", "Swish", make_parametric_unary},
    {"", "Tan", make_unary},
    {"", "Tanh", make_unary},
    {"", "TensorScatter", make_tensor_scatter, TypeUse::kMoves},
    {"", "TfIdfVectorizer", make_tfidf_vectorizer},
    {"", "ThresholdedRelu", make_parametric_unary},
    {"", "Tile", make_tile, TypeUse::kMoves},
    {"", "TopK", make_top_k},
    {"", "Transpose", make_transpose, TypeUse::kMoves},
    {"", "Trilu", make_trilu, TypeUse::kMoves},
    {"", "Unique", make_unique, TypeUse::kMovesAndWidens},
    {"", "Unsqueeze", make_unsqueeze},
    {"", "Upsample", make_upsample, TypeUse::kMovesAndWidens},
    {"", "Where", make_where, TypeUse::kMoves},
    {"", "Xor", make_arithmetic},
    {"ai.onnx.ml", "ArrayFeatureExtractor", make_array_feature_extractor},
    {"ai.onnx.ml", "Binarizer", make_binarizer},
    {"ai.onnx.ml", "CastMap", make_map_operator},
    {"ai.onnx.ml", "CategoryMapper", make_category_mapper},
    {"ai.onnx.ml", "DictVectorizer", make_map_operator},
    {"ai.onnx.ml", "FeatureVectorizer", make_feature_vectorizer},
    {"ai.onnx.ml", "Imputer", make_imputer},
    {"ai.onnx.ml", "LabelEncoder", make_label_encoder},
    {"ai.onnx.ml", "LinearClassifier", make_linear_classifier},
    {"ai.onnx.ml", "LinearRegressor", make_linear_regressor},
    {"ai.onnx.ml", "Normalizer", make_row_normalizer},
    {"ai.onnx.ml", "OneHotEncoder", make_one_hot_encoder},
    {"ai.onnx.ml", "SVMClassifier", make_svm_classifier},
    {"ai.onnx.ml", "SVMRegressor", make_svm_regressor},
    {"ai.onnx.ml", "Scaler", make_scaler},
    {"ai.onnx.ml", "TreeEnsemble", make_tree_ensemble},
    {"ai.onnx.ml", "TreeEnsembleClassifier", make_tree_ensemble_classifier},
    {"ai.onnx.ml", "TreeEnsembleRegressor", make_tree_ensemble_regressor},
    {"ai.onnx.ml", "ZipMap", make_zip_map},
    {"ai.onnx.preview.training", "Adagrad", make_adagrad},
    {"ai.onnx.preview.training", "Adam", make_adam},
    {"ai.onnx.preview.training", "Momentum", make_momentum},
    {"com.microsoft", "Attention", make_contrib_attention},
    {"com.microsoft", "BiasGelu", make_contrib_gelu},
    {"com.microsoft", "CropAndResize", make_crop_and_resize},
    {"com.microsoft", "DequantizeLinear", make_dequantize_linear},
    {"com.microsoft", "DynamicQuantizeLSTM", make_dynamic_quantize_lstm},
    {"com.microsoft", "DynamicQuantizeMatMul", make_dynamic_quantize_matmul},
    {"com.microsoft", "EmbedLayerNormalization", make_embed_layer_normalization},
    {"com.microsoft", "FastGelu", make_contrib_gelu},
    {"com.microsoft", "FusedConv", make_fused_conv},
    {"com.microsoft", "FusedGemm", make_fused_gemm},
    {"com.microsoft", "FusedMatMul", make_fused_matmul},
    {"com.microsoft", "GatherBlockQuantized", make_gather_block_quantized},
    {"com.microsoft", "Gelu", make_contrib_gelu},
    {"com.microsoft", "GroupQueryAttention", make_group_query_attention},
    {"com.microsoft", "Inverse", make_inverse},
    {"com.microsoft", "MatMulIntegerToFloat", make_matmul_integer_to_float},
    {"com.microsoft", "MatMulNBits", make_matmul_nbits},
    {"com.microsoft", "MultiHeadAttention", make_multi_head_attention},
    {"com.microsoft", "Pad", make_contrib_pad},
    {"com.microsoft", "QAttention", make_qattention},
    {"com.microsoft", "QGemm", make_qgemm},
    {"com.microsoft", "QLinearAdd", make_qlinear_binary},
    {"com.microsoft", "QLinearAveragePool", make_qlinear_unary},
    {"com.microsoft", "QLinearConcat", make_qlinear_concat},
    {"com.microsoft", "QLinearGlobalAveragePool", make_qlinear_unary},
    {"com.microsoft", "QLinearLeakyRelu", make_qlinear_unary},
    {"com.microsoft", "QLinearMul", make_qlinear_binary},
    {"com.microsoft", "QLinearSigmoid", make_qlinear_unary},
    {"com.microsoft", "QLinearSoftmax", make_qlinear_unary},
    {"com.microsoft", "QLinearWhere", make_qlinear_where},
    {"com.microsoft", "QuantizeLinear", make_quantize_linear},
    {"com.microsoft", "QuickGelu", make_quick_gelu},
    {"com.microsoft", "RotaryEmbedding", make_rotary_embedding},
    {"com.microsoft", "SkipLayerNormalization", make_skip_layer_normalization},
    {"com.microsoft", "SkipSimplifiedLayerNormalization", make_skip_layer_normalization},
    {"com.microsoft", "TransposeMatMul", make_fused_matmul},
    {"com.microsoft", "Trilu", make_contrib_trilu, TypeUse::kMoves},
    {"com.microsoft", "Unique", make_contrib_unique},
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

namespace {

struct RefusalRow {
  std::string_view domain;
  std::string_view op_type;  // empty: all others of the domain
  std::string_view reason;
};

constexpr std::string_view kChannelsLast =
    "channels are last in it, as onnxruntime saves optimized models for one kind of CPU: take the model as it was "
    "before, or save it with optimizations up to ORT_ENABLE_EXTENDED";

constexpr RefusalRow kRefusals[] = {
    {"com.microsoft", "MatMulBnb4", "4-bit floats of bitsandbytes are no type of ONNX"},
    {"com.microsoft", "MoE", "experts that are chosen for each token are not supported"},
    {"com.microsoft", "NhwcMaxPool", kChannelsLast},
    {"com.microsoft", "QLinearConv", kChannelsLast},
    {"com.microsoft", "QMoE", "experts that are chosen for each token are not supported"},
    {"com.microsoft", "SampleOp", "onnxruntime keeps it for its own tests"},
    {"com.microsoft", "Tokenizer", "it cuts text by regular expressions of onnxruntime's own (RE2)"},
    {"com.microsoft.nchwc", "",
     "its blocks of channels are onnxruntime's own for one kind of CPU: take the model as it was before, or save it "
     "with optimizations up to ORT_ENABLE_EXTENDED"},
};

std::string no_kernel_reason(const onnx::NodeProto& node) {
  for (const RefusalRow& row : kRefusals) {
    if (row.domain == node.domain() && (row.op_type.empty() || row.op_type == node.op_type())) {
      return std::string(row.reason);
    }
  }
  return node.domain().empty() ? "there is no kernel for this operator"
                               : fmt::format("there is no kernel in domain '{}'", node.domain());
}

}  // namespace

KernelPtr make_kernel(const KernelRequest& request) {
  const onnx::NodeProto& node = *request.node;
  const KernelRow* row = find_kernel_row(node.domain(), node.op_type());
  if (row == nullptr) {
    if (has_function(node, request.opset)) return make_function(request);
    refuse(request, no_kernel_reason(node));
  }
  try {
    return reading_operands([&] { return adapt_types(request, row->types, row->make); });
  } catch (Error& error) {
    // What a kernel does not do, such as training mode, the operator's definition may.
    if (error.kind() != ErrorKind::kUnsupported || !has_function(node, request.opset)) {
      error.add_context(fmt::format("node '{}' ({})", graph::node_label(node), node.op_type()));
      throw;
    }
  }
  return make_function(request);
}

}  // namespace narrow::exec
