// The calibrators: from what was seen of a value to the range it is quantized in. Each gets statistics with at least
// one element that is not zero, and for all but min-max a histogram; choose_range then makes the range contain 0 and
// stay within what was seen.
#pragma once

#include "calib/observe.h"
#include "lib/quant/quant_params.h"

namespace narrow::calib {

quant::Range minmax_range(const ValueStatistics& seen);

/// `percentile`: share of elements, in percent, that the range keeps; in (0, 100].
quant::Range percentile_range(const ValueStatistics& seen, double percentile, const quant::Scheme& scheme);

quant::Range entropy_range(const ValueStatistics& seen, const quant::Scheme& scheme);

quant::Range mse_range(const ValueStatistics& seen, const quant::Scheme& scheme);

/// What mse_range minimizes: the squared error, summed over the histogram, of quantizing with `range`.
double squared_error(const Histogram& histogram, quant::Range range, const quant::Scheme& scheme);

}  // namespace narrow::calib
