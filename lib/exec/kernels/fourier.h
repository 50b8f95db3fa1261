// Discrete Fourier transforms of any length, in float64.
#pragma once

#include <complex>
#include <cstdint>
#include <vector>

namespace narrow::exec {

/// y[k] = sum over n of x[n] * exp(-+ 2 pi i n k / length). Powers of two go by halving, other lengths by Bluestein's
/// convolution of a power of two. Immutable; run() may be called from several threads at once.
class FourierTransform {
 public:
  /// `inverse` has the positive sign in the exponent and divides by the length.
  FourierTransform(int64_t length, bool inverse);

  /// In place; `x` has `length` elements.
  void run(std::vector<std::complex<double>>& x) const;

 private:
  void transform_padded(std::vector<std::complex<double>>& x) const;

  size_t length_;
  size_t padded_;  // a power of two
  bool inverse_;
  std::vector<std::complex<double>> roots_;   // exp(-2 pi i k / padded), k < padded / 2
  std::vector<std::complex<double>> chirp_;   // exp(-pi i n^2 / length); empty for powers of two
  std::vector<std::complex<double>> kernel_;  // transform of the conjugate chirp, wrapped around
};

}  // namespace narrow::exec
