// First and second moments of a layer's inputs and outputs: all that its output error depends on.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "lib/recover/matrix.h"
#include "lib/tensor/shape.h"

namespace narrow::recover {

/// Sums over rows of x^ (what the quantized layer reads, K columns) and y (what the float layer makes, O columns).
struct Sums {
  Sums() = default;
  Sums(int64_t columns, int64_t outputs);

  void add(const Sums& other);

  double rows = 0;
  Matrix inner;            // sum of x^ x^T, [K, K]; the upper triangle
  Matrix cross;            // sum of y x^T, [O, K]
  std::vector<double> x;   // sum of x^
  std::vector<double> y;   // sum of y
  std::vector<double> yy;  // sum of y^2
};

/// Rows of a layer's inputs and outputs, float32; kRowPadding elements follow the last of each. A row holds all groups:
/// element `tap * groups * channels + group * channels + channel` is a column of one of them.
struct Rows {
  std::vector<float> x;
  std::vector<float> y;
  size_t count = 0;
  Shape made;  // of the output that they are taken from
};

/// Adds rows to the sums of each group of a layer, whose columns are `taps` times some channels. Products are summed in
/// float32 within each of `blocks`. Runs on the caller's threads; the result does not depend on how many they are.
void add_rows(std::vector<Sums>& groups, size_t taps, std::span<const Rows* const> blocks);

enum class Bias {
  kFree,   // moments are covariances: what is left when each output has the best bias
  kFixed,  // moments are about zero: no bias makes up for an error of the mean
};

struct Moments {
  explicit Moments(Sums sums, Bias bias = Bias::kFree);

  Matrix inner;
  Matrix cross;
  std::vector<double> mean_x;
  std::vector<double> mean_y;
  std::vector<double> variance_y;  // E y^2 where the bias is fixed
  double variance_x = 0;           // mean over the columns, of deviations from their means in either case
};

/// E |y - w x^ - b|^2 with the best b, or b = 0, of each of up to kTile outputs.
std::vector<double> output_errors(const Moments& moments, std::span<const int64_t> outputs,
                                  const std::vector<std::vector<double>>& weights);

}  // namespace narrow::recover
