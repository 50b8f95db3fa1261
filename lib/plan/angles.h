// Angles made of positions: neither 8 bits nor 16-bit floats hold them.
#pragma once

#include <set>
#include <string>

#include "lib/graph/graph_index.h"
#include "lib/graph/model.h"

namespace narrow::plan {

/// Names of the nodes that make angles of positions or times, and of the sines and cosines that read them: what comes
/// from integers, a Range or an input of the graph, times frequencies, and of which nothing but sines and cosines are
/// made, as in rotary embeddings and those of time steps. Angles reach thousands, and what a turn of 6.28 loses is lost
/// whole. Not products with a weight matrix: coordinates in networks of sines are as any input.
std::set<std::string> angle_nodes(const graph::Model& model, const graph::GraphIndex& index);

}  // namespace narrow::plan
