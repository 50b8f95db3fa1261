// Groups of nodes that one kernel computes. Selection only: nothing is changed.
#pragma once

#include <optional>
#include <set>
#include <string>
#include <vector>

#include "lib/exec/constants.h"
#include "lib/exec/kernels/convolution.h"
#include "lib/graph/graph_index.h"

namespace narrow::exec {

/// A linear product and what surrounds it: [Pad ->] Conv, Gemm or MatMul -> [arithmetic with constants, by output
/// channel] -> [Add residual] -> [activations].
struct FusedGroup {
  const onnx::NodeProto* anchor = nullptr;
  std::vector<const onnx::NodeProto*> nodes;   // in order of computation
  const onnx::NodeProto* padding = nullptr;    // the Pad in front of a convolution
  std::vector<const onnx::NodeProto*> linear;  // BatchNormalization, Add, Sub, Mul, Div: into weight and bias
  std::string residual;                        // value that the Add takes besides the anchor's; "" if there is none
  Epilogue epilogue;
};

struct FusionContext {
  const graph::Model& model;
  const graph::GraphIndex& index;
  const Constants& constants;
  const std::set<std::string>& observed;
  const std::set<const onnx::NodeProto*>& taken;  // nodes that are in a group already

  int opset(const onnx::NodeProto& node) const { return model.opset(node.domain()); }
  /// The input's value if it is a float32 constant, or nullptr.
  const Tensor* float_constant(const onnx::NodeProto& node, int input) const;
  /// The nodes of ONNX's domain that read the value, if fusing hides it from nobody; empty otherwise.
  std::vector<const onnx::NodeProto*> hidden_readers(const std::string& value) const;
  /// The only reader, or nullptr.
  const onnx::NodeProto* only_reader(const std::string& value) const;
};

/// The largest group from `anchor` on whose inner values have one use, are no graph output and not `observed`. A group
/// of one node is no group: `nodes` is then empty. Everything that folds must have been folded.
FusedGroup select_group(const onnx::NodeProto& anchor, const FusionContext& context);

/// Activation that begins at `value`: one node, or several that spell it out.
struct ActivationMatch {
  std::vector<const onnx::NodeProto*> nodes;  // in order of computation
  onednn::Activation activation;
};
std::optional<ActivationMatch> match_activation(const std::string& value, const FusionContext& context);

}  // namespace narrow::exec
