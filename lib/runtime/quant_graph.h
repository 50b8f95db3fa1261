// What the QuantizeLinear and DequantizeLinear nodes of a graph say: which real value is which integer tensor.
#pragma once

#include <deque>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "lib/graph/graph_index.h"
#include "lib/graph/model.h"
#include "lib/quant/quant_params.h"
#include "lib/tensor/tensor.h"

namespace narrow::runtime {

/// The integers behind a real value, or in front of one.
struct Quantized {
  std::string integer;  // value name of the integer tensor
  quant::QuantParams params;

  float scale() const { return params.scales.front(); }
  int32_t zero_point() const { return params.zero_points.front(); }
  /// One scale and zero point, int8 or uint8: what integer kernels take as an activation.
  bool per_tensor8() const;
};

/// The node is this operator of ONNX's own domain.
bool is_op(const onnx::NodeProto& node, std::string_view op_type);
bool is_quantize(const onnx::NodeProto& node);
bool is_dequantize(const onnx::NodeProto& node);

/// Const view of one graph; valid while the model is neither changed nor moved. Pairs that repeat (same value, same
/// parameters) are one.
class QuantGraph {
 public:
  /// `graph`: the model's, or one of its bodies, with what is constant in the graphs around it. Throws Error(kModel)
  /// naming the node whose parameters can not be.
  QuantGraph(const graph::Model& model, const onnx::GraphProto& graph, const std::map<std::string, Tensor>& known);
  QuantGraph(const QuantGraph&) = delete;
  QuantGraph& operator=(const QuantGraph&) = delete;
  ~QuantGraph() = default;

  const graph::Model& model() const { return model_; }
  const onnx::GraphProto& graph() const { return graph_; }
  const graph::GraphIndex& index() const { return index_; }

  /// The integers a DequantizeLinear makes `value` from, or nullptr.
  const Quantized* source(std::string_view value) const;
  /// Element type of a value as the graph tells or as its QuantizeLinear says; undefined if neither does.
  DataType type(const std::string& value) const;
  /// From now on `value` has this element type: a node moved elements that had.
  void add_type(const std::string& value, DataType type) { storage_[value] = type; }
  /// From now on constant() knows the value.
  void add_constant(const std::string& value, Tensor tensor);
  /// From now on `value` has this source: a node moved the elements of one that had.
  void add_source(const std::string& value, Quantized integers);
  /// The integers that stand for `value`, if all its uses are QuantizeLinear nodes of equal parameters and it is no
  /// graph output; nullptr otherwise.
  const Quantized* target(std::string_view value) const;
  /// Parameters of a Q or DQ node; nullptr for one that is not linear over integers with a constant float32 scale
  /// (blocks, floating-point codes): such a node runs as any other operator.
  const Quantized* linear(const onnx::NodeProto& node) const;

  /// Name under which the program keeps an integer value: repeated quantizations of one value share the first's.
  const std::string& canonical(const std::string& integer) const;

  /// The tensor, if the value is an initializer, a Constant node's output or a quantized constant; nullptr otherwise.
  const Tensor* constant(std::string_view value) const;

 private:
  void read_node(const onnx::NodeProto& node);
  std::optional<quant::QuantParams> read_params(const onnx::NodeProto& node);
  std::optional<DataType> storage_of(const onnx::NodeProto& node);
  std::optional<Tensor> load_constant(const std::string& value) const;
  void find_targets();

  const graph::Model& model_;
  const onnx::GraphProto& graph_;
  graph::GraphIndex index_;
  std::unordered_map<const onnx::NodeProto*, Quantized> linear_;
  std::unordered_map<std::string, DataType> storage_;  // of the integer values that Q nodes make
  std::map<std::string, const Quantized*, std::less<>> sources_;
  std::deque<Quantized> derived_;
  std::map<std::string, const Quantized*, std::less<>> targets_;
  std::unordered_map<std::string, std::string> canonical_;
  mutable std::map<std::string, Tensor, std::less<>> constants_;
};

}  // namespace narrow::runtime
