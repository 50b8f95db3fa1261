#pragma once

#include <optional>
#include <vector>

#include "lib/graph/graph_index.h"
#include "lib/graph/model.h"

namespace narrow::rewrite {

/// y = factor[c] * x + offset[c] along one axis.
struct ChannelAffine {
  std::vector<double> factor;
  std::vector<double> offset;
};

/// What an inference BatchNormalization, or an Add, Sub, Mul or Div with a constant, does to each of `channels`
/// channels of its operand `value`, whose rank is `rank` and whose channels lie on `axis`. nullopt if it does anything
/// else (a constant that varies along another axis, training mode, a result that is not finite).
std::optional<ChannelAffine> channel_affine(const graph::Model& model, const graph::GraphIndex& index,
                                            const onnx::NodeProto& node, const std::string& value, size_t rank,
                                            int64_t axis, int64_t channels);

}  // namespace narrow::rewrite
