// A node's inputs by place, of nodes that may have fewer.
#pragma once

#include <string>

#include "lib/graph/onnx_proto.h"

namespace narrow::graph {

/// What the node reads at a place; "" where it has no such input, as of operators that make data from nothing, or the
/// place is negative.
inline const std::string& input_or_none(const onnx::NodeProto& node, int input) {
  static const std::string none;
  return input >= 0 && input < node.input_size() ? node.input(input) : none;
}

}  // namespace narrow::graph
