// Bias absorption: what all elements of a channel have in common goes from one layer's bias into those of the layers
// that read it, so that the value's range shrinks. M. Nagel et al., "Data-Free Quantization Through Weight Equalization
// and Bias Correction" (arXiv:1906.04721), 4.1.3. There it is what a channel behind a Relu never falls below, by
// BatchNormalization's statistics; here by the data, and where no Relu follows, as behind the projections of inverted
// residuals and their sums, the middle of the channel, which holds for any data.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "lib/graph/model.h"
#include "lib/recover/channel_statistics.h"

namespace narrow::recover {

struct AbsorbOptions {
  std::set<std::string> untouched;  // nodes whose constants stay
};

struct AbsorbResult {
  graph::Model model;
  int64_t values = 0;    // whose range shrinks
  double narrowest = 1;  // of their ranges, as a share of what it was
};

/// Values whose channels may be shifted: made by Conv or Gemm with constants of their own, through Relu or a Clip, or
/// by an Add of such; read by Conv without padding, by Gemm and by such Adds alone. In graph order.
std::vector<std::string> absorbable_values(const graph::Model& model);

/// Those, and the values whose channels may be scaled: of what equalize() and absorb() want to know statistics.
std::vector<std::string> channel_values(const graph::Model& model);

/// The same function (but for rounding in float32); behind a Relu or Clip, of what stays above the floor of the data.
/// `seen`: of absorbable_values. The model as it was where no range shrinks by a hundredth.
AbsorbResult absorb(const graph::Model& model, const ValueChannels& seen, const AbsorbOptions& options);

/// The model with a bias of zeros in every layer without one that absorb may give one: what a plan of absorb's result
/// is checked against where there are no data.
graph::Model absorb_nodes(const graph::Model& model);

}  // namespace narrow::recover
