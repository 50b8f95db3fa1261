// What computes a power spectrum for a logarithm: 8 bits have not its range.
#pragma once

#include <set>
#include <string>

#include "lib/graph/graph_index.h"
#include "lib/graph/model.h"

namespace narrow::plan {

/// Names of the nodes between a signal and the logarithm of its power: filters and other linear operators all of whose
/// results are squared, and what lies between that square and the logarithm. A logarithm makes errors of what is small
/// as large as those of what is large, and steps of 1/255 of the largest value leave nothing of a quiet band.
std::set<std::string> spectrum_nodes(const graph::Model& model, const graph::GraphIndex& index);

/// x * x, or x to the power of 2.
bool is_square(const graph::Model& model, const graph::GraphIndex& index, const onnx::NodeProto& node);

}  // namespace narrow::plan
