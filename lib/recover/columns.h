// A layer with a weight as a matrix product: which input elements meet which weights.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "lib/exec/window.h"
#include "lib/graph/onnx_proto.h"
#include "lib/tensor/tensor.h"

namespace narrow::recover {

/// y[position, o] = sum_k x[position, k] * w[o, k] in each group. Conv with one or two spatial axes, Gemm without
/// transA, MatMul with a matrix as its second operand; columns of a convolution are its windows' elements,
/// all channels of one place and then the next.
class Columns {
 public:
  /// nullopt for other nodes.
  static std::optional<Columns> of(const onnx::NodeProto& node, const Shape& weight);

  int64_t groups() const { return groups_; }
  int64_t columns() const { return columns_; }  // of one group
  int64_t outputs() const { return outputs_; }  // of one group
  /// Index into the weight's elements.
  size_t weight_index(int64_t group, int64_t output, int64_t column) const;

  /// Rows of the product for an output of this shape (batch and spatial positions together).
  int64_t positions(const Shape& output) const;
  /// Elements of a window in space; a group's columns are as many times its channels.
  int64_t taps() const { return taps_; }
  /// x[position, k] of all groups, row-major: column `tap * channels + channel`, the channels of all groups side by
  /// side. `x` float32, in any layout.
  void read_inputs(const Tensor& x, const Shape& output, std::span<const int64_t> positions,
                   std::span<float> result) const;
  /// y[position, o] of all groups. `y` float32, in any layout.
  void read_outputs(const Tensor& y, std::span<const int64_t> positions, std::span<float> result) const;

 private:
  void read_windows(const Tensor& x, const Shape& output, std::span<const int64_t> positions,
                    std::span<float> result) const;

  bool convolution_ = false;
  bool weight_transposed_ = false;  // w[k, o] in memory
  int64_t groups_ = 1;
  int64_t columns_ = 0;
  int64_t taps_ = 1;
  int64_t outputs_ = 0;
  exec::WindowAttributes window_;
  std::vector<int64_t> kernel_;
};

}  // namespace narrow::recover
