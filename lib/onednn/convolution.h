// Convolution in float32 or in integers (u8/s8 sources, s8 weights, int32 accumulation, requantization), by oneDNN.
#pragma once

#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "lib/onednn/activation.h"
#include "lib/tensor/tensor.h"
#include "lib/tensor/workspace.h"

namespace narrow::onednn {

/// Applied to the real-valued result, before requantization. The default does nothing.
struct Clamp {
  float low = -std::numeric_limits<float>::infinity();
  float high = std::numeric_limits<float>::infinity();
  bool operator==(const Clamp&) const = default;
};

/// Scales and zero points of an integer convolution or matrix product:
/// real = sum((x - source_zero_point) * w) * source_scale * weight_scales[c] + bias[c], clamped;
/// result = saturate(round_half_even(real / destination_scale) + destination_zero_point), or real for a float32 result.
/// Integer results are computed in float32 with one multiplier per channel, as output_transform.h says: at near ties
/// they may differ from the formula by one step, nowhere else. An int32 result is the bare accumulator: no scales, bias
/// or clamp. Without VNNI (saturates_pairs()) sums saturate, and oneDNN halves the weights that meet int8 sources.
struct Requantize {
  float source_scale = 1;
  int32_t source_zero_point = 0;
  std::vector<float> weight_scales;  // one, or one per output channel
  float destination_scale = 1;
  int32_t destination_zero_point = 0;
};

struct ConvolutionSpec {
  DataType source = DataType::kFloat32;       // float32, uint8 or int8
  DataType destination = DataType::kFloat32;  // float32, uint8, int8 or int32 (int32: the bare accumulator)
  std::vector<int64_t> strides;               // one per spatial axis (1 to 3 of them)
  std::vector<int64_t> dilations;             // 1 is dense
  std::vector<int64_t> pads_begin;
  std::vector<int64_t> pads_end;
  int64_t groups = 1;
  Clamp clamp;
  bool add_residual = false;             // float32 only: result = clamp(convolution + bias + residual)
  std::vector<Activation> activations;   // float32 only: behind the clamp, in order
  std::optional<Requantize> requantize;  // required for integer sources
};

class Convolution {
 public:
  /// `weights` [M, C/groups, kernel...] plain, float32 or int8; `bias` float32 [M] in real units, or undefined.
  /// Weights are packed once per order that source shapes ask for. Throws Error(kUnsupported) with oneDNN's reason.
  Convolution(ConvolutionSpec spec, const Tensor& weights, const Tensor& bias);
  Convolution(const Convolution&) = delete;
  Convolution& operator=(const Convolution&) = delete;
  ~Convolution();

  /// `source` [N, C, spatial...] channels-last; so is the result. Primitives are cached per source shape (bounded).
  /// Thread-safe; float32 results do not depend on the thread count. Throws Error(kModel) for shapes that do not fit.
  Tensor run(const Tensor& source, const Tensor& residual, Workspace& workspace) const;

  /// Makes what run() needs for such a source, if it is not there.
  void prepare(const Shape& source) const;

  /// What computes it, such as "onednn:brgconv:avx512_core_vnni" or "narrow:dense:avx512_vnni": the one chosen last.
  std::string implementation() const;

 private:
  class State;
  std::unique_ptr<State> state_;
};

/// Transposed convolution, float32; weights [C, M/groups, kernel...]; pads and output padding as ONNX defines them.
struct DeconvolutionSpec {
  std::vector<int64_t> strides;
  std::vector<int64_t> dilations;
  std::vector<int64_t> pads_begin;
  std::vector<int64_t> pads_end;
  std::vector<int64_t> output_padding;
  int64_t groups = 1;
};

class Deconvolution {
 public:
  Deconvolution(DeconvolutionSpec spec, const Tensor& weights, const Tensor& bias);
  Deconvolution(const Deconvolution&) = delete;
  Deconvolution& operator=(const Deconvolution&) = delete;
  ~Deconvolution();
  Tensor run(const Tensor& source, Workspace& workspace) const;
  std::string implementation() const;

 private:
  class State;
  std::unique_ptr<State> state_;
};

}  // namespace narrow::onednn
