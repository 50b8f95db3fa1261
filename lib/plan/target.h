// What the runtime that will read the model can compute: a table that the planner reads.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "lib/analyze/analyze.h"
#include "lib/base/reason.h"
#include "lib/quant/quant_params.h"

namespace narrow::plan {

struct LayerScheme;

enum class Target { kOnnxruntime, kOpenvino, kTensorrt, kX86Avx2, kGeneric };

/// How a file says that a layer computes on integers.
enum class FileFormat {
  kQdq,        // QuantizeLinear and DequantizeLinear around the float operator
  kQoperator,  // QLinearConv and its like
};

std::string_view file_format_name(FileFormat format);

/// A list in the table; absent: everything.
template <class T>
using Known = std::optional<std::span<const T>>;

struct TargetRow {
  Target target = Target::kGeneric;
  std::string_view name;
  Known<quant::QuantType> weights;         // of layers on integers
  Known<quant::QuantType> block_weights;   // ... with a scale for each block
  Known<quant::QuantType> activations;     // of layers on integers
  Known<quant::QuantType> stored_weights;  // of float layers whose weight is stored in fewer bits
  bool stored_gates = true;                // ... of LSTM and GRU too, in files with quantized activations
  Known<std::string_view> integer_ops;     // arithmetic that has integer kernels; movement and clamps always have
  bool symmetric_weights = false;          // zero points of weights are 0
  bool symmetric_activations = false;      // zero points of activations are 0
  /// Products of 8 bits are added in pairs in 16 bits, which saturate; 7-bit weights can not make them.
  bool sums_pairs_in_16_bits = false;
  bool integer_bias = true;  // a bias is int32 in steps of the products; else it stays float32
  /// A product, the sum behind it and the clamp behind that are one kernel with a result of either kind: nothing is
  /// quantized between them, nor behind them where nothing on integers reads it.
  bool fuses_chains = false;
  bool pair_per_reader = false;  // each reader of a value has a Q/DQ pair of its own
  bool whole_blocks = false;     // blocks must divide the axis
  bool dynamic = true;           // reads DynamicQuantizeLinear and integer products
  bool qoperator = false;        // reads FileFormat::kQoperator
  bool microsoft = false;        // knows the operators of com.microsoft
  /// Products with 2-bit weights behind DequantizeLinear, in blocks of a power of two, are read wrongly.
  bool misreads_two_bit_products = false;
  /// Tables that Gather reads with a scale for each column are read wrongly, for each row rightly: those of fewer than
  /// 8 bits, and any integers in files with quantized activations, where scales move behind what reads the table and a
  /// sum over an axis loses their place.
  bool misreads_columns = false;
  /// Of the bias of a convolution whose result has no known shape, it adds the first element to all channels, where
  /// something reads the result's shape and a QuantizeLinear follows.
  bool misreads_biases = false;
  bool misreads_expansions = false;  // see expanded_channels
  bool fails_in_float16 = false;     // see half_kernel_refusal
};

std::span<const TargetRow> targets();
const TargetRow& row(Target target);
std::vector<std::string> target_names();

/// Changes the layer's scheme to what the target can run where something near to it exists: the type of the same width,
/// no zero points, 7 bits, stored weights. Returns why, a sentence for each reason that is about this layer.
std::vector<std::string> adapt(const TargetRow& target, const analyze::Layer& layer, LayerScheme& scheme);

/// DynamicQuantizeLinear and an integer product can compute the layer: Conv, Gemm or MatMul with a constant weight
/// behind what they read.
bool is_dynamic_product(const analyze::Layer& layer);

/// Why the target can not run this layer with this (adapted) scheme; nullopt if it can.
std::optional<Reason> refusal(const TargetRow& target, const analyze::Layer& layer, const LayerScheme& scheme);

/// The groups of a weight that only is stored in fewer bits, as the target reads them rightly: what was asked, or other
/// blocks of nearly the same size. `integer_activations`: the file has quantized activations.
quant::Grouping adapted(const TargetRow& target, const analyze::Layer& layer, const Shape& weight,
                        const quant::Grouping& asked, const LayerScheme& scheme, bool integer_activations);

}  // namespace narrow::plan
