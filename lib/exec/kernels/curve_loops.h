// Curves that activations are made of, over float32, compiled for each instruction set. No fused multiply-adds, so that
// every instruction set gives the same bits.
#pragma once

#include <cstddef>

namespace narrow::exec {

/// Infinities and NaN give what the formulas give in the reals' limit; results below the smallest normal number keep
/// what float32 keeps of them.
enum class Curve {
  kErf,       // within 4e-7 of itself
  kExp,       // the others: within 4 units in the last place, Gelu and Mish of the larger factor's
  kGelu,      // x / 2 * (1 + erf(x / sqrt(2)))
  kGeluTanh,  // x / 2 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x^3)))
  kLog,
  kMish,      // x * tanh(softplus(x))
  kSigmoid,   // 1 / (1 + e^-x)
  kSoftplus,  // ln(1 + e^x)
  kTanh,
};

/// y[i] = curve(x[i]); may work in place.
void map_curve(Curve curve, const float* x, float* y, size_t count);

}  // namespace narrow::exec
