// What a report says aloud about the results it holds.
#pragma once

#include <string>
#include <vector>

#include "lib/report/report.h"

namespace narrow::report {

/// One line for each output that is NaN or infinite where the float model's is finite, with what to do where the model
/// computes in 16-bit floats.
std::vector<std::string> not_finite_warnings(const Report& report);

/// One line for each output in which little is left of the float model: agreement below 90 %, or SQNR below 10 dB where
/// it holds no class scores.
std::vector<std::string> lost_warnings(const Report& report);

}  // namespace narrow::report
