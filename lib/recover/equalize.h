// Cross-layer equalization: channels of an activation brought nearer to one range, the factors taken by the weights on
// both sides. M. Nagel et al., "Data-Free Quantization Through Weight Equalization and Bias Correction"
// (arXiv:1906.04721). There the ranges of both sides' weights set the factors; here, where weights have a scale for
// each output channel, the noise that the readers of a channel get from rounding it and from rounding their weights.
#pragma once

#include <set>
#include <string>

#include "lib/graph/model.h"
#include "lib/recover/channel_classes.h"
#include "lib/recover/channel_statistics.h"

namespace narrow::recover {

struct EqualizeOptions {
  /// How much the noise of rounded weights counts against that of rounded activations: 1 for nearest rounding, less
  /// where the rounding makes up for itself. Channels that only depthwise convolutions read cost the weights nothing.
  double weight_noise = 1;
  std::set<std::string> untouched;  // nodes whose constants stay
};

struct EqualizeResult {
  graph::Model model;
  int64_t channels = 0;  // that got a factor
  double largest = 1;    // factor
};

/// The same function (but for rounding in float32) on data within the maxima; what passes them may meet a Clip's bound
/// earlier, as it would meet the end of its range. Factors are at least 1: the widest channel of a value stays.
EqualizeResult equalize(const graph::Model& model, const ValueChannels& seen, const EqualizeOptions& options);

}  // namespace narrow::recover
