// Membership of nodes in lists of operators, and of what reads them.
#pragma once

#include <algorithm>
#include <array>
#include <string_view>
#include <unordered_set>

#include "lib/graph/graph_index.h"
#include "lib/graph/model.h"

namespace narrow::plan {

/// True for an operator of ONNX's own domain that is in the list.
template <size_t kCount>
bool is_one_of(const onnx::NodeProto& node, const std::array<std::string_view, kCount>& ops) {
  return graph::canonical_domain(node.domain()).empty() &&
         std::find(ops.begin(), ops.end(), node.op_type()) != ops.end();
}

/// Whether something reads what the node makes, and all that does is among `readers`; what asks for shapes does not
/// count.
bool all_read_by(const graph::GraphIndex& index, const onnx::NodeProto& node,
                 const std::unordered_set<const onnx::NodeProto*>& readers);

}  // namespace narrow::plan
