// Values that some targets read wrongly where they are quantized.
#pragma once

#include <string>
#include <vector>

#include "lib/graph/graph_index.h"
#include "lib/graph/model.h"

namespace narrow::plan {

/// Results of Expand of a constant whose elements all lie along axis 1 of the result, where its shape is not known.
/// OpenVINO (2026.4) spells them as the constant times ones of the shape and takes that product into the quantization
/// behind it, with the first element of the constant for all.
std::vector<std::string> expanded_channels(const graph::Model& model, const graph::GraphIndex& index);

}  // namespace narrow::plan
