// Integer constants of a quantized model: weights, biases, scales and zero points, each stored once.
#pragma once

#include <map>
#include <string>
#include <tuple>
#include <unordered_map>
#include <utility>
#include <vector>

#include "lib/graph/edit.h"
#include "lib/graph/graph_index.h"
#include "lib/graph/model.h"
#include "lib/quant/quant_params.h"

namespace narrow::rewrite {

/// Names of the initializers that hold the parameters of one value.
struct ParameterNames {
  std::string scale;
  std::string zero_point;  // "" where it is left out
};

/// Whether a zero point that is 0 everywhere is stored. Integer kernels of stock runtimes look for it; in front of
/// float operators it is only bytes.
enum class Zeros { kStored, kLeftOut };

class ConstantWriter {
 public:
  /// All must outlive this; `original` has the float constants, `index` is its index.
  ConstantWriter(const graph::Model& original, const graph::GraphIndex& index, graph::GraphEditor& editor)
      : original_(original), index_(index), editor_(editor) {}

  /// The value behind DequantizeLinear for a float initializer; readers that agree on the parameters share it.
  std::string dequantized(const std::string& name, const quant::QuantParams& params, Zeros zeros);

  /// Initializers of scale and zero point for a tensor of shape `shape`, called after `name`.
  ParameterNames add_parameters(const std::string& name, const quant::QuantParams& params, const Shape& shape,
                                Zeros zeros);

  Tensor float_constant(const std::string& name) const { return original_.tensor(*index_.initializer(name)); }

 private:
  struct Made {
    quant::QuantParams params;
    Zeros zeros;
    std::string value;
  };

  /// Equal parameters are stored once: values that share a scale, and the zeros behind every symmetric weight.
  std::string shared_initializer(const std::string& wanted, const Tensor& tensor);

  const graph::Model& original_;
  const graph::GraphIndex& index_;
  graph::GraphEditor& editor_;
  std::unordered_map<std::string, std::vector<Made>> made_;
  std::map<std::tuple<DataType, Shape, std::string>, std::string> parameters_;
};

}  // namespace narrow::rewrite
