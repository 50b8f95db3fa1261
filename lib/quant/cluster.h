// Optimal clustering of numbers: k-means on a line has an exact solution.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace narrow::quant {

struct WeightedPoint {
  double value = 0;
  double weight = 1;  // above 0
};

/// Centres, ascending, of at most `clusters` clusters with the least weighted sum of squared distances to the points,
/// which are in ascending order; fewer where there are fewer different points. Dynamic programming over prefixes whose
/// best last cluster begins the later the longer the prefix is: O(clusters * points * log(points)) time (Wang and Song,
/// "Ckmeans.1d.dp", The R Journal 3/2, 2011; divide and conquer as in Gronlund et al., arXiv:1701.07204).
std::vector<double> cluster(std::span<const WeightedPoint> points, int64_t clusters);

}  // namespace narrow::quant
