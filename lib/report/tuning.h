// What a report shows of a search for mixed precision.
#pragma once

#include <string>

#include "lib/report/document.h"
#include "lib/report/report.h"

namespace narrow::report {

/// Trials as a table (those that no other beats in both size and loss are marked), and the layers of the chosen one.
Section tuning_section(const TuneFacts& tuning, int64_t float_bytes);
/// The noisiest rows of the sensitivity table.
Section sensitivity_section(const TuneFacts& tuning);
Json to_json(const TuneFacts& tuning);

/// The trials as an SVG element: file size against points lost, the chosen one filled, the front joined by a line.
std::string tuning_picture(const TuneFacts& tuning, int64_t float_bytes);

}  // namespace narrow::report
