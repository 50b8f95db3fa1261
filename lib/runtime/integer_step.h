// One node group as integer steps, and what the lowering of each operator starts from.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "lib/base/reason.h"
#include "lib/exec/constants.h"
#include "lib/exec/float_program.h"
#include "lib/exec/kernel.h"
#include "lib/exec/linear_fold.h"
#include "lib/exec/scope.h"
#include "lib/onednn/convolution.h"
#include "lib/runtime/kernels/binary_step.h"
#include "lib/runtime/lower.h"
#include "lib/runtime/quant_graph.h"

namespace narrow::runtime {

struct IntegerStep {
  exec::KernelPtr kernel;
  std::vector<std::string> inputs;  // value names in the program; "" is absent
  std::vector<std::string> outputs;
};

/// A real value and integers that stand for it, though no DequantizeLinear says so.
struct DerivedSource {
  std::string real;
  Quantized integers;
};

/// A group: the steps in order, and the nodes they compute (the head first, then what is folded behind it).
struct IntegerGroup {
  std::vector<IntegerStep> steps;
  std::vector<const onnx::NodeProto*> nodes;
  std::map<std::string, Tensor> constants;  // that only this group knows
  std::vector<DerivedSource> sources;       // real values that the group has as integers, too
  std::optional<Reason> float_rest;         // why some of its products run in float all the same
};

using GroupOrReason = std::variant<IntegerGroup, Reason>;

struct LowerContext {
  LowerContext(const QuantGraph& quant_graph, const exec::Constants& folded, KernelChoice kernels)
      : quant(quant_graph), constants(folded), choice(kernels) {}

  const QuantGraph& quant;
  const exec::Constants& constants;
  KernelChoice choice;
  std::function<exec::Program(exec::GraphScope)> compile_body;

  int opset(const onnx::NodeProto& node) const { return quant.model().opset(node.domain()); }
  /// A value known before the run: initializer, folded, or dequantized from a constant.
  const Tensor* constant(const std::string& value) const;
  /// Its shape; what is not needed otherwise is not dequantized for it.
  const Shape* constant_shape(const std::string& value) const;

 private:
  mutable std::map<std::string, Tensor> dequantized_;
};

/// Lowers one node; a Reason if it does not run on integers here.
using LowerNode = GroupOrReason (*)(const LowerContext& context, const onnx::NodeProto& node);

/// nullptr: the operator has no integer kernel.
LowerNode find_lowering(const onnx::NodeProto& node);

/// True for operators whose lowering moves or selects elements, and makes no new ones.
bool moves_elements(const onnx::NodeProto& node);

inline bool is_byte(DataType type) {
  return type == DataType::kInt8 || type == DataType::kUint8;
}

/// True for operators whose result depends, element by element, on their inputs' elements alone.
bool is_elementwise(const onnx::NodeProto& node);

GroupOrReason lower_convolution(const LowerContext& context, const onnx::NodeProto& node);
GroupOrReason lower_deconvolution(const LowerContext& context, const onnx::NodeProto& node);
GroupOrReason lower_gemm(const LowerContext& context, const onnx::NodeProto& node);
GroupOrReason lower_matmul(const LowerContext& context, const onnx::NodeProto& node);
GroupOrReason lower_binary(const LowerContext& context, const onnx::NodeProto& node);
/// Of two inputs, where constants of one element make a table whatever their rank.
GroupOrReason lower_two(const LowerContext& context, const onnx::NodeProto& node);
/// A function of one number and the channel that it is in.
GroupOrReason lower_by_channel(const LowerContext& context, const onnx::NodeProto& node);
/// What lower_binary computes from two 8-bit activations; absent if the node has not two, or no 8-bit result.
std::optional<BinaryStep> binary_step_of(const LowerContext& context, const onnx::NodeProto& node);
GroupOrReason lower_unary(const LowerContext& context, const onnx::NodeProto& node);
GroupOrReason lower_softmax(const LowerContext& context, const onnx::NodeProto& node);
GroupOrReason lower_normalization(const LowerContext& context, const onnx::NodeProto& node);
GroupOrReason lower_reduction(const LowerContext& context, const onnx::NodeProto& node);
GroupOrReason lower_concat(const LowerContext& context, const onnx::NodeProto& node);
GroupOrReason lower_max_pool(const LowerContext& context, const onnx::NodeProto& node);
GroupOrReason lower_average_pool(const LowerContext& context, const onnx::NodeProto& node);
GroupOrReason lower_dynamic_quantize(const LowerContext& context, const onnx::NodeProto& node);
GroupOrReason lower_matmul_integer(const LowerContext& context, const onnx::NodeProto& node);
GroupOrReason lower_conv_integer(const LowerContext& context, const onnx::NodeProto& node);
GroupOrReason lower_recurrent(const LowerContext& context, const onnx::NodeProto& node);
GroupOrReason lower_dynamic_lstm(const LowerContext& context, const onnx::NodeProto& node);
GroupOrReason lower_movement(const LowerContext& context, const onnx::NodeProto& node);
GroupOrReason lower_dropout(const LowerContext& context, const onnx::NodeProto& node);

/// What an operator that moves elements makes of a quantized constant: exporters transpose weights behind their
/// DequantizeLinear.
struct MovedConstant {
  Tensor integers;
  quant::QuantParams params;
};
/// Absent if input 0 is no quantized constant, another input is not constant, or scales per channel would not be per
/// channel any more.
std::optional<MovedConstant> move_constant(const LowerContext& context, const onnx::NodeProto& node);

/// How a group goes on behind its head: arithmetic by channel and activations that fold into it, then the integers it
/// ends in.
struct GroupEnd {
  std::vector<const onnx::NodeProto*> nodes;   // the head first
  std::vector<const onnx::NodeProto*> linear;  // of those: BatchNormalization, Add, Sub, Mul, Div by channel
  onednn::Clamp clamp;
  std::string real;                   // the real value the group computes
  const Quantized* target = nullptr;  // its integers, if nothing needs the real value and they have 8 bits
};

/// `channels`: of a product that takes in arithmetic with constants; nullptr: the head takes none.
GroupEnd find_end(const LowerContext& context, const onnx::NodeProto& head,
                  const exec::ProductChannels* channels = nullptr);

/// The limits that a Relu or Clip sets, if they are constant; absent for any other node.
std::optional<onednn::Clamp> clamp_of(const LowerContext& context, const onnx::NodeProto& node);
/// x clamped by `second` after it was clamped by `first`.
onednn::Clamp compose(const onednn::Clamp& first, const onednn::Clamp& second);

/// The 8-bit per-tensor integers behind input `i`, or nullptr.
const Quantized* activation(const LowerContext& context, const onnx::NodeProto& node, int i);
/// Why activation() found none.
Reason no_activation(const LowerContext& context, const onnx::NodeProto& node, int i);
/// Why a group without target can not end in integers.
Reason no_target(const GroupEnd& end);

Affine8 affine_of(const Quantized& quantized);
Tensor clamped(const Tensor& real, const onednn::Clamp& clamp);

/// A kernel on the real values of this node. `held`, by position in graph::reads_of(node): what the kernel took as
/// constants; it is absent at run time.
struct FloatKernel {
  exec::KernelPtr kernel;
  std::vector<bool> held;
};
using MakeKernel = std::function<exec::KernelPtr(const exec::KernelRequest&)>;
FloatKernel make_float_kernel(const LowerContext& context, const onnx::NodeProto& node,
                              const MakeKernel& make = exec::make_kernel);

}  // namespace narrow::runtime
