// Models for tests, written as ONNX text.
#pragma once

#include <string>
#include <string_view>

#include "lib/graph/model.h"

namespace narrow::test {

/// Parses ONNX's text format: `<ir_version: 8, opset_import: ["": 17]> agraph (float[N,3] x) => (float[N,3] y) {...}`.
/// Fails the test on a syntax error.
graph::Model model_from_text(std::string_view text);

/// The same with the usual header, so that a test writes only the graph.
graph::Model graph_from_text(std::string_view graph, int opset = 17);

}  // namespace narrow::test
