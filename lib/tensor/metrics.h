// How far one tensor is from another. Defined here once; every report uses these.
#pragma once

#include <cstdint>
#include <span>

#include "lib/tensor/tensor.h"

namespace narrow {

/// Accumulates over any number of tensor pairs. Sums are in float64, added in call order.
class ErrorStatistics {
 public:
  /// `reference` x against `actual` x^; both float32 and of one size.
  void add(std::span<const float> reference, std::span<const float> actual);
  void add(const ErrorStatistics& other);

  int64_t count() const { return count_; }
  /// Elements that are NaN or infinite in x^ and finite in x.
  int64_t not_finite() const { return not_finite_; }
  /// 10*log10(sum x^2 / sum (x - x^)^2) in dB; +infinity when equal, -infinity when x is all zero and x^ is not,
  /// NaN if any element is NaN.
  double sqnr_db() const;
  /// sum x*x^ / (|x| |x^|); 1 when both are all zero.
  double cosine() const;
  double max_abs_error() const { return max_abs_error_; }
  double mean_squared_error() const { return count_ == 0 ? 0 : noise_ / static_cast<double>(count_); }

 private:
  int64_t count_ = 0;
  int64_t not_finite_ = 0;
  double signal_ = 0;
  double actual_ = 0;
  double noise_ = 0;
  double product_ = 0;
  double max_abs_error_ = 0;
};

/// Index of the largest element, the first of equals; 0 for an empty span.
int64_t argmax(std::span<const float> values);

/// True if fewer than k elements are larger than values[index] or equal to it and before it.
bool in_top_k(std::span<const float> values, int64_t index, int k);

}  // namespace narrow
