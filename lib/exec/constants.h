// Values of a graph that are known before it runs.
#pragma once

#include <functional>
#include <map>
#include <set>
#include <string>

#include "lib/exec/float_program.h"
#include "lib/graph/graph_index.h"
#include "lib/graph/model.h"
#include "lib/tensor/tensor.h"

namespace narrow::exec {

/// Initializers, read on first use, and the results of nodes computed from constants alone.
class Constants {
 public:
  /// Of the main graph. The model must outlive this.
  explicit Constants(const graph::Model& model) : Constants(model, model.graph(), {}) {}
  /// Of `graph`, somewhere inside the model; `known`: what is constant in the graphs around it.
  Constants(const graph::Model& model, const onnx::GraphProto& graph, std::map<std::string, Tensor> known);

  /// The value, or nullptr if it is not constant (as far as folded).
  const Tensor* find(const std::string& value) const;
  bool has(const std::string& value) const { return values_.contains(value) || initializers_.contains(value); }
  /// An initializer, or a weight that is read from a file as one.
  bool is_initializer(const std::string& value) const { return initializers_.contains(value); }
  const graph::Model& model() const { return model_; }

  /// True if there is neither randomness nor a loop in the node or its bodies, and every value it reads is constant.
  bool can_fold(const onnx::NodeProto& node) const;
  /// Computes the node and keeps its outputs; a large weight in a file that is transposed stays there, and is read in
  /// that order. Throws what its kernel throws.
  void fold(const onnx::NodeProto& node, int opset);
  /// Lets go of what only this folded node has read: steps of a weight's decoder are as large as the weight. `kept`:
  /// values that somebody wants beside the nodes of the graph.
  void forget_inputs(const onnx::NodeProto& node, const graph::GraphIndex& index, const std::set<std::string>& kept);

 private:
  const graph::Model& model_;
  std::map<std::string, const onnx::TensorProto*> initializers_;
  std::map<std::string, onnx::TensorProto> views_;  // of initializers, which know them as theirs
  mutable std::map<std::string, Tensor> values_;
  Workspace workspace_;
};

/// A request whose constants are those of `constants`.
KernelRequest request_for(const onnx::NodeProto& node, int opset, const Constants& constants);

}  // namespace narrow::exec
