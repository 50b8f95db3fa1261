// Plain loops that oneDNN's kernels are tested against, and the layers they are swept over.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "lib/onednn/convolution.h"
#include "lib/tensor/tensor.h"

namespace narrow::onednn::test {

/// Numbers 0 to 2^32 - 1, the same on every run.
class Random {
 public:
  explicit Random(uint32_t seed) : state_(seed * 2654435761U + 1) {}
  uint32_t next() {
    state_ = state_ * 1664525U + 1013904223U;
    return (state_ >> 8) ^ (state_ << 24);
  }
  /// In [low, high].
  int64_t integer(int64_t low, int64_t high) { return low + static_cast<int64_t>(next() % (high - low + 1)); }
  /// In [-1, 1).
  float real() { return static_cast<float>(next() % 20000) / 10000.0F - 1.0F; }

 private:
  uint32_t state_;
};

/// Plain tensor of float32 in [-1, 1), or of u8/s8/s32 over the whole range of the first two.
Tensor random_tensor(DataType type, Shape shape, uint32_t seed);

/// int8 weights over the whole range; without VNNI, even ones of 7 bits: there pairs of products with u8 saturate, and
/// oneDNN halves the weights that meet s8 sources.
Tensor random_weights(Shape shape, uint32_t seed);

struct Layer {
  std::string name;
  Shape source;
  Shape weights;  // [M, C/groups, kernel...]
  std::vector<int64_t> strides;
  std::vector<int64_t> dilations;
  std::vector<int64_t> pads_begin;
  std::vector<int64_t> pads_end;
  int64_t groups = 1;
};

/// Square layers with equal pads all round.
struct Square {
  int64_t batch = 1;
  int64_t channels = 1;
  int64_t size = 1;
  int64_t filters = 1;
  int64_t kernel = 1;
  int64_t stride = 1;
  int64_t pad = 0;
  int64_t groups = 1;
  int64_t dilation = 1;
};
Layer square_layer(std::string name, const Square& square);

/// Layer kinds of real networks at sizes that plain loops can follow, and odd ones.
std::vector<Layer> swept_layers();

ConvolutionSpec spec_of(const Layer& layer);

/// sum((x - zero_point) * w) for every element of the result, in [N, M, spatial...] order, exact for integers.
struct Accumulators {
  Shape shape;
  std::vector<double> values;
};
Accumulators accumulate(const Layer& layer, const Tensor& source, const Tensor& weights, int32_t source_zero_point = 0);

/// Result of requantizing by the formula of Requantize, in float64.
int32_t requantize(double real, double scale, int32_t zero_point, DataType type);

}  // namespace narrow::onednn::test
