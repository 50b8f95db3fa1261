#include "tests/support/model_text.h"

#include <fmt/format.h>

#include <stdexcept>

#include "lib/graph/onnx_api.h"

namespace narrow::test {

graph::Model model_from_text(std::string_view text) {
  onnx::ModelProto proto;
  onnx::OnnxParser parser{text};
  const auto status = parser.Parse(proto);
  if (!status.IsOK()) throw std::invalid_argument("test model: " + status.ErrorMessage());
  return graph::Model(std::move(proto));
}

graph::Model graph_from_text(std::string_view graph, int opset) {
  return model_from_text(fmt::format("<ir_version: 8, opset_import: [\"\" : {}]>\n{}", opset, graph));
}

}  // namespace narrow::test
