#pragma once

#include <string_view>

#include "lib/graph/model.h"

namespace narrow::rewrite {

/// True for this operator of ONNX's own domain.
inline bool is_op(const onnx::NodeProto& node, std::string_view op_type) {
  return node.op_type() == op_type && graph::canonical_domain(node.domain()).empty();
}

/// The same of a node that may be absent.
inline bool is_op(const onnx::NodeProto* node, std::string_view op_type) {
  return node != nullptr && is_op(*node, op_type);
}

}  // namespace narrow::rewrite
