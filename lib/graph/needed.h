// What of a graph its outputs need.
#pragma once

#include <string>
#include <unordered_set>
#include <vector>

#include "lib/graph/onnx_proto.h"

namespace narrow::graph {

/// Values that the graph's outputs and `more` are made from, these among them. Bodies count with what they read from
/// outside; nodes are in order.
std::unordered_set<std::string> needed_values(const onnx::GraphProto& graph, const std::vector<std::string>& more = {});

/// Whether some output of the node is among the values.
bool makes_any(const onnx::NodeProto& node, const std::unordered_set<std::string>& values);

}  // namespace narrow::graph
