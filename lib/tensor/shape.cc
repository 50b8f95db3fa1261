#include "lib/tensor/shape.h"

#include "lib/base/error.h"

namespace narrow {

int64_t element_count(const Shape& shape) {
  int64_t count = 1;
  for (const int64_t dimension : shape) {
    if (dimension < 0) throw Error(ErrorKind::kModel, "shape {} has a negative dimension", shape_text(shape));
    if (__builtin_mul_overflow(count, dimension, &count)) {
      throw Error(ErrorKind::kModel, "shape {} has too many elements", shape_text(shape));
    }
  }
  return count;
}

std::vector<int64_t> dense_strides(const Shape& shape) {
  std::vector<int64_t> strides(shape.size());
  int64_t step = 1;
  for (size_t axis = shape.size(); axis-- > 0;) {
    strides[axis] = step;
    step *= shape[axis];
  }
  return strides;
}

std::string shape_text(const Shape& shape) {
  std::string text = "[";
  for (size_t i = 0; i < shape.size(); ++i) {
    if (i > 0) text += ",";
    text += shape[i] == -1 ? "?" : std::to_string(shape[i]);
  }
  return text + "]";
}

int64_t normalize_axis(int64_t axis, size_t rank) {
  const auto signed_rank = static_cast<int64_t>(rank);
  if (axis < -signed_rank || axis >= signed_rank) {
    throw Error(ErrorKind::kModel, "axis {} is outside a tensor of rank {}", axis, rank);
  }
  return axis < 0 ? axis + signed_rank : axis;
}

}  // namespace narrow
