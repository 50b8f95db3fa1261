// Models for tests that need the shapes of all values.
#pragma once

#include "lib/io/load.h"
#include "tests/support/model_text.h"

namespace narrow::test {

/// graph_from_text with shapes inferred. Here, and not beside it, because not every test links io.
inline graph::Model shaped_graph(std::string_view graph, int opset = 17) {
  graph::Model model = graph_from_text(graph, opset);
  io::infer_shapes(model);
  return model;
}

}  // namespace narrow::test
