// The operators of com.microsoft that read a weight in blocks, and what they take.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "lib/graph/graph_index.h"
#include "lib/plan/plan.h"

namespace narrow::plan {

/// The operator that reads this node's stored weight: "MatMulNBits" or "GatherBlockQuantized"; "" for other nodes.
std::string block_operator(const onnx::NodeProto& node);

/// Why that operator can not read the weight; nullopt if it can. `shape` is the weight's.
std::optional<std::string> block_operator_refusal(const graph::GraphIndex& index, const onnx::NodeProto& node,
                                                  const WeightPlan& weight, const Shape& shape);

/// MatMulNBits: elements of a column that share a scale. A column that has one scale is one block.
int64_t nbits_block(const quant::QuantParams& params, int64_t rows);

}  // namespace narrow::plan
