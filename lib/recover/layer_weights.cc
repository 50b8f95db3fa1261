#include "lib/recover/layer_weights.h"

#include <algorithm>
#include <cmath>

#include "lib/graph/attributes.h"

namespace narrow::recover {

LayerWeights::LayerWeights(const graph::Model& model, const graph::GraphIndex& index, const onnx::NodeProto& node)
    : tensor(model.tensor(*index.initializer(node.input(1)))) {
  const bool conv = node.op_type() == "Conv";
  transposed = !conv && graph::int_attribute(node, "transB", 0) == 0;
  outputs = tensor.shape()[transposed ? 1 : 0];
  inputs = tensor.shape()[transposed ? 0 : 1];
  groups = conv ? graph::int_attribute(node, "group", 1) : 1;
  inner = size() / (outputs * inputs);
}

std::vector<double> LayerWeights::largest() const {
  std::vector<double> magnitudes(static_cast<size_t>(outputs), 0);
  for (int64_t i = 0; i < size(); ++i) {
    double& magnitude = magnitudes[static_cast<size_t>(output(i))];
    magnitude = std::max(magnitude, std::abs(value(i)));
  }
  return magnitudes;
}

}  // namespace narrow::recover
