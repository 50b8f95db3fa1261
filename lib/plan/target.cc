#include "lib/plan/target.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>

#include "lib/plan/rules.h"

namespace narrow::plan {
namespace {

using quant::QuantType;

// onnxruntime 1.31 fuses Q/DQ around products whatever their types, and then refuses those that its integer kernels do
// not have: 2-bit integers, floating-point codes, 4-bit activations, blocks of 8-bit weights. Other types stay apart
// and compute in float.
constexpr std::array kOnnxruntimeWeights{QuantType::kInt8,   QuantType::kUint8, QuantType::kInt16,
                                         QuantType::kUint16, QuantType::kInt4,  QuantType::kUint4};
constexpr std::array kFourBits{QuantType::kInt4, QuantType::kUint4};
constexpr std::array kEightAndSixteenBits{QuantType::kInt8, QuantType::kUint8, QuantType::kInt16, QuantType::kUint16};

// The AVX2 kernels of onnxruntime and of oneDNN add two products of uint8 and int8 in 16 bits (vpmaddubsw):
// https://onnxruntime.ai/docs/performance/model-optimizations/quantization.html
constexpr std::array kAvx2Weights{QuantType::kInt8, QuantType::kInt16, QuantType::kUint16, QuantType::kInt4,
                                  QuantType::kUint4};

// OpenVINO 2026.4 as its runtime model and its results on small models showed (tests/peers/targets_test.py). It
// computes wrong results from 16-bit activations and from uint8 weights, does not read 2 bits, and computes dynamic
// products and fewer bits than 8 in float32.
constexpr std::array kInt8{QuantType::kInt8};
constexpr std::array kEightBits{QuantType::kUint8, QuantType::kInt8};
constexpr std::array kOpenvinoStored{QuantType::kInt8,         QuantType::kUint8,      QuantType::kInt16,
                                     QuantType::kUint16,       QuantType::kInt4,       QuantType::kUint4,
                                     QuantType::kFloat8e4m3fn, QuantType::kFloat8e5m2, QuantType::kFloat4e2m1};
constexpr std::array<std::string_view, 9> kOpenvinoOps{
    "Add", "AveragePool", "Conv", "ConvTranspose", "Gemm", "GlobalAveragePool", "LeakyRelu", "MatMul", "Mul"};

// TensorRT, by its documentation; never run here. Types:
// https://docs.nvidia.com/deeplearning/tensorrt/latest/inference-library/work-quantized-types.html
// Where Q/DQ pairs stand, and biases in float: the same folder, "quantized-types-explicit-quantization.html".
constexpr std::array kTensorrtTypes{QuantType::kInt8, QuantType::kFloat8e4m3fn};
constexpr std::array kTensorrtStored{QuantType::kInt4};
constexpr std::array<std::string_view, 7> kTensorrtOps{"Add",  "AveragePool",       "Conv",  "ConvTranspose",
                                                       "Gemm", "GlobalAveragePool", "MatMul"};

constexpr std::span<const QuantType> kNoTypes;

const std::array kTargets{
    TargetRow{.target = Target::kOnnxruntime,
              .name = "onnxruntime",
              .weights = kOnnxruntimeWeights,
              .block_weights = kFourBits,
              .activations = kEightAndSixteenBits,
              .stored_weights = {},
              .integer_ops = {},
              .qoperator = true,
              .microsoft = true,
              .misreads_two_bit_products = true,
              .fails_in_float16 = true},
    TargetRow{.target = Target::kOpenvino,
              .name = "openvino",
              .weights = kInt8,
              .block_weights = kNoTypes,
              .activations = kEightBits,
              .stored_weights = kOpenvinoStored,
              .stored_gates = false,
              .integer_ops = kOpenvinoOps,
              .symmetric_weights = true,
              .whole_blocks = true,
              .dynamic = false,
              .misreads_columns = true,
              .misreads_biases = true,
              .misreads_expansions = true},
    TargetRow{.target = Target::kTensorrt,
              .name = "tensorrt",
              .weights = kTensorrtTypes,
              .block_weights = kNoTypes,
              .activations = kTensorrtTypes,
              .stored_weights = kTensorrtStored,
              .integer_ops = kTensorrtOps,
              .symmetric_weights = true,
              .symmetric_activations = true,
              .integer_bias = false,
              .fuses_chains = true,
              .pair_per_reader = true,
              .whole_blocks = true,
              .dynamic = false},
    TargetRow{.target = Target::kX86Avx2,
              .name = "x86-avx2",
              .weights = kAvx2Weights,
              .block_weights = kFourBits,
              .activations = kEightAndSixteenBits,
              .stored_weights = {},
              .integer_ops = {},
              .symmetric_weights = true,
              .sums_pairs_in_16_bits = true,
              .qoperator = true,
              .microsoft = true,
              .misreads_two_bit_products = true,
              .fails_in_float16 = true},
    TargetRow{.target = Target::kGeneric,
              .name = "generic",
              .weights = {},
              .block_weights = {},
              .activations = {},
              .stored_weights = {},
              .integer_ops = {},
              .qoperator = true},
};

template <class T>
bool has(const Known<T>& known, const T& wanted) {
  return !known || std::find(known->begin(), known->end(), wanted) != known->end();
}

/// The type of the list with as many bits and of the same kind, where the type itself is not in it.
std::optional<QuantType> nearest(const Known<QuantType>& known, QuantType type) {
  if (has(known, type)) return std::nullopt;
  const auto like = [&](QuantType other) {
    return quant::row(other).bits == quant::row(type).bits && quant::row(other).is_float == quant::row(type).is_float;
  };
  const auto found = std::find_if(known->begin(), known->end(), like);
  return found == known->end() ? std::nullopt : std::optional(*found);
}

bool multiplies_integers(const LayerScheme& scheme) {
  return scheme.mode == Mode::kStatic || scheme.mode == Mode::kDynamic;
}

/// Changes of one scheme, with their reasons.
class Adaptation {
 public:
  Adaptation(const TargetRow& target, const analyze::Layer& layer, LayerScheme& scheme)
      : target_(target), layer_(layer), scheme_(scheme) {}

