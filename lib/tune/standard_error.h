// How much what is computed from sums over samples would differ on other samples.
#pragma once

#include <span>
#include <vector>

#include "lib/tensor/metrics.h"

namespace narrow::tune {

/// The sums without each of the samples in turn.
std::vector<ErrorStatistics> without_each(std::span<const ErrorStatistics> samples);

/// The jackknife's standard error, from the figure without each sample in turn. A figure that differs from `whole` by
/// more than `most`, or is infinite, counts as differing by that; one sample alone as that uncertain.
double jackknife_error(double whole, std::span<const double> without, double most);

}  // namespace narrow::tune
