// What a report says of a plan in words.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "lib/plan/plan.h"

namespace narrow::apps {

/// To be said aloud: a model that came out as it went in may pass every other gate. The reason is that of most layers,
/// of those that do not just follow their neighbours as long as there are any.
std::optional<std::string> nothing_quantized(const plan::PrecisionPlan& plan);

/// "'image' is uint8 in the file, scale 0.0078, zero point 128".
std::vector<std::string> integer_io_notes(const plan::PrecisionPlan& plan);

/// One line for each reason for which the target made something else of what the rules say.
std::vector<std::string> adaptation_notes(const plan::PrecisionPlan& plan);

}  // namespace narrow::apps
