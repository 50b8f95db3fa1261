// Small QDQ models and runs over them.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "lib/exec/program.h"
#include "lib/graph/model.h"
#include "lib/runtime/lower.h"

namespace narrow::runtime::test {

/// A model from ONNX text without header (opset 17) with shapes inferred.
graph::Model qdq_model(std::string_view graph, int opset = 17);

/// Every value of one run, plain layout.
class AllValues : public exec::TensorListener {
 public:
  void on_value(const std::string& value, const Tensor& tensor) override {
    Tensor copy = to_layout(tensor, tensor.rank() >= 3 ? Layout::kPlain : tensor.layout());
    copy.mutable_bytes();
    values[value] = copy;
  }
  std::map<std::string, Tensor> values;
};

struct Ran {
  std::vector<Tensor> outputs;
  std::map<std::string, Tensor> values;
};
Ran run(const LoweredModel& lowered, const exec::Feed& feed);

/// Integers of an 8-bit tensor.
std::vector<int> integers(const Tensor& tensor);

const NodeCoverage& coverage_of(const LoweredModel& lowered, std::string_view node);

}  // namespace narrow::runtime::test
