// Sums of products of float32 in vectors of AVX-512, with what follows them: what float convolutions and matrix
// products are made of. Each result is one sum over its terms in their order, whatever the batch and the number of
// threads.
#pragma once

#include <span>
#include <vector>

#include "lib/onednn/activation.h"
#include "lib/onednn/convolution.h"
#include "lib/onednn/dense_line.h"
#include "lib/tensor/tensor.h"

namespace narrow::onednn {

struct Dense32Spec {
  int64_t columns = 0;  // results of one position
  int64_t runs = 1;     // stretches of neighbouring source elements that a result is summed over
  int64_t terms = 0;    // of each run
  Clamp clamp;
  std::vector<Activation> activations;  // behind the clamp, in order
};

/// Weights as they are given: [columns][runs][terms], or the transpose of that, [runs][terms][columns].
struct Dense32Weights {
  const float* data = nullptr;
  bool terms_first = false;
};

/// result = activations(clamp(sum + bias + residual)). Immutable.
class Dense32 {
 public:
  /// True if the CPU has the instructions, and oneDNN may use them too.
  static bool available();
  /// True if all of these can be computed.
  static bool computes(const std::vector<Activation>& activations);

  /// `bias`: one per column, or empty.
  Dense32(Dense32Spec spec, const Dense32Weights& weights, const std::vector<float>& bias);

  /// Computed together: 64 columns, the last block fewer.
  int64_t blocks() const;
  /// Columns of blocks [first, end), on the calling thread.
  void compute(std::span<const DenseLine> lines, int64_t first, int64_t end) const;

  static std::byte padding() { return std::byte{0}; }
  static bool flips_signs() { return false; }
  int64_t run_bytes() const { return packed_.spec.terms * static_cast<int64_t>(sizeof(float)); }
  int64_t result_bytes() const { return packed_.spec.columns * static_cast<int64_t>(sizeof(float)); }
  /// How many positions a thread should have at least: fewer take less time than a barrier.
  int64_t fewest_positions() const;

  /// What the loops read.
  struct Packed {
    Dense32Spec spec;
    Tensor weights;               // [block][run][term][column], columns padded to whole registers
    std::vector<float> bias;      // padded, too
    bool half_registers = false;  // of 8 columns: for so few
  };

 private:
  Packed packed_;
};

}  // namespace narrow::onednn
