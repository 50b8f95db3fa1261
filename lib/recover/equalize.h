// Cross-layer equalization: channels of an activation brought to one range, the factors taken by the weights on both
// sides. M. Nagel et al., "Data-Free Quantization Through Weight Equalization and Bias Correction" (arXiv:1906.04721);
// here the activations' own ranges set the factors (as in A. Finkelstein et al., "Fighting Quantization Bias With
// Bias", arXiv:1906.03193), since scales of weights by output channel take the rest.
#pragma once

#include "lib/graph/model.h"
#include "lib/recover/channel_classes.h"

namespace narrow::recover {

struct EqualizeOptions {
  /// Exponent of the factors of channels whose readers mix them in sums (0: none, 1: full). Channels that only
  /// depthwise convolutions read get the full factor: it costs their weights nothing.
  double mixed_strength = 0.0;
};

struct EqualizeResult {
  graph::Model model;
  int64_t channels = 0;  // that got a factor
  double largest = 1;    // factor
};

/// The same function (but for rounding in float32) on data within the maxima; what passes them may meet a Clip's bound
/// earlier, as it would meet the end of its range.
EqualizeResult equalize(const graph::Model& model, const ChannelMaxima& maxima, const EqualizeOptions& options);

}  // namespace narrow::recover
