// Elementwise functions that oneDNN computes behind a float32 convolution or matrix product, while the sums are still
// in registers.
#pragma once

namespace narrow::onednn {

struct Activation {
  enum class Kind {
    kLinear,       // alpha * x + beta
    kClamp,        // min(max(x, alpha), beta)
    kLeakyRelu,    // x < 0 ? alpha * x : x
    kSigmoid,      // 1 / (1 + exp(-x))
    kTanh,         //
    kSwish,        // x / (1 + exp(-alpha * x))
    kHardSigmoid,  // min(max(alpha * x + beta, 0), 1)
    kHardSwish,    // x * min(max(alpha * x + beta, 0), 1)
    kGelu,         // x * (1 + erf(x / sqrt(2))) / 2
    kGeluTanh,     // its approximation by tanh
  };
  Kind kind = Kind::kLinear;
  float alpha = 1;
  float beta = 0;
  bool operator==(const Activation&) const = default;
};

}  // namespace narrow::onednn
