// What "defaults" and rules set, as configs spell it.
#pragma once

#include "lib/base/json.h"
#include "lib/plan/rules.h"

namespace narrow::plan {

/// All throw Error(kUsage) with the path of what is wrong.
quant::CalibratorSpec read_calibrator(JsonObject& object);
SchemePatch read_patch(JsonObject& object);
/// "keep", "reason" and "recovery", which only rules have.
void read_rule_settings(JsonObject& object, SchemePatch& patch);

Json scheme_json(const LayerScheme& scheme);

}  // namespace narrow::plan
