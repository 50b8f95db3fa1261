// What modes can not do with a layer, whatever the target.
#pragma once

#include <optional>

#include "lib/analyze/analyze.h"
#include "lib/base/reason.h"
#include "lib/plan/rules.h"

namespace narrow::plan {

/// Why its weight can not be stored in the scheme.
std::optional<Reason> stored_refusal(const LayerScheme& scheme);

/// Why the product can not be dynamic.
std::optional<Reason> dynamic_refusal(const analyze::Layer& layer, const LayerScheme& scheme);

}  // namespace narrow::plan
