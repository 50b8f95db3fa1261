// Which inputs and outputs of the model become integers.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "lib/graph/graph_index.h"
#include "lib/plan/plan.h"

namespace narrow::plan {

/// The wish, by name. Both throw Error(kUsage) for a named value that can not be had.
class WantedIo {
 public:
  WantedIo(const graph::Model& model, const graph::GraphIndex& index, const IntegerIo& wanted);

  bool output(const std::string& value) const { return outputs_.contains(value); }

  /// Those that layers of the main graph read or make quantized.
  std::vector<std::string> found(const std::vector<LayerPlan>& layers) const;

 private:
  std::string place_text() const;

  const onnx::GraphProto& graph_;
  const graph::GraphIndex& index_;
  const IntegerIo& wanted_;
  std::set<std::string> inputs_;
  std::set<std::string> outputs_;
};

}  // namespace narrow::plan
