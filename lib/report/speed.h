// How fast a report says the models are, as a whole and layer by layer.
#pragma once

#include <vector>

#include "lib/base/json.h"
#include "lib/report/document.h"
#include "lib/validate/validate.h"

namespace narrow::report {

Section speed_section(const validate::Speed& speed);
/// The layers that take most time on integers, with the reason where they are not faster than in float.
Section latency_section(const std::vector<validate::LayerLatency>& layers);

Json to_json(const validate::LayerLatency& layer);

}  // namespace narrow::report