  std::vector<std::string> run() {
    const bool weight = layer_.weight.has_value() || layer_.stored_weight.has_value();
    if (scheme_.mode == Mode::kDynamic && !target_.dynamic) {
      scheme_.mode = Mode::kWeightOnly;
      if (weight) add("quantizes no activations as it runs");
    }
    const bool integers = multiplies_integers(scheme_);
    const bool stores = scheme_.mode == Mode::kWeightOnly;
    if (scheme_.mode == Mode::kStatic) {
      take_nearest(target_.activations, "activations", scheme_.activations);
      take_out_zero_points(target_.symmetric_activations, "activations", scheme_.activations,
                           scheme_.activations_symmetric);
    }
    if (!weight) return std::move(reasons_);
    if (scheme_.mode == Mode::kDynamic) take_what_runs_make();
    if (integers) take_nearest(target_.weights, "weights", scheme_.weights);
    if (stores) take_nearest(target_.stored_weights, "stored weights", scheme_.weights);
    if (stores && scheme_.operators == Operators::kMicrosoft && !target_.microsoft) {
      scheme_.operators = Operators::kStandard;
      add("knows no operators of com.microsoft");
    }
    if (integers || stores) {
      take_out_zero_points(target_.symmetric_weights, "weights", scheme_.weights, scheme_.weights_symmetric);
    }
    const bool whole_byte = quant::row(scheme_.weights).bits == 8 && !quant::row(scheme_.weights).is_float;
    if (integers && target_.sums_pairs_in_16_bits && whole_byte && !scheme_.reduce_range) {
      scheme_.reduce_range = true;
      add("adds products in pairs in 16 bits, which saturate with more than 7 bits of weights");
    }
    return std::move(reasons_);
  }

 private:
  void add(const std::string& what) { reasons_.push_back(fmt::format("{} {}", target_.name, what)); }

  void take_nearest(const Known<QuantType>& known, std::string_view what, QuantType& type) {
    const std::optional<QuantType> other = nearest(known, type);
    if (!other) return;
    add(fmt::format("takes no {} {}", quant::name(type), what));
    type = *other;
  }

  /// DynamicQuantizeLinear knows one type.
  void take_what_runs_make() {
    const bool made = scheme_.activations == QuantType::kUint8 && !scheme_.activations_symmetric;
    if (made || !is_dynamic_product(layer_)) return;
    scheme_.activations = QuantType::kUint8;
    scheme_.activations_symmetric = false;
    reasons_.emplace_back("DynamicQuantizeLinear makes affine uint8 activations and no others");
  }

  /// Floating-point types have none.
  void take_out_zero_points(bool wanted, std::string_view what, QuantType type, bool& symmetric) {
    if (!wanted || symmetric || quant::row(type).is_float) return;
    symmetric = true;
    add(fmt::format("takes no zero points of {}", what));
  }

