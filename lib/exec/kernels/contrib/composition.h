// An operator made of others: the kernels of a few standard nodes, run one after the other.
#pragma once

#include <initializer_list>
#include <map>
#include <string>
#include <vector>

#include "lib/exec/kernels/support.h"

namespace narrow::exec {

/// A value inside a composition; kNoValue is an absent optional input.
using ValueId = int;
inline constexpr ValueId kNoValue = -1;

using Attributes = std::vector<onnx::AttributeProto>;
onnx::AttributeProto attribute_of(const std::string& name, int64_t value);
onnx::AttributeProto attribute_of(const std::string& name, float value);
onnx::AttributeProto attribute_of(const std::string& name, const std::string& value);
onnx::AttributeProto attribute_of(const std::string& name, const std::vector<int64_t>& values);
/// Those of the node's attributes that have one of these names.
Attributes attributes_named(const onnx::NodeProto& node, std::initializer_list<std::string_view> names);

/// Collects steps; kernel() runs them. Inputs that are constant are known to the kernels inside.
class Composition {
 public:
  explicit Composition(const KernelRequest& request);

  /// The node's input, or kNoValue.
  ValueId input(size_t index) const;
  ValueId constant(Tensor value);
  /// A node of the domain ai.onnx in the version `opset`. Throws what its kernel throws.
  ValueId add(const std::string& op_type, const std::vector<ValueId>& inputs, const Attributes& attributes = {},
              int opset = kOpset);
  /// The same for a node of several outputs.
  std::vector<ValueId> add_outputs(const std::string& op_type, const std::vector<ValueId>& inputs, int outputs,
                                   const Attributes& attributes = {}, int opset = kOpset);
  /// `a` where `b` is absent, otherwise their sum.
  ValueId add_if_present(ValueId a, ValueId b);
  /// float32 from input `first` by the scale and zero point behind it.
  ValueId dequantized(size_t first, const Attributes& attributes = {});
  /// Codes of `value` by the scale of input `first` and the zero point behind it.
  ValueId quantized(ValueId value, size_t first);

  /// `outputs`: by output of the node; kNoValue where it has none.
  KernelPtr kernel(const std::vector<ValueId>& outputs);

  static constexpr int kOpset = 21;

 private:
  struct Step;
  struct Plan;

  const KernelRequest& request_;
  std::shared_ptr<Plan> plan_;
  std::map<ValueId, Tensor> known_;
};

}  // namespace narrow::exec
