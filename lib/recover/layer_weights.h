// The weight of a Conv or Gemm, by element.
#pragma once

#include <cstdint>
#include <vector>

#include "lib/graph/graph_index.h"
#include "lib/graph/model.h"

namespace narrow::recover {

/// Of a node that takes_factors.
struct LayerWeights {
  LayerWeights(const graph::Model& model, const graph::GraphIndex& index, const onnx::NodeProto& node);

  int64_t size() const { return tensor.size(); }
  double value(int64_t i) const { return static_cast<double>(tensor.data<float>()[static_cast<size_t>(i)]); }
  int64_t output(int64_t i) const { return transposed ? i / inner % outputs : i / inner / inputs; }
  /// Of all groups.
  int64_t input(int64_t i) const {
    const int64_t in_group = transposed ? i / inner / outputs : i / inner % inputs;
    return in_group + output(i) / (outputs / groups) * inputs;
  }
  /// Magnitudes, by output.
  std::vector<double> largest() const;

  Tensor tensor;
  int64_t outputs = 1;
  int64_t inputs = 1;  // of a group
  int64_t groups = 1;
  int64_t inner = 1;
  bool transposed = false;  // [inputs, outputs]
};

}  // namespace narrow::recover
