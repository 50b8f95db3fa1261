// Canonical text of a graph: one line a node, initializers by type, shape and digest. For goldens and inspection.
#pragma once

#include <string>

#include "lib/graph/model.h"

namespace narrow::graph {

/// Deterministic and complete enough that two models with equal text compute the same. Small tensors are spelled out,
/// larger ones as type, shape and the first 8 digits of their SHA-256.
std::string print(const Model& model);

}  // namespace narrow::graph
