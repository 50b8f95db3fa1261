// First and second moments of a layer's inputs and outputs: all that its output error depends on.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "lib/recover/matrix.h"

namespace narrow::recover {

/// Sums over rows of x^ (what the quantized layer reads, K columns) and y (what the float layer makes, O columns).
struct Sums {
  Sums() = default;
  Sums(int64_t columns, int64_t outputs);

  void add(const Sums& other);

  double rows = 0;
  Matrix inner;            // sum of x^ x^T, [K, K]
  Matrix cross;            // sum of y x^T, [O, K]
  std::vector<double> x;   // sum of x^
  std::vector<double> y;   // sum of y
  std::vector<double> yy;  // sum of y^2
};

/// Adds rows given as x [rows, K] and y [rows, O], float32. The products are summed in float32 within a call.
void add_rows(Sums& sums, std::span<const float> x, std::span<const float> y);

enum class Bias {
  kFree,   // moments are covariances: what is left when each output has the best bias
  kFixed,  // moments are about zero: no bias makes up for an error of the mean
};

struct Moments {
  explicit Moments(const Sums& sums, Bias bias = Bias::kFree);

  Matrix inner;
  Matrix cross;
  std::vector<double> mean_x;
  std::vector<double> mean_y;
  std::vector<double> variance_y;  // E y^2 where the bias is fixed
  double variance_x = 0;           // mean over the columns, of deviations from their means in either case
};

/// E |y - w x^ - b|^2 of one output with the best b, or b = 0.
double output_error(const Moments& moments, int64_t output, std::span<const double> weights);

}  // namespace narrow::recover
