// Compiling a graph inside a model: the main one, the body of a control-flow node, the body of a function.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "lib/exec/float_program.h"

namespace narrow::exec {

struct GraphScope {
  const graph::Model* model = nullptr;  // whose opsets and external data the graph uses
  const onnx::GraphProto* graph = nullptr;
  std::map<std::string, Tensor> known;  // values from around that are constant, its own inputs among them
  std::vector<std::string> captured;    // other values from around: inputs behind the graph's own
};

/// Inputs of the program: those of the graph that are not known, then `captured`. Neither model nor graph is needed
/// afterwards. Throws what compile_float throws.
Program compile_graph(GraphScope scope, const CompileOptions& options);

/// A body of a control-flow node as a program.
class Body {
 public:
  /// `graph`: one of the bodies of request.node. Values it captures that are constant are part of the program.
  Body(const KernelRequest& request, const onnx::GraphProto& graph);

  /// Results of one run. `formal`: the body's own inputs; `step_inputs`: those of the node's step, from which it takes
  /// what it captures. A listener hears of the body's own values only.
  std::vector<Tensor> run(std::vector<Tensor> formal, std::span<const Tensor> step_inputs, Workspace& workspace,
                          const RunOptions& options) const;

  /// As declared in the body.
  const std::vector<graph::ValueType>& input_types() const { return input_types_; }
  const std::vector<graph::ValueType>& output_types() const { return output_types_; }

 private:
  Program program_;
  std::vector<size_t> captured_;  // positions among the step's inputs
  std::set<std::string> captured_names_;
  std::vector<graph::ValueType> input_types_;
  std::vector<graph::ValueType> output_types_;
};

}  // namespace narrow::exec
