// What a report says aloud about the results it holds.
#pragma once

#include <string>
#include <vector>

#include "lib/report/report.h"

namespace narrow::report {

/// One line for each output that is NaN or infinite where the float model's is finite, with what to do where the model
/// computes in 16-bit floats.
std::vector<std::string> not_finite_warnings(const Report& report);

}  // namespace narrow::report
