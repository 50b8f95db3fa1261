// --set KEY=VALUE: single settings of a config, from the command line.
#pragma once

#include <string>

#include "lib/base/json.h"

namespace narrow::apps {

/// Puts one assignment into the config. KEY is a path such as "calibration.samples" or "defaults.weights.block"; a path
/// that begins with none of the config's own keys is one of "defaults": "mode" is "defaults.mode". VALUE is JSON, or a
/// plain word. A type's name in the way of "weights.block" becomes that object's "type". Throws Error(kUsage).
void apply_set(Json& config, const std::string& assignment);

}  // namespace narrow::apps
