// Det, and Inverse of com.microsoft: Gaussian elimination with partial pivoting, in float64.
#include <cmath>

#include "lib/exec/kernels/families.h"
#include "lib/exec/kernels/support.h"

namespace narrow::exec {
namespace {

int64_t matrix_order(const Tensor& x) {
  if (x.rank() < 2 || x.shape().back() != x.shape()[x.rank() - 2]) {
    throw Error(ErrorKind::kModel, "expected square matrices, got {}", shape_text(x.shape()));
  }
  return x.shape().back();
}

// An n x n matrix beside `extra` columns that go through the same row operations.
class Elimination {
 public:
  Elimination(int64_t order, int64_t extra)
      : order_(order), width_(order + extra), cells_(static_cast<size_t>(order * width_), 0.0) {}

  double& at(int64_t row, int64_t column) { return cells_[static_cast<size_t>(row * width_ + column)]; }

  // Clears what is below the pivots (above them too if `completely`); the determinant.
  double reduce(bool completely) {
    double determinant = 1;
    for (int64_t k = 0; k < order_; ++k) {
      int64_t best = k;
      for (int64_t row = k + 1; row < order_; ++row) {
        if (std::abs(at(row, k)) > std::abs(at(best, k))) best = row;
      }
      if (at(best, k) == 0) return 0;
      if (best != k) {
        for (int64_t j = k; j < width_; ++j) std::swap(at(best, j), at(k, j));
        determinant = -determinant;
      }
      determinant *= at(k, k);
      for (int64_t row = completely ? 0 : k + 1; row < order_; ++row) {
        if (row == k) continue;
        const double factor = at(row, k) / at(k, k);
        for (int64_t j = k; j < width_; ++j) at(row, j) -= factor * at(k, j);
      }
    }
    return determinant;
  }

 private:
  int64_t order_;
  int64_t width_;
  std::vector<double> cells_;
};

template <class T>
void fill(Elimination& matrix, const T* from, int64_t n) {
  for (int64_t i = 0; i < n * n; ++i) matrix.at(i / n, i % n) = static_cast<double>(from[i]);
}

template <class T>
void invert(const T* from, T* to, int64_t n) {
  Elimination matrix(n, n);
  fill(matrix, from, n);
  for (int64_t i = 0; i < n; ++i) matrix.at(i, n + i) = 1;
  if (matrix.reduce(/*completely=*/true) == 0) throw Error(ErrorKind::kModel, "a singular matrix has no inverse");
  for (int64_t i = 0; i < n * n; ++i) to[i] = static_cast<T>(matrix.at(i / n, n + i % n) / matrix.at(i / n, i / n));
}

}  // namespace

KernelPtr make_det(const KernelRequest& /*request*/) {
  return kernel_of([](std::span<Tensor> inputs, std::span<Tensor> outputs, Workspace& workspace) {
    const Tensor& x = required(inputs, 0);
    const int64_t n = matrix_order(x);
    outputs[0] = workspace.allocate(x.type(), Shape(x.shape().begin(), x.shape().end() - 2));
    dispatch_type(FloatTypes(), x.type(), [&]<class T>() {
      const T* from = x.data<T>().data();
      T* to = outputs[0].mutable_data<T>().data();
      parallel_for(outputs[0].size(), 1, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) {
          Elimination matrix(n, 0);
          fill(matrix, from + i * n * n, n);
          to[i] = static_cast<T>(matrix.reduce(/*completely=*/false));
        }
      });
    });
  });
}

KernelPtr make_inverse(const KernelRequest& /*request*/) {
  return kernel_of([](std::span<Tensor> inputs, std::span<Tensor> outputs, Workspace& workspace) {
    const Tensor& x = required(inputs, 0);
    const int64_t n = matrix_order(x);
    outputs[0] = workspace.allocate(x.type(), x.shape());
    if (n == 0) return;
    dispatch_type(FloatTypes(), x.type(), [&]<class T>() {
      const T* from = x.data<T>().data();
      T* to = outputs[0].mutable_data<T>().data();
      parallel_for(x.size() / (n * n), 1, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) invert(from + i * n * n, to + i * n * n, n);
      });
    });
  });
}

}  // namespace narrow::exec
