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

/// The same in float64, which no fast kernel computes: constants, feed and declared types.
RandomGraph in_double(const RandomGraph& graph);

}  // namespace narrow::exec
