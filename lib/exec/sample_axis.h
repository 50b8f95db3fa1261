// Whether a model treats its samples one by one: then a batch may be cut, its parts run apart, and their results be
// joined. Every node needs a rule that says so; operators without one, and dependence on the number of samples other
// than through shapes, make the answer no.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "lib/graph/graph_index.h"
#include "lib/tensor/tensor.h"

namespace narrow::exec {

/// A graph, and what is known of its values before the run; constants must be folded.
struct SampleGraph {
  const onnx::GraphProto* graph = nullptr;
  const graph::GraphIndex* index = nullptr;
  std::function<bool(const std::string& value)> is_constant;
  std::function<const Tensor*(const std::string& value)> constant;  // nullptr: none
  std::function<std::optional<Shape>(const std::string& value)> shape;
  std::function<int(const onnx::NodeProto& node)> opset;
  int64_t element_bytes = 4;  // of activations, as they are computed
};

/// True if axis 0 of every input and output of the graph is that of samples, of any number, and no sample's results
/// depend on another sample.
bool treats_samples_apart(const SampleGraph& graph);

/// True if samples are best run one by one: as far as is known, activations of several would not stay in the caches,
/// and there are more convolutions than matrix products, which read their weights once for all samples.
bool fills_caches(const SampleGraph& graph);

}  // namespace narrow::exec
