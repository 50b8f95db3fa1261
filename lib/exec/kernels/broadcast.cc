#include "lib/exec/kernels/broadcast.h"

#include "lib/exec/layout.h"

namespace narrow::exec {
namespace {

Shape padded_shape(const Tensor& tensor, size_t rank) {
  if (tensor.size() == 1 || tensor.rank() > rank) return Shape(rank, 1);
  Shape shape(rank - tensor.rank(), 1);
  shape.insert(shape.end(), tensor.shape().begin(), tensor.shape().end());
  return shape;
}

bool can_merge(const BroadcastLoops& loops, size_t last, int64_t extent, const std::vector<int64_t>& strides) {
  for (size_t i = 0; i < strides.size(); ++i) {
    if (loops.strides[i][last] != strides[i] * extent) return false;
  }
  return true;
}

}  // namespace

Shape broadcast_shape(std::span<const Tensor* const> operands) {
  size_t rank = 0;
  for (const Tensor* operand : operands) rank = std::max(rank, operand->rank());
  Shape result(rank, 1);
  for (const Tensor* operand : operands) {
    const size_t offset = rank - operand->rank();
    for (size_t axis = 0; axis < operand->rank(); ++axis) {
      const int64_t dimension = operand->shape()[axis];
      int64_t& target = result[offset + axis];
      if (dimension == 1 || dimension == target) continue;
      if (target != 1) {
        throw Error(ErrorKind::kModel, "shapes {} and {} do not broadcast", shape_text(operands[0]->shape()),
                    shape_text(operand->shape()));
      }
      target = dimension;
    }
  }
  return result;
}

Layout broadcast_layout(std::span<const Tensor* const> operands) {
  for (const Tensor* operand : operands) {
    if (operand->layout() == Layout::kChannelsLast) return Layout::kChannelsLast;
  }
  return Layout::kPlain;
}

Tensor align_constant(const Tensor& constant, size_t rank, Layout layout) {
  if (!constant.defined() || constant.size() == 1 || constant.rank() > rank) return constant;
  if (layout == Layout::kPlain) return constant;
  return to_layout(constant.reshaped(padded_shape(constant, rank)), layout);
}

BroadcastLoops broadcast_loops(std::span<const Tensor* const> operands, const Shape& shape, Layout layout) {
  const Shape extents = memory_shape(shape, layout);
  std::vector<Shape> shapes;
  for (const Tensor* operand : operands) shapes.push_back(memory_shape(padded_shape(*operand, shape.size()), layout));
  std::vector<std::vector<int64_t>> strides(operands.size(), std::vector<int64_t>(extents.size()));
  for (size_t i = 0; i < operands.size(); ++i) {
    int64_t step = 1;
    for (size_t axis = extents.size(); axis-- > 0;) {
      strides[i][axis] = shapes[i][axis] == 1 ? 0 : step;
      step *= shapes[i][axis];
    }
  }
  BroadcastLoops loops;
  loops.strides.resize(operands.size());
  for (size_t axis = 0; axis < extents.size(); ++axis) {
    if (extents[axis] == 1) continue;
    std::vector<int64_t> here(operands.size());
    for (size_t i = 0; i < here.size(); ++i) here[i] = strides[i][axis];
    const size_t depth = loops.extents.size();
    const bool merge = depth > 0 && can_merge(loops, depth - 1, extents[axis], here);
    if (merge) {
      loops.extents.back() *= extents[axis];
    } else {
      loops.extents.push_back(extents[axis]);
    }
    for (size_t i = 0; i < here.size(); ++i) {
      if (merge) {
        loops.strides[i].back() = here[i];
      } else {
        loops.strides[i].push_back(here[i]);
      }
    }
  }
  if (loops.extents.empty()) {
    loops.extents.push_back(1);
    for (auto& operand : loops.strides) operand.push_back(0);
  }
  return loops;
}

}  // namespace narrow::exec
