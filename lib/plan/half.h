// Layers that compute in float16 or bfloat16.
#pragma once

#include <optional>
#include <vector>

#include "lib/base/reason.h"
#include "lib/graph/graph_index.h"
#include "lib/graph/model.h"

namespace narrow::plan {

/// First opset whose operators take bfloat16 throughout.
inline constexpr int kBfloat16Opset = 22;

/// Positions of a node's float32 values that have the type `type` when the node computes in it.
struct HalfSlots {
  std::vector<int> inputs;
  std::vector<int> outputs;
};

/// By the type constraints of the operator's schema at `opset`: inputs that may have the type, and outputs of the same
/// type variable. Empty for operators with bodies, of sequences and optionals, and of other domains, and where an input
/// of that variable is of unknown type.
HalfSlots half_slots(const graph::GraphIndex& index, const onnx::NodeProto& node, DataType type, int opset);

/// Why the operator can not compute in the type whatever its constants are.
std::optional<Reason> half_operator_refusal(const graph::Model& model, const graph::GraphIndex& index,
                                            const onnx::NodeProto& node, DataType type);

/// A constant of the node that loses more than 1 % of itself (40 dB) by overflow or underflow, said as a reason.
std::optional<Reason> half_constant_refusal(const graph::Model& model, const graph::GraphIndex& index,
                                            const onnx::NodeProto& node, DataType type);

/// The first of the two.
std::optional<Reason> half_refusal(const graph::Model& model, const graph::GraphIndex& index,
                                   const onnx::NodeProto& node, DataType type);

}  // namespace narrow::plan
