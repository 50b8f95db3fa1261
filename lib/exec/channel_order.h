// Reshape, Transpose and Reshape that only move channels: the channel shuffle of ShuffleNet and its like, and the
// halves that a Gather takes of it.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "lib/exec/fuse.h"
#include "lib/exec/kernel.h"

namespace narrow::exec {

/// result[n, c, ...] = source[n, channels[c], ...]
struct ChannelChoice {
  const onnx::NodeProto* last = nullptr;  // that makes the result
  std::vector<int64_t> channels;
};

struct ChannelOrder {
  std::vector<const onnx::NodeProto*> nodes;  // in order of computation, without those that make results
  std::string source;
  Shape shape;  // of the source; -1: any number of samples
  std::vector<ChannelChoice> choices;
};

/// What begins at a Reshape, if all shapes but the number of samples are known, and fusing hides no value that somebody
/// reads. In plain order such nodes take three copies of the data, in channels-last order two changes of order besides.
std::optional<ChannelOrder> select_channel_order(const onnx::NodeProto& reshape, const FusionContext& context);

/// Takes source, in any order. Throws Error(kModel) where it has not the shape.
KernelPtr make_channel_order(Shape shape, std::vector<int64_t> channels);

}  // namespace narrow::exec
