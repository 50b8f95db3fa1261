// Statistics into ranges: one published method a file (calibrators/), picked by name here.
#pragma once

#include <map>
#include <string>

#include "calib/calibration_table.h"
#include "calib/observe.h"
#include "lib/quant/calibrator_spec.h"
#include "lib/quant/quant_params.h"

namespace narrow::calib {

/// How one value will be quantized and which calibrator its layer wants.
struct CalibratorChoice {
  quant::CalibratorSpec calibrator;
  quant::Scheme scheme;  // entropy and mse count the levels of this scheme
};

/// The range of one value. All statistics zero gives [0, 0].
quant::Range choose_range(const ValueStatistics& seen, const CalibratorChoice& choice);

/// Ranges for every observed value. `choices` must name each of them.
std::map<std::string, CalibratedValue> choose_ranges(const Observations& seen,
                                                     const std::map<std::string, CalibratorChoice>& choices);

}  // namespace narrow::calib
