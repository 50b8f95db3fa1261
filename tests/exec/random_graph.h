// Random small float graphs out of layers that the executor fuses, lays out and runs by oneDNN, and what stands between
// them.
#pragma once

#include <cstdint>

#include "lib/exec/float_program.h"

namespace narrow::exec {

struct RandomGraph {
  graph::Model model;  // float32 throughout; every value that nothing reads is an output
  Feed feed;
};

/// The same graph for the same seed, everywhere.
RandomGraph random_graph(uint32_t seed);

/// Every node by itself: nothing is fused away.
CompileOptions node_by_node(const graph::Model& model);

/// The same in float64, which no fast kernel computes: constants, feed and declared types.
RandomGraph in_double(const RandomGraph& graph);

/// A graph of in_double() in which each element of each value is off by half a unit in float32's last place, up or down
/// as `seed` says: constants, feed, and what the nodes of the graph (not those of its bodies) compute.
RandomGraph rounded_at_random(const RandomGraph& wide, uint32_t seed);

}  // namespace narrow::exec
