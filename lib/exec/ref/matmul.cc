#include "lib/exec/ref/matmul.h"

#include <algorithm>

namespace narrow::exec {

MatmulGeometry matmul_geometry(const Shape& a, const Shape& b) {
  if (a.empty() || b.empty()) throw Error(ErrorKind::kModel, "an operand of a matrix product is a scalar");
  Shape left = a;
  Shape right = b;
  if (a.size() == 1) left.insert(left.begin(), 1);
  if (b.size() == 1) right.push_back(1);
  MatmulGeometry geometry;
  geometry.rows = left[left.size() - 2];
  geometry.depth = left.back();
  geometry.columns = right.back();
  const size_t rank = std::max(left.size(), right.size()) - 2;
  left.insert(left.begin(), rank + 2 - left.size(), 1);
  right.insert(right.begin(), rank + 2 - right.size(), 1);
  Shape batch(rank);
  for (size_t axis = 0; axis < rank; ++axis) {
    batch[axis] = left[axis] == 1 ? right[axis] : left[axis];
    if (left[axis] != batch[axis] && left[axis] != 1) batch[axis] = -1;
    if (right[axis] != batch[axis] && right[axis] != 1) batch[axis] = -1;
  }
  if (geometry.depth != right[rank] || std::find(batch.begin(), batch.end(), -1) != batch.end()) {
    throw Error(ErrorKind::kModel, "matrices {} and {} do not multiply", shape_text(a), shape_text(b));
  }
  const int64_t count = element_count(batch);
  for (int64_t i = 0; i < count; ++i) {
    int64_t rest = i;
    int64_t a_offset = 0;
    int64_t b_offset = 0;
    int64_t a_step = 1;
    int64_t b_step = 1;
    for (size_t axis = rank; axis-- > 0;) {
      const int64_t at = rest % batch[axis];
      rest /= batch[axis];
      a_offset += left[axis] == 1 ? 0 : at * a_step;
      b_offset += right[axis] == 1 ? 0 : at * b_step;
      a_step *= left[axis];
      b_step *= right[axis];
    }
    geometry.a_batches.push_back(a_offset);
    geometry.b_batches.push_back(b_offset);
  }
  geometry.result = batch;
  if (a.size() > 1) geometry.result.push_back(geometry.rows);
  if (b.size() > 1) geometry.result.push_back(geometry.columns);
  return geometry;
}

}  // namespace narrow::exec
