#include "lib/onednn/matmul_shapes.h"

#include <algorithm>
#include <utility>

#include "lib/base/error.h"

namespace narrow::onednn {
namespace {

struct Operand {
  Shape batch;
  int64_t rows = 1;
  int64_t columns = 1;
};

// A vector is a row of A or a column of B.
Operand split(const Shape& shape, bool transposed, bool vector_is_row) {
  if (shape.empty()) throw Error(ErrorKind::kModel, "a matrix product needs operands of rank 1 or more");
  if (shape.size() == 1) {
    return vector_is_row ? Operand{.batch = {}, .rows = 1, .columns = shape[0]}
                         : Operand{.batch = {}, .rows = shape[0], .columns = 1};
  }
  Operand operand{.batch = {shape.begin(), shape.end() - 2}, .rows = shape[shape.size() - 2], .columns = shape.back()};
  if (transposed) std::swap(operand.rows, operand.columns);
  return operand;
}

Shape broadcast(const Shape& a, const Shape& b) {
  Shape result(a.size());
  for (size_t axis = 0; axis < a.size(); ++axis) {
    if (a[axis] != b[axis] && a[axis] != 1 && b[axis] != 1) {
      throw Error(ErrorKind::kModel, "batch axes {} and {} do not broadcast", shape_text(a), shape_text(b));
    }
    result[axis] = a[axis] == 1 ? b[axis] : a[axis];
  }
  return result;
}

Shape with_matrix(Shape batch, int64_t rows, int64_t columns) {
  batch.push_back(rows);
  batch.push_back(columns);
  return batch;
}

}  // namespace

MatmulShapes make_matmul_shapes(const Shape& a, const Shape& b, Transposed transposed) {
  Operand left = split(a, transposed.a, /*vector_is_row=*/true);
  Operand right = split(b, transposed.b, /*vector_is_row=*/false);
  if (left.columns != right.rows) {
    throw Error(ErrorKind::kModel, "operands {} and {} do not fit: {} columns against {} rows", shape_text(a),
                shape_text(b), left.columns, right.rows);
  }
  const size_t rank = std::max(left.batch.size(), right.batch.size());
  left.batch.insert(left.batch.begin(), rank - left.batch.size(), 1);
  right.batch.insert(right.batch.begin(), rank - right.batch.size(), 1);
  Shape batch = broadcast(left.batch, right.batch);

  MatmulShapes shapes;
  shapes.result = batch;
  if (a.size() > 1) shapes.result.push_back(left.rows);
  if (b.size() > 1) shapes.result.push_back(right.columns);

  const bool one_right = element_count(right.batch) == 1;
  const bool one_left = element_count(left.batch) == 1;
  if (one_right && (one_left || !transposed.a)) {
    left.rows *= element_count(left.batch);
    left.batch = right.batch = batch = {};
  } else if (one_left || one_right || left.batch == right.batch) {
    left.batch = {element_count(left.batch)};
    right.batch = {element_count(right.batch)};
    batch = {element_count(batch)};
  }
  shapes.a = with_matrix(left.batch, left.rows, left.columns);
  shapes.b = with_matrix(right.batch, right.rows, right.columns);
  shapes.product = with_matrix(batch, left.rows, right.columns);
  return shapes;
}

}  // namespace narrow::onednn
