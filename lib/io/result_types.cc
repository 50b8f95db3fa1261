#include "lib/io/result_types.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "lib/graph/schemas.h"

namespace narrow::io {
namespace {

using Context = onnx::InferenceContext;
using ShapeProto = onnx::TensorShapeProto;
using Dim = ShapeProto::Dimension;

bool has_output(const Context& context, size_t i) {
  return i < context.getNumOutputs();
}

const ShapeProto* shape_of(const Context& context, size_t i) {
  return onnx::hasInputShape(context, i) ? &onnx::getInputShape(context, i) : nullptr;
}

bool has_input(const Context& context, size_t i) {
  return i < context.getNumInputs() && context.getInputType(i) != nullptr;
}

int64_t int_of(const Context& context, const char* name, int64_t otherwise) {
  return onnx::getAttribute(context, name, otherwise);
}

Dim dim_of(int64_t size) {
  Dim dim;
  dim.set_dim_value(size);
  return dim;
}

/// Nothing is known of an input whose type nobody tells.
void set_type(Context& context, size_t input, size_t output) {
  if (!has_output(context, output) || !has_input(context, input)) return;
  onnx::propagateElemTypeFromInputToOutput(context, input, output);
}

void set_type_to(Context& context, int32_t type, size_t output = 0) {
  if (has_output(context, output)) onnx::updateOutputElemType(context, output, type);
}

void set_shape(Context& context, const ShapeProto& shape, size_t output = 0) {
  if (has_output(context, output)) onnx::updateOutputShape(context, output, shape);
}

void set_shape(Context& context, std::initializer_list<Dim> dims, size_t output = 0) {
  ShapeProto shape;
  for (const Dim& dim : dims) *shape.add_dim() = dim;
  set_shape(context, shape, output);
}

void set_shape_like(Context& context, size_t input, size_t output = 0) {
  if (const ShapeProto* shape = shape_of(context, input)) set_shape(context, *shape, output);
}

void like_first(Context& context) {
  set_type(context, 0, 0);
  set_shape_like(context, 0);
}

// Input and skip, gamma, beta, bias -> their sum normalized, mean, inverse deviation, the sum.
void skip_normalization(Context& context) {
  like_first(context);
  for (const size_t statistics : {1U, 2U}) set_type_to(context, onnx::TensorProto::FLOAT, statistics);
  set_type(context, 0, 3);
  set_shape_like(context, 0, 3);
}

// Ids [B, S], segments, tables [words, H] ... -> [B, S, H], mask index [B], the sum.
void embed_normalization(Context& context) {
  for (const size_t output : {0U, 2U}) set_type(context, 2, output);
  set_type_to(context, onnx::TensorProto::INT32, 1);
  const ShapeProto* ids = shape_of(context, 0);
  const ShapeProto* words = shape_of(context, 2);
  if (ids == nullptr || ids->dim_size() != 2) return;
  set_shape(context, {ids->dim(0)}, 1);
  if (words == nullptr || words->dim_size() != 2) return;
  for (const size_t output : {0U, 2U}) set_shape(context, {ids->dim(0), ids->dim(1), words->dim(1)}, output);
}

/// Input [B, S, ...] and weights [..., q + k + v] -> [B, S, v].
void set_attention_shape(Context& context) {
  const ShapeProto* input = shape_of(context, 0);
  const ShapeProto* weights = shape_of(context, 1);
  if (input == nullptr || input->dim_size() != 3) return;
  Dim hidden;
  std::vector<int64_t> sizes;
  if (onnx::getRepeatedAttribute(context, "qkv_hidden_sizes", sizes) && sizes.size() == 3) {
    hidden = dim_of(sizes[2]);
  } else if (weights != nullptr && weights->dim_size() == 2 && weights->dim(1).has_dim_value()) {
    hidden = dim_of(weights->dim(1).dim_value() / 3);
  }
  set_shape(context, {input->dim(0), input->dim(1), hidden});
}

/// Results are of the type of an input: its data, or their scales where it is of integers.
template <size_t kTypedAs>
void attention(Context& context) {
  for (const size_t output : {0U, 1U}) set_type(context, kTypedAs, output);
  set_attention_shape(context);
}

// Query [B, S, H] or packed [B, S, N, 3, h]; values [B, L, V] or [B, N, L, h], or packed in the keys.
void multi_head_attention(Context& context) {
  for (size_t output = 0; output < 4; ++output) set_type(context, 0, output);
  const ShapeProto* query = shape_of(context, 0);
  const ShapeProto* value = shape_of(context, 2);
  if (query == nullptr || query->dim_size() < 3) return;
  Dim hidden;
  if (query->dim_size() == 5) {
    hidden = query->dim(2) * query->dim(4);
  } else if (value != nullptr && value->dim_size() == 3) {
    hidden = value->dim(2);
  } else if (value != nullptr && value->dim_size() == 4) {
    hidden = value->dim(1) * value->dim(3);
  } else if (!has_input(context, 2)) {
    hidden = query->dim(2);
  }
  set_shape(context, {query->dim(0), query->dim(1), hidden});
}

// Query [B, S, N * h], or with keys and values of fewer heads behind it.
void group_query_attention(Context& context) {
  for (size_t output = 0; output < 3; ++output) set_type(context, 0, output);
  const ShapeProto* query = shape_of(context, 0);
  if (query == nullptr || query->dim_size() != 3) return;
  const int64_t heads = int_of(context, "num_heads", 0);
  const int64_t all = heads + 2 * int_of(context, "kv_num_heads", 0);
  const bool packed = !has_input(context, 1);
  set_shape(context, {query->dim(0), query->dim(1), packed && all > 0 ? query->dim(2) / all * heads : query->dim(2)});
}

/// [..., M, K] x [..., K, N], of inputs `left` and `right`; either may be a vector.
void set_product_shape(Context& context, size_t left, size_t right, bool swap_left = false, bool swap_right = false) {
  if (shape_of(context, left) == nullptr || shape_of(context, right) == nullptr) return;
  ShapeProto a = *shape_of(context, left);
  ShapeProto b = *shape_of(context, right);
  if (a.dim_size() < 2 || b.dim_size() < 2) {
    if (a.dim_size() < 2 || b.dim_size() != 1) return;
    a.mutable_dim()->RemoveLast();
    return set_shape(context, a);
  }
  const Dim rows = a.dim(a.dim_size() - (swap_left ? 1 : 2));
  const Dim columns = b.dim(b.dim_size() - (swap_right ? 2 : 1));
  for (ShapeProto* shape : {&a, &b}) {
    for (int i = 0; i < 2; ++i) shape->mutable_dim()->RemoveLast();
  }
  ShapeProto result;
  onnx::bidirectionalBroadcastShapeInference(a, b, result);
  *result.add_dim() = rows;
  *result.add_dim() = columns;
  set_shape(context, result);
}

/// A product of inputs 0 and 1.
template <size_t kTypedAs>
void product(Context& context) {
  set_type(context, kTypedAs, 0);
  set_product_shape(context, 0, 1);
}

void fused_matmul(Context& context) {
  set_type(context, 0, 0);
  const auto flag = [&](const char* name) { return int_of(context, name, 0) != 0; };
  if (flag("transBatchA") || flag("transBatchB")) return;
  set_product_shape(context, 0, 1, flag("transA"), flag("transB"));
}

void fused_gemm(Context& context) {
  set_type(context, 0, 0);
  set_product_shape(context, 0, 1, int_of(context, "transA", 0) != 0, int_of(context, "transB", 0) != 0);
}

void quantized_gemm(Context& context) {
  if (has_input(context, 8)) {
    set_type(context, 8, 0);
  } else {
    set_type_to(context, onnx::TensorProto::FLOAT);
  }
  set_product_shape(context, 0, 3, int_of(context, "transA", 0) != 0, int_of(context, "transB", 0) != 0);
}

void block_product(Context& context) {
  set_type(context, 0, 0);
  if (shape_of(context, 0) == nullptr || shape_of(context, 0)->dim_size() == 0) return;
  ShapeProto shape = *shape_of(context, 0);
  *shape.mutable_dim(shape.dim_size() - 1) = dim_of(int_of(context, "N", 0));
  set_shape(context, shape);
}

// Numbers as their scales; a row of bytes holds more of them than bytes.
void block_lookup(Context& context) {
  set_type(context, 2, 0);
  const ShapeProto* table = shape_of(context, 0);
  const ShapeProto* indices = shape_of(context, 1);
  if (table == nullptr || indices == nullptr || table->dim_size() == 0) return;
  ShapeProto rows = *table;
  if (context.getInputType(0)->tensor_type().elem_type() == onnx::TensorProto::UINT8) {
    Dim& last = *rows.mutable_dim(rows.dim_size() - 1);
    last = last * (8 / std::max<int64_t>(int_of(context, "bits", 4), 1));
  }
  const int64_t axis = int_of(context, "gather_axis", 0);
  const int64_t at = axis < 0 ? axis + rows.dim_size() : axis;
  ShapeProto result;
  for (int i = 0; i < rows.dim_size(); ++i) {
    if (i != at) *result.add_dim() = rows.dim(i);
    for (int k = 0; i == at && k < indices->dim_size(); ++k) *result.add_dim() = indices->dim(k);
  }
  set_shape(context, result);
}

void quantized_binary(Context& context) {
  set_type(context, 0, 0);
  if (shape_of(context, 0) == nullptr || shape_of(context, 3) == nullptr) return;
  ShapeProto result;
  onnx::bidirectionalBroadcastShapeInference(*shape_of(context, 0), *shape_of(context, 3), result);
  set_shape(context, result);
}

void quantized_where(Context& context) {
  set_type(context, 1, 0);
  std::vector<const ShapeProto*> shapes{shape_of(context, 0), shape_of(context, 1), shape_of(context, 4)};
  if (std::find(shapes.begin(), shapes.end(), nullptr) != shapes.end()) return;
  ShapeProto result;
  onnx::multidirectionalBroadcastShapeInference(shapes, result);
  set_shape(context, result);
}

void quantized_concat(Context& context) {
  set_type(context, 2, 0);
  if (shape_of(context, 2) == nullptr) return;
  ShapeProto result = *shape_of(context, 2);
  const int64_t axis = int_of(context, "axis", 0);
  const auto at = static_cast<int>(axis < 0 ? axis + result.dim_size() : axis);
  if (at < 0 || at >= result.dim_size()) return;
  for (size_t part = 5; part < context.getNumInputs(); part += 3) {
    const ShapeProto* shape = shape_of(context, part);
    const bool fits = shape != nullptr && shape->dim_size() == result.dim_size() && shape->dim(at).has_dim_value() &&
                      result.dim(at).has_dim_value();
    *result.mutable_dim(at) = fits ? dim_of(result.dim(at).dim_value() + shape->dim(at).dim_value()) : Dim();
  }
  set_shape(context, result);
}

void quantize(Context& context) {
  if (has_input(context, 2)) {
    set_type(context, 2, 0);
  } else {
    set_type_to(context, onnx::TensorProto::UINT8);
  }
  set_shape_like(context, 0);
}

void dequantize(Context& context) {
  set_type(context, 1, 0);
  set_shape_like(context, 0);
}

void crop_and_resize(Context& context) {
  set_type(context, 0, 0);
}

void unique(Context& context) {
  set_type(context, 0, 0);
  for (const size_t output : {1U, 2U}) set_type_to(context, onnx::TensorProto::INT64, output);
  for (size_t output = 0; output < 3; ++output) {
    if (has_output(context, output)) set_shape(context, {Dim()}, output);
  }
}

/// float32 of the first input's shape.
void floats_like_first(Context& context) {
  set_type_to(context, onnx::TensorProto::FLOAT);
  set_shape_like(context, 0);
}

void floats(Context& context) {
  set_type_to(context, onnx::TensorProto::FLOAT);
}

void tree_classifier(Context& context) {
  std::vector<std::string> names;
  const bool by_name = onnx::getRepeatedAttribute(context, "classlabels_strings", names) && !names.empty();
  set_type_to(context, by_name ? onnx::TensorProto::STRING : onnx::TensorProto::INT64, 0);
  set_type_to(context, onnx::TensorProto::FLOAT, 1);
  if (const ShapeProto* shape = shape_of(context, 0); shape != nullptr && shape->dim_size() == 2) {
    set_shape(context, {shape->dim(0)}, 0);
    set_shape(context, {shape->dim(0), Dim()}, 1);
  }
}

struct Row {
  std::string_view domain;
  std::string_view op_type;
  void (*infer)(Context& context) = nullptr;
  const char* like = nullptr;  // where infer is nullptr: inferred as this operator of ONNX is, by what both have
  int version = 0;             // of that
};

constexpr auto kRows = std::to_array<Row>({
    {"ai.onnx.ml", "FeatureVectorizer", floats},
    {"ai.onnx.ml", "Imputer", like_first},
    {"ai.onnx.ml", "LinearRegressor", floats},
    {"ai.onnx.ml", "Normalizer", floats_like_first},
    {"ai.onnx.ml", "SVMRegressor", floats},
    {"ai.onnx.ml", "Scaler", floats_like_first},
    {"ai.onnx.ml", "TreeEnsembleClassifier", tree_classifier},
    {"ai.onnx.ml", "TreeEnsembleRegressor", floats},
    {"com.microsoft", "Attention", attention<0>},
    {"com.microsoft", "BiasGelu", like_first},
    {"com.microsoft", "CropAndResize", crop_and_resize},
    {"com.microsoft", "DequantizeLinear", dequantize},
    {"com.microsoft", "DynamicQuantizeLSTM", nullptr, "LSTM", 14},
    {"com.microsoft", "DynamicQuantizeMatMul", product<0>},
    {"com.microsoft", "EmbedLayerNormalization", embed_normalization},
    {"com.microsoft", "FastGelu", like_first},
    {"com.microsoft", "FusedConv", nullptr, "Conv", 11},
    {"com.microsoft", "FusedGemm", fused_gemm},
    {"com.microsoft", "FusedMatMul", fused_matmul},
    {"com.microsoft", "GatherBlockQuantized", block_lookup},
    {"com.microsoft", "Gelu", like_first},
    {"com.microsoft", "GroupQueryAttention", group_query_attention},
    {"com.microsoft", "Inverse", like_first},
    {"com.microsoft", "MatMulIntegerToFloat", product<2>},
    {"com.microsoft", "MatMulNBits", block_product},
    {"com.microsoft", "MultiHeadAttention", multi_head_attention},
    {"com.microsoft", "Pad", nullptr, "Pad", 13},
    {"com.microsoft", "QAttention", attention<3>},
    {"com.microsoft", "QGemm", quantized_gemm},
    {"com.microsoft", "QLinearAdd", quantized_binary},
    {"com.microsoft", "QLinearAveragePool", nullptr, "AveragePool", 19},
    {"com.microsoft", "QLinearConcat", quantized_concat},
    {"com.microsoft", "QLinearGlobalAveragePool", nullptr, "GlobalAveragePool", 1},
    {"com.microsoft", "QLinearLeakyRelu", like_first},
    {"com.microsoft", "QLinearMul", quantized_binary},
    {"com.microsoft", "QLinearSigmoid", like_first},
    {"com.microsoft", "QLinearSoftmax", like_first},
    {"com.microsoft", "QLinearWhere", quantized_where},
    {"com.microsoft", "QuantizeLinear", quantize},
    {"com.microsoft", "QuickGelu", like_first},
    {"com.microsoft", "RotaryEmbedding", like_first},
    {"com.microsoft", "SkipLayerNormalization", skip_normalization},
    {"com.microsoft", "SkipSimplifiedLayerNormalization", skip_normalization},
    {"com.microsoft", "TransposeMatMul", fused_matmul},
    {"com.microsoft", "Trilu", like_first},
    {"com.microsoft", "Unique", unique},
});

std::unique_ptr<onnx::OpSchema> schema_of(const Row& row) {
  auto schema = std::make_unique<onnx::OpSchema>();
  // What does not fit is the kernel's to refuse, in its own words: inference says what it knows.
  const auto infer = [&row](Context& context) {
    try {
      if (row.infer != nullptr) return row.infer(context);
      if (int_of(context, "channels_last", 0) != 0) return set_type(context, 0, 0);  // other axes than ONNX's
      graph::schemas().GetSchema(row.like, row.version, "")->GetTypeAndShapeInferenceFunction()(context);
    } catch (const onnx::InferenceError&) {
    }
  };
  constexpr auto kVariadic = onnx::OpSchema::Variadic;
  schema->SetName(std::string(row.op_type))
      .SetDomain(std::string(row.domain))
      .SinceVersion(1)
      .Input(0, "inputs", "", "T", kVariadic, /*is_homogeneous=*/false, /*min_arity=*/0)
      .Output(0, "outputs", "", "U", kVariadic, /*is_homogeneous=*/false, /*min_arity=*/0)
      .TypeConstraint("T", onnx::OpSchema::all_tensor_types_ir14(), "")
      .TypeConstraint("U", onnx::OpSchema::all_tensor_types_ir14(), "")
      .TypeAndShapeInferenceFunction(infer);
  schema->Finalize();
  return schema;
}

}  // namespace

ResultTypes::ResultTypes(const onnx::ModelProto& model) {
  for (const Row& row : kRows) {
    const bool imported =
        std::any_of(model.opset_import().begin(), model.opset_import().end(),
                    [&](const onnx::OperatorSetIdProto& import) { return import.domain() == row.domain; });
    const bool own = std::any_of(model.functions().begin(), model.functions().end(), [&](const onnx::FunctionProto& f) {
      return f.domain() == row.domain && f.name() == row.op_type;
    });
    if (imported && !own) schemas_[{std::string(row.domain), std::string(row.op_type)}] = schema_of(row);
  }
}

// NOLINTNEXTLINE(google-default-arguments): as the interface has it
const onnx::OpSchema* ResultTypes::GetSchema(const std::string& name, int newest, const std::string& domain) const {
  const auto found = schemas_.find({domain, name});
  return found != schemas_.end() ? found->second.get() : graph::schemas().GetSchema(name, newest, domain);
}

}  // namespace narrow::io
