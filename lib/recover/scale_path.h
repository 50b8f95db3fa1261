// Which constants can take factors for the channels of an activation, so that no node needs to be added.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "lib/graph/graph_index.h"
#include "lib/graph/model.h"

namespace narrow::recover {

/// A constant operand with an element, row or column for each channel.
struct ScaledConstant {
  std::string node;
  int input = 0;
  int64_t axis = -1;     // of the constant, from the end: the channels
  bool divides = false;  // a divisor takes the inverse factors
};

/// The constants that together give the channels (last axis) of `value` any positive factors: those of a
/// LayerNormalization, of a Mul, Add, Sub or Div by a vector, of a Gemm or MatMul, seen through what scales with its
/// input: Relu, products with other activations, sums over positions as attention makes them, Reshape and Transpose
/// that keep heads together. nullopt where there are none, or where others than `readers` nodes read the values
/// between. Scalars do not become vectors: by them runtimes recognize what they fuse.
std::optional<std::vector<ScaledConstant>> find_scale_path(const graph::GraphIndex& index, const graph::Model& model,
                                                           const std::string& value, int64_t channels, size_t readers);

/// Readers of a value that its elements matter to.
size_t count_readers(const graph::GraphIndex& index, const std::string& value);

/// Constants of a model with the factors they have taken, each by itself even where several nodes share it.
class ConstantFactors {
 public:
  /// `index` is the model's.
  ConstantFactors(const graph::Model& model, const graph::GraphIndex& index) : model_(model), index_(index) {}

  /// Multiplies along the constant's axis.
  void scale(const ScaledConstant& constant, std::span<const double> factors);
  /// Into a copy of the model. Shared constants are copied.
  void write(graph::Model& copy) const;

 private:
  const graph::Model& model_;
  const graph::GraphIndex& index_;
  std::map<std::pair<std::string, int>, Tensor> tensors_;  // by node and input
};

}  // namespace narrow::recover
