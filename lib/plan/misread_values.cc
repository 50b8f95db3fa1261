#include "lib/plan/misread_values.h"

#include <algorithm>
#include <optional>

#include "lib/graph/tensor_shape.h"
#include "lib/graph/traverse.h"

namespace narrow::plan {
namespace {

/// Of the result of an Expand: as long as the list of its dimensions, or its input's where that is longer.
std::optional<size_t> rank_of(const graph::GraphIndex& index, const onnx::NodeProto& expand, const Shape& constant) {
  if (const auto result = index.type(expand.output(0)).shape) return result->size();
  const auto list = index.type(expand.input(1)).shape;
  if (!list || list->size() != 1 || list->front() < 0) return std::nullopt;
  return std::max(constant.size(), static_cast<size_t>(list->front()));
}

/// Dimensions are counted from the end: axis 1 of `rank` has all elements of the constant. Of a rank that nobody tells
/// it may.
bool lies_along_channels(const Shape& constant, std::optional<size_t> rank) {
  const int64_t count = element_count(constant);
  if (count < 2) return false;
  if (!rank) return std::find(constant.begin(), constant.end(), count) != constant.end();
  const size_t from_end = *rank - 1;
  return *rank > 1 && constant.size() >= from_end && constant[constant.size() - from_end] == count;
}

}  // namespace

std::vector<std::string> expanded_channels(const graph::Model& model, const graph::GraphIndex& index) {
  std::vector<std::string> found;
  graph::for_each_node(model.graph(), [&](const onnx::NodeProto& node) {
    if (node.op_type() != "Expand" || !graph::canonical_domain(node.domain()).empty()) return;
    const onnx::TensorProto* constant = index.initializer(node.input(0));
    if (constant == nullptr || graph::is_known(index.type(node.output(0)).shape)) return;
    const Shape shape = graph::shape_of(*constant);
    if (lies_along_channels(shape, rank_of(index, node, shape))) found.push_back(node.output(0));
  });
  return found;
}

}  // namespace narrow::plan
