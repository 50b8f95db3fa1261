// Where 16-bit floats lack range whatever the constants are: squares and sums on their way to a root or logarithm.
#pragma once

#include <set>
#include <string>

#include "lib/graph/graph_index.h"
#include "lib/graph/model.h"

namespace narrow::plan {

/// Names of the nodes that stay float32 for their range: sums over an axis; squares that end in a sum, mean, root or
/// logarithm, with all between; arithmetic on such results alone, and on those of layers whose constants float16 does
/// not hold (`without_constants`), up to and with the function that brings them back into range; and divisions of such
/// results. What spells out normalizations and spectra is made of them: there the square of 300 is infinite in float16,
/// and a variance without its epsilon is zero.
std::set<std::string> wide_nodes(const graph::Model& model, const graph::GraphIndex& index,
                                 const std::set<std::string>& without_constants);

}  // namespace narrow::plan
