// Groups of nodes that one kernel computes. Selection only: nothing is changed.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "lib/exec/constants.h"
#include "lib/exec/kernels/convolution.h"
#include "lib/graph/graph_index.h"

namespace narrow::exec {

/// A Conv or Gemm and what follows it: conv -> [BatchNormalization] -> [Add residual] -> [Relu | Clip].
struct FusedGroup {
  const onnx::NodeProto* anchor = nullptr;
  std::vector<const onnx::NodeProto*> nodes;  // anchor first, in order of computation
  const onnx::NodeProto* batch_normalization = nullptr;
  std::string residual;  // value that the Add takes besides the anchor's; "" if there is none
  Epilogue epilogue;
};

/// The largest group from `anchor` on whose inner values have one use, are no graph output and not `observed`. A group
/// of one node is no group: `nodes` is then empty. Everything that folds must have been folded.
struct FusionContext {
  const graph::Model& model;
  const graph::GraphIndex& index;
  const Constants& constants;
  const std::set<std::string>& observed;
  const std::set<const onnx::NodeProto*>& taken;  // nodes that are in a group already
};
FusedGroup select_group(const onnx::NodeProto& anchor, const FusionContext& context);

/// Weight and bias of the anchor with the BatchNormalization folded in:
/// w' = w * scale / sqrt(variance + epsilon), b' = (b - mean) * scale / sqrt(variance + epsilon) + bias.
struct FoldedWeights {
  Tensor weight;
  Tensor bias;
};
FoldedWeights fold_batch_normalization(const onnx::NodeProto& convolution, const onnx::NodeProto& normalization,
                                       const Constants& constants);

}  // namespace narrow::exec
