#include <bit>
#include <numbers>
#include <utility>

#include "lib/exec/kernels/fourier.h"

namespace narrow::exec {
namespace {

using Complex = std::complex<double>;

// exp(-2 pi i turns).
Complex root_of_unity(double turns) {
  return std::polar(1.0, -2 * std::numbers::pi * turns);
}

void swap_bit_reversed(std::vector<Complex>& x) {
  for (size_t i = 1, j = 0; i < x.size(); ++i) {
    size_t bit = x.size() >> 1;
    for (; (j & bit) != 0; bit >>= 1) j ^= bit;
    j ^= bit;
    if (i < j) std::swap(x[i], x[j]);
  }
}

}  // namespace

FourierTransform::FourierTransform(int64_t length, bool inverse)
    : length_(static_cast<size_t>(length)), padded_(length_), inverse_(inverse) {
  const bool power = std::has_single_bit(length_);
  if (!power) padded_ = std::bit_ceil(2 * length_ - 1);
  for (size_t k = 0; k < padded_ / 2; ++k) {
    roots_.push_back(root_of_unity(static_cast<double>(k) / static_cast<double>(padded_)));
  }
  if (power) return;
  kernel_.assign(padded_, Complex());
  for (size_t n = 0; n < length_; ++n) {
    // n^2 modulo 2 * length keeps the angle exact.
    const size_t square = n * n % (2 * length_);
    chirp_.push_back(root_of_unity(static_cast<double>(square) / static_cast<double>(2 * length_)));
    kernel_[n] = std::conj(chirp_[n]);
    if (n > 0) kernel_[padded_ - n] = kernel_[n];
  }
  transform_padded(kernel_);
}

void FourierTransform::transform_padded(std::vector<Complex>& x) const {
  swap_bit_reversed(x);
  for (size_t half = 1; half < padded_; half *= 2) {
    const size_t stride = padded_ / (2 * half);
    for (size_t start = 0; start < padded_; start += 2 * half) {
      for (size_t k = 0; k < half; ++k) {
        const Complex odd = x[start + half + k] * roots_[k * stride];
        x[start + half + k] = x[start + k] - odd;
        x[start + k] += odd;
      }
    }
  }
}

void FourierTransform::run(std::vector<Complex>& x) const {
  // The inverse is the conjugate of the forward transform of the conjugate.
  if (inverse_) {
    for (Complex& value : x) value = std::conj(value);
  }
  if (chirp_.empty()) {
    transform_padded(x);
  } else {
    std::vector<Complex> work(padded_);
    for (size_t n = 0; n < length_; ++n) work[n] = x[n] * chirp_[n];
    transform_padded(work);
    for (size_t k = 0; k < padded_; ++k) work[k] = std::conj(work[k] * kernel_[k]);
    transform_padded(work);
    const double scale = 1 / static_cast<double>(padded_);
    for (size_t n = 0; n < length_; ++n) x[n] = std::conj(work[n]) * scale * chirp_[n];
  }
  if (inverse_) {
    for (Complex& value : x) value = std::conj(value) / static_cast<double>(length_);
  }
}

}  // namespace narrow::exec
