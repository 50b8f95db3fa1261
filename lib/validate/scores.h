#pragma once

#include <string>

#include "lib/graph/model.h"

namespace narrow::validate {

/// True if the graph ends in what makes class scores: the output comes, through softmax, constant scales and offsets
/// and changes of shape, from a product or a mean, and has not the shape of an input. Embeddings (divided by their
/// length or count, normalized) and reconstructions have a largest element too, but it means nothing.
bool makes_scores(const graph::Model& model, const std::string& output);

}  // namespace narrow::validate
