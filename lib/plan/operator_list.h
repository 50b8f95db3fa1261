// Membership of nodes in lists of operators.
#pragma once

#include <algorithm>
#include <array>
#include <string_view>

#include "lib/graph/model.h"

namespace narrow::plan {

/// True for an operator of ONNX's own domain that is in the list.
template <size_t kCount>
bool is_one_of(const onnx::NodeProto& node, const std::array<std::string_view, kCount>& ops) {
  return graph::canonical_domain(node.domain()).empty() &&
         std::find(ops.begin(), ops.end(), node.op_type()) != ops.end();
}

}  // namespace narrow::plan
