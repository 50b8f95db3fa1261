// Tensors whose elements lie in files beside the model.
#pragma once

#include <utility>
#include <vector>

#include "lib/graph/model.h"

namespace narrow::io {

/// Such tensors of the graph and its subgraphs have small stand-ins while this lives: ONNX's checker would open their
/// files by rules of its own, and refuses links. Theirs are checked here: Error as ExternalData::tensor.
class StandInTensors {
 public:
  StandInTensors(onnx::GraphProto& graph, const graph::ExternalData& external);
  ~StandInTensors();
  StandInTensors(const StandInTensors&) = delete;
  StandInTensors& operator=(const StandInTensors&) = delete;

 private:
  std::vector<std::pair<onnx::TensorProto*, onnx::TensorProto>> kept_;
};

}  // namespace narrow::io
