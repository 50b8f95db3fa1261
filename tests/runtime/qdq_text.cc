#include "tests/runtime/qdq_text.h"

#include <stdexcept>

#include "tests/support/shaped_model.h"

namespace narrow::runtime::test {

graph::Model qdq_model(std::string_view graph, int opset) {
  return narrow::test::shaped_graph(graph, opset);
}

Ran run(const LoweredModel& lowered, const exec::Feed& feed) {
  AllValues listener;
  Workspace workspace;
  Ran ran;
  ran.outputs = lowered.program.run(feed, workspace, {.listener = &listener});
  ran.values = std::move(listener.values);
  return ran;
}

std::vector<int> integers(const Tensor& tensor) {
  std::vector<int> result;
  for (int64_t i = 0; i < tensor.size(); ++i) {
    const auto byte = static_cast<uint8_t>(tensor.bytes()[i]);
    result.push_back(tensor.type() == DataType::kInt8 ? static_cast<int8_t>(byte) : byte);
  }
  return result;
}

const NodeCoverage& coverage_of(const LoweredModel& lowered, std::string_view node) {
  for (const NodeCoverage& row : lowered.coverage.nodes) {
    if (row.node == node) return row;
  }
  throw std::out_of_range("no coverage for node " + std::string(node));
}

}  // namespace narrow::runtime::test