  const TargetRow& target_;
  const analyze::Layer& layer_;
  LayerScheme& scheme_;
  std::vector<std::string> reasons_;
};

}  // namespace

std::span<const TargetRow> targets() {
  return kTargets;
}

const TargetRow& row(Target target) {
  return *std::find_if(kTargets.begin(), kTargets.end(), [&](const TargetRow& r) { return r.target == target; });
}

std::vector<std::string> target_names() {
  std::vector<std::string> names;
  for (const TargetRow& r : kTargets) names.emplace_back(r.name);
  return names;
}

std::string_view file_format_name(FileFormat format) {
  return format == FileFormat::kQdq ? "qdq" : "qoperator";
}

std::vector<std::string> adapt(const TargetRow& target, const analyze::Layer& layer, LayerScheme& scheme) {
  return Adaptation(target, layer, scheme).run();
}

bool is_dynamic_product(const analyze::Layer& layer) {
  const bool product = layer.op_type == "Conv" || layer.op_type == "Gemm" || layer.op_type == "MatMul";
  return product && !layer.reason && layer.weight && layer.weight->input == 1;
}

std::optional<Reason> refusal(const TargetRow& target, const analyze::Layer& layer, const LayerScheme& scheme) {
  const auto refuse = [&](const std::string& what) {
    return Reason{ReasonCode::kTargetCanNot, fmt::format("{} has no kernel for {}", target.name, what)};
  };
  const bool gates = layer.op_type == "LSTM" || layer.op_type == "GRU";
  if (gates && scheme.mode == Mode::kStatic && !target.stored_gates) {
    return refuse(fmt::format("{} with stored weights in a file with quantized activations", layer.op_type));
  }
  if (scheme.mode == Mode::kWeightOnly) {
    if (has(target.stored_weights, scheme.weights)) return std::nullopt;
    return refuse(fmt::format("stored {} weights", quant::name(scheme.weights)));
  }
  if (!multiplies_integers(scheme)) return std::nullopt;
  const bool arithmetic = layer.role == ops::QuantRole::kWeighted || layer.role == ops::QuantRole::kElementwise ||
                          layer.role == ops::QuantRole::kFixedRange;
  if (arithmetic && !has(target.integer_ops, std::string_view(layer.op_type))) {
    return refuse(fmt::format("{} on integers", layer.op_type));
  }
  if (scheme.mode == Mode::kStatic && !has(target.activations, scheme.activations)) {
    return refuse(fmt::format("{} activations", quant::name(scheme.activations)));
  }
  if (!layer.weight) return std::nullopt;
  if (!has(target.weights, scheme.weights)) return refuse(fmt::format("{} weights", quant::name(scheme.weights)));
  if (scheme.granularity == Granularity::kPerBlock && !has(target.block_weights, scheme.weights)) {
    return refuse(fmt::format("{} weights in blocks", quant::name(scheme.weights)));
  }
  return std::nullopt;
}

namespace {

/// The largest size up to `block` that divides the axis.
int64_t whole_block(int64_t size, int64_t block) {
  while (size % block != 0) --block;
  return block;
}

}  // namespace

quant::Grouping adapted(const TargetRow& target, const analyze::Layer& layer, const Shape& weight,
                        const quant::Grouping& asked, const LayerScheme& scheme, bool integer_activations) {
  if (target.whole_blocks && asked.block > 0) {
    return {.axis = asked.axis, .block = whole_block(weight[static_cast<size_t>(*asked.axis)], asked.block)};
  }
  const quant::QuantTypeRow& type = quant::row(scheme.weights);
  const bool misread_columns = type.bits < 8 || (integer_activations && !type.is_float);
  if (target.misreads_columns && misread_columns && layer.op_type == "Gather" && asked.axis && asked.block == 0) {
    return {.axis = layer.stored_weight->block_axis, .block = 0};
  }
  const bool misread = target.misreads_two_bit_products && quant::row(scheme.weights).bits == 2 &&
                       layer.op_type == "MatMul" && scheme.operators == Operators::kStandard;
  if (!misread || weight.size() != 2 || !layer.stored_weight->block_axis) return asked;
  const int64_t axis = *layer.stored_weight->block_axis;
  const int64_t block = asked.block > 0 ? asked.block : weight[static_cast<size_t>(axis)];
  // The kernel takes blocks of powers of two only.
  const bool power = std::has_single_bit(static_cast<uint64_t>(block));
  return {.axis = axis, .block = power ? block + 1 : block};
}

}  // namespace narrow::plan
