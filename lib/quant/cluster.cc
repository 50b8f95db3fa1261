#include "lib/quant/cluster.h"

#include <algorithm>
#include <limits>

namespace narrow::quant {
namespace {

/// Sums over the first points, from which the cost of any cluster follows at once.
class PrefixSums {
 public:
  explicit PrefixSums(std::span<const WeightedPoint> points)
      : centre_(points[points.size() / 2].value), sums_(points.size() + 1) {
    // About a value in the middle: the difference of squares loses fewer digits.
    for (size_t i = 0; i < points.size(); ++i) {
      const double value = points[i].value - centre_;
      sums_[i + 1] = {sums_[i].weight + points[i].weight, sums_[i].first + points[i].weight * value,
                      sums_[i].second + points[i].weight * value * value};
    }
  }

  /// Squared distances of the points [begin, end) to their mean.
  double cost(size_t begin, size_t end) const {
    const double first = sums_[end].first - sums_[begin].first;
    const double weight = sums_[end].weight - sums_[begin].weight;
    return std::max(0.0, sums_[end].second - sums_[begin].second - first * first / weight);
  }

  double mean(size_t begin, size_t end) const {
    return centre_ + (sums_[end].first - sums_[begin].first) / (sums_[end].weight - sums_[begin].weight);
  }

 private:
  struct Sums {
    double weight = 0;
    double first = 0;
    double second = 0;
  };
  double centre_;
  std::vector<Sums> sums_;
};

/// One more cluster: costs of the prefixes, and where the last cluster of each begins.
class Layer {
 public:
  Layer(const PrefixSums& sums, const std::vector<double>& fewer, size_t clusters, std::span<uint32_t> begins)
      : sums_(sums), fewer_(fewer), clusters_(clusters), begins_(begins), costs_(fewer.size(), 0) {
    fill(clusters, fewer.size() - 1, clusters - 1, fewer.size() - 2);
  }

  std::vector<double> take_costs() { return std::move(costs_); }

 private:
  /// Prefixes of [low, high] points, whose last clusters begin within [first, last].
  // NOLINTNEXTLINE(misc-no-recursion): as deep as the logarithm of the points
  void fill(size_t low, size_t high, size_t first, size_t last) {
    if (low > high) return;
    const size_t middle = low + (high - low) / 2;
    double least = std::numeric_limits<double>::infinity();
    size_t best = first;
    for (size_t begin = first; begin <= std::min(last, middle - 1); ++begin) {
      const double cost = fewer_[begin] + sums_.cost(begin, middle);
      if (!(cost < least)) continue;
      least = cost;
      best = begin;
    }
    costs_[middle] = least;
    begins_[middle] = static_cast<uint32_t>(best);
    if (middle > clusters_) fill(low, middle - 1, first, best);
    fill(middle + 1, high, best, last);
  }

  const PrefixSums& sums_;
  const std::vector<double>& fewer_;
  size_t clusters_;
  std::span<uint32_t> begins_;
  std::vector<double> costs_;
};

/// Equal values as one point: then each cluster can have one of its own.
std::vector<WeightedPoint> distinct(std::span<const WeightedPoint> points) {
  std::vector<WeightedPoint> result;
  for (const WeightedPoint& point : points) {
    if (!result.empty() && result.back().value == point.value) {
      result.back().weight += point.weight;
    } else {
      result.push_back(point);
    }
  }
  return result;
}

}  // namespace

std::vector<double> cluster(std::span<const WeightedPoint> points, int64_t clusters) {
  const std::vector<WeightedPoint> all = distinct(points);
  if (all.empty()) return {};
  const size_t count = std::min(static_cast<size_t>(clusters), all.size());
  const PrefixSums sums(all);
  std::vector<double> costs(all.size() + 1, 0);
  for (size_t end = 1; end <= all.size(); ++end) costs[end] = sums.cost(0, end);
  const size_t width = all.size() + 1;
  std::vector<uint32_t> begins(width * count, 0);
  for (size_t k = 2; k <= count; ++k) {
    costs = Layer(sums, costs, k, std::span(begins).subspan((k - 1) * width, width)).take_costs();
  }
  std::vector<double> centres(count);
  size_t end = all.size();
  for (size_t k = count; k-- > 0;) {
    const size_t begin = k == 0 ? 0 : begins[k * width + end];
    centres[k] = sums.mean(begin, end);
    end = begin;
  }
  return centres;
}

}  // namespace narrow::quant
