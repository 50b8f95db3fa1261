#include "lib/recover/moments.h"

#include <algorithm>

#include "lib/onednn/matmul.h"
#include "lib/recover/vector_math.h"

namespace narrow::recover {
namespace {

/// target[i, j] += sum over rows of a[row, i] * b[row, j].
void add_product(Matrix& target, std::span<const float> a, std::span<const float> b) {
  constexpr int64_t kSmall = 1024;  // below it calling a library costs more than it saves
  const auto columns_a = static_cast<size_t>(target.rows);
  const auto columns_b = static_cast<size_t>(target.columns);
  const size_t rows = a.size() / columns_a;
  if (target.rows * target.columns <= kSmall) {
    for (size_t row = 0; row < rows; ++row) {
      for (size_t i = 0; i < columns_a; ++i) {
        const double factor = a[row * columns_a + i];
        double* const to = target.values.data() + i * columns_b;
        for (size_t j = 0; j < columns_b; ++j) to[j] += factor * static_cast<double>(b[row * columns_b + j]);
      }
    }
    return;
  }
  const onednn::Matmul matmul(onednn::MatmulSpec{.transpose_a = true});
  Workspace workspace;
  const Shape shape_a{static_cast<int64_t>(rows), target.rows};
  const Shape shape_b{static_cast<int64_t>(rows), target.columns};
  const Tensor product = matmul.run(Tensor::of<float>(shape_a, a), Tensor::of<float>(shape_b, b), workspace);
  const auto values = product.data<float>();
  for (size_t i = 0; i < values.size(); ++i) target.values[i] += static_cast<double>(values[i]);
}

void add_all(std::span<double> target, std::span<const double> source) {
  add_scaled(target, 1, source);
}

}  // namespace

Sums::Sums(int64_t columns, int64_t outputs)
    : inner(columns, columns),
      cross(outputs, columns),
      x(static_cast<size_t>(columns)),
      y(static_cast<size_t>(outputs)),
      yy(static_cast<size_t>(outputs)) {}

void Sums::add(const Sums& other) {
  rows += other.rows;
  add_all(inner.values, other.inner.values);
  add_all(cross.values, other.cross.values);
  add_all(x, other.x);
  add_all(y, other.y);
  add_all(yy, other.yy);
}

void add_rows(Sums& sums, std::span<const float> x, std::span<const float> y) {
  if (x.empty()) return;
  const size_t rows = x.size() / sums.x.size();
  sums.rows += static_cast<double>(rows);
  add_product(sums.inner, x, x);
  add_product(sums.cross, y, x);
  add_columns(sums.x, {}, x);
  add_columns(sums.y, sums.yy, y);
}

Moments::Moments(const Sums& sums, Bias bias)
    : inner(sums.inner), cross(sums.cross), mean_x(sums.x), mean_y(sums.y), variance_y(sums.yy) {
  const double share = 1 / std::max(sums.rows, 1.0);
  for (auto* values : {&inner.values, &cross.values, &mean_x, &mean_y, &variance_y}) {
    for (double& value : *values) value *= share;
  }
  for (int64_t i = 0; i < inner.rows; ++i) {
    const double mean = mean_x[static_cast<size_t>(i)];
    variance_x += (inner.at(i, i) - mean * mean) / static_cast<double>(inner.rows);
  }
  if (bias == Bias::kFixed) return;
  for (int64_t i = 0; i < inner.rows; ++i) add_scaled(inner.row(i), -mean_x[static_cast<size_t>(i)], mean_x);
  for (int64_t i = 0; i < cross.rows; ++i) add_scaled(cross.row(i), -mean_y[static_cast<size_t>(i)], mean_x);
  for (size_t i = 0; i < mean_y.size(); ++i) variance_y[i] = std::max(variance_y[i] - mean_y[i] * mean_y[i], 0.0);
}

double output_error(const Moments& moments, int64_t output, std::span<const double> weights) {
  double error = moments.variance_y[static_cast<size_t>(output)] - 2 * dot(moments.cross.row(output), weights);
  for (size_t i = 0; i < weights.size(); ++i) {
    if (weights[i] != 0) error += weights[i] * dot(moments.inner.row(static_cast<int64_t>(i)), weights);
  }
  return error;
}

}  // namespace narrow::recover
