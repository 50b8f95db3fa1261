#pragma once

#include <string>
#include <vector>

#include "lib/graph/model.h"
#include "lib/recover/channel_classes.h"
#include "lib/recover/samples.h"

namespace narrow::recover {

/// The largest magnitudes by channel over the samples; values that never came out are left out. The result does not
/// depend on the number of workers.
ChannelMaxima observe_channels(const graph::Model& model, const Samples& samples,
                               const std::vector<std::string>& values, int workers);

}  // namespace narrow::recover
