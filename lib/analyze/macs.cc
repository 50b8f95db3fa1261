#include "lib/analyze/macs.h"

#include <algorithm>

#include "lib/graph/attributes.h"
#include "lib/ops/op_table.h"

namespace narrow::analyze {
namespace {

Shape known_shape(const graph::GraphIndex& index, const std::string& value) {
  Shape shape = index.type(value).shape.value_or(Shape{});
  for (int64_t& dimension : shape) dimension = std::max<int64_t>(dimension, 1);
  return shape;
}

}  // namespace

int64_t count_macs(const onnx::NodeProto& node, const graph::GraphIndex& index) {
  if (node.input_size() < 2 || node.output_size() < 1) return 0;
  const Shape a = known_shape(index, node.input(0));
  const Shape w = known_shape(index, node.input(1));
  const Shape y = known_shape(index, node.output(0));
  if (node.op_type() == "Conv" && w.size() >= 2 && w[0] > 0) return element_count(y) * (element_count(w) / w[0]);
  if (node.op_type() == "ConvTranspose" && w.size() >= 2 && w[0] > 0)
    return element_count(a) * (element_count(w) / w[0]);
  if (node.op_type() == "MatMul" && !a.empty()) return element_count(y) * a.back();
  if (node.op_type() == "Gemm" && a.size() == 2) {
    return element_count(y) * a[graph::int_attribute(node, "transA", 0) != 0 ? 0 : 1];
  }
  const bool recurrent = ops::is_recurrent(node.op_type());
  if (recurrent && node.input_size() > 2 && a.size() == 3 && w.size() == 3) {
    // Each step of each sequence multiplies all weights once.
    return a[0] * a[1] * (element_count(w) + element_count(known_shape(index, node.input(2))));
  }
  return 0;
}

}  // namespace narrow::analyze
