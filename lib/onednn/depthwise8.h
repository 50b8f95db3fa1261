// Depthwise convolution of bytes by AVX-512 VNNI, where oneDNN's own kernel is slower than its float one. The integers
// are those of every other integer convolution here (OutputTransform).
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "lib/onednn/output_transform.h"
#include "lib/tensor/shape.h"

namespace narrow::onednn {

struct Depthwise8Spec {
  int64_t channels = 0;
  std::array<int64_t, 2> kernel{1, 1};  // height, width; so are the others
  std::array<int64_t, 2> strides{1, 1};
  std::array<int64_t, 2> pads_begin{0, 0};
  bool signed_source = false;
  bool signed_destination = false;
};

/// One filter for each channel, no dilation. Immutable.
class Depthwise8 {
 public:
  /// True if the CPU has the instructions and oneDNN may use them too.
  static bool available();

  /// `weights` [channels, height, width].
  Depthwise8(const Depthwise8Spec& spec, const int8_t* weights, const OutputTransform& transform);

  /// `source` and `result` channels-last, [N, C, H, W] in shape. Runs on the calling thread's thread count.
  void run(const uint8_t* source, const Shape& source_shape, uint8_t* result, const Shape& result_shape) const;

  /// What the loops read; in blocks of 16 channels, the last one padded with zeros.
  struct Packed {
    Depthwise8Spec spec;
    int64_t tap_groups = 1;             // of four rows of the kernel each
    std::vector<int8_t> weights;        // [block][group][column][channel][row of the group]
    std::vector<int32_t> compensation;  // what zero point and sign of the source add to the accumulator, negated
    std::vector<float> bias;
    std::vector<float> multipliers;
    float low = 0;  // of the rounded steps, before the zero point
    float high = 0;
    int32_t zero_point = 0;
    uint8_t padding = 0;  // byte of a real zero, sign bit flipped if the source is signed
  };

 private:
  Packed packed_;
};

}  // namespace narrow::onednn
