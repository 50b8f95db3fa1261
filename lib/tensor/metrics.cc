#include "lib/tensor/metrics.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "lib/base/error.h"

namespace narrow {

void ErrorStatistics::add(std::span<const float> reference, std::span<const float> actual) {
  ensure(reference.size() == actual.size(), "compared tensors have one size");
  for (size_t i = 0; i < reference.size(); ++i) {
    const double x = reference[i];
    const double y = actual[i];
    const double error = x - y;
    signal_ += x * x;
    actual_ += y * y;
    product_ += x * y;
    // Equal infinities are no error, though their difference is NaN.
    if (x == y) continue;
    noise_ += error * error;
    not_finite_ += std::isfinite(x) && !std::isfinite(y) ? 1 : 0;
    max_abs_error_ =
        std::max(max_abs_error_, std::isnan(error) ? std::numeric_limits<double>::infinity() : std::abs(error));
  }
  count_ += static_cast<int64_t>(reference.size());
}

void ErrorStatistics::add(const ErrorStatistics& other) {
  count_ += other.count_;
  not_finite_ += other.not_finite_;
  signal_ += other.signal_;
  actual_ += other.actual_;
  noise_ += other.noise_;
  product_ += other.product_;
  max_abs_error_ = std::max(max_abs_error_, other.max_abs_error_);
}

double ErrorStatistics::sqnr_db() const {
  if (noise_ == 0) return std::numeric_limits<double>::infinity();
  return 10 * std::log10(signal_ / noise_);
}

double ErrorStatistics::cosine() const {
  const double norms = std::sqrt(signal_) * std::sqrt(actual_);
  if (norms == 0) return signal_ == actual_ ? 1 : 0;
  return product_ / norms;
}

int64_t argmax(std::span<const float> values) {
  return std::distance(values.begin(), std::max_element(values.begin(), values.end()));
}

bool in_top_k(std::span<const float> values, int64_t index, int k) {
  const float wanted = values[static_cast<size_t>(index)];
  int before = 0;
  for (size_t i = 0; i < values.size(); ++i) {
    if (values[i] > wanted || (values[i] == wanted && static_cast<int64_t>(i) < index)) ++before;
  }
  return before < k;
}

}  // namespace narrow
