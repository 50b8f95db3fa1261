// Numbers that JSON has no word for.
#pragma once

#include <optional>

#include "lib/base/json.h"

namespace narrow {

/// The number; "inf" or "-inf" where it is infinite, null where it is NaN or absent.
Json json_number(double value);
Json json_number(const std::optional<double>& value);

/// The inverse: NaN for null. Anything else but these is Error(kData).
double number_from_json(const Json& json);

}  // namespace narrow
