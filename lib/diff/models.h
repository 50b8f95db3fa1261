// Two models, node by node and weight by weight.
#pragma once

#include <vector>

#include "lib/diff/diff.h"
#include "lib/graph/model.h"

namespace narrow::diff {

struct ModelSide {
  const graph::Model& model;     // as the file has it
  const graph::Model& compared;  // whose nodes and weights are compared: the same, or in another form
  int64_t file_bytes = 0;
  int64_t weight_bytes = 0;
};

/// Nodes are the same by name. Of the constants of nodes that both have, how they are stored and how far the values
/// that the nodes read moved. Holds the values of all constants of both models.
std::vector<Group> compare_models(const ModelSide& before, const ModelSide& after);

}  // namespace narrow::diff
