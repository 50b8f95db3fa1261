#include "lib/quant/cluster.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <random>

namespace narrow::quant {
namespace {

using testing::DoubleNear;
using testing::ElementsAre;

double distance(std::span<const WeightedPoint> points, size_t begin, size_t end) {
  double weight = 0;
  double sum = 0;
  for (size_t i = begin; i < end; ++i) {
    weight += points[i].weight;
    sum += points[i].weight * points[i].value;
  }
  double result = 0;
  for (size_t i = begin; i < end; ++i) {
    const double difference = points[i].value - sum / weight;
    result += points[i].weight * difference * difference;
  }
  return result;
}

/// Every way to cut the points into as many pieces.
double least_by_trying_all(std::span<const WeightedPoint> points, int64_t clusters) {
  if (clusters == 1) return distance(points, 0, points.size());
  double least = std::numeric_limits<double>::infinity();
  for (size_t end = 1; end + static_cast<size_t>(clusters) - 1 <= points.size(); ++end) {
    least = std::min(least, distance(points, 0, end) + least_by_trying_all(points.subspan(end), clusters - 1));
  }
  return least;
}

double error_of(std::span<const WeightedPoint> points, const std::vector<double>& centres) {
  double result = 0;
  for (const WeightedPoint& point : points) {
    double nearest = std::numeric_limits<double>::infinity();
    for (const double centre : centres) nearest = std::min(nearest, std::abs(point.value - centre));
    result += point.weight * nearest * nearest;
  }
  return result;
}

TEST(ClusterTest, MeansOfTheGapsThatAreThere) {
  const std::vector<WeightedPoint> points{{-10}, {-9}, {0}, {1}, {1}, {20}};
  EXPECT_THAT(cluster(points, 3), ElementsAre(-9.5, DoubleNear(2.0 / 3, 1e-12), 20));
  EXPECT_THAT(cluster(points, 1), ElementsAre(0.5));
}

TEST(ClusterTest, WeightsCountAsOftenAsManyPoints) {
  EXPECT_THAT(cluster(std::vector<WeightedPoint>{{0, 3}, {4, 1}}, 1), ElementsAre(1));
  EXPECT_THAT(cluster(std::vector<WeightedPoint>{{0, 1000}, {1, 1000}, {10, 1}}, 2),
              ElementsAre(0, DoubleNear(1010.0 / 1001, 1e-12)));
}

TEST(ClusterTest, NoMoreCentresThanDifferentPoints) {
  EXPECT_THAT(cluster(std::vector<WeightedPoint>{{2}, {2}, {5}}, 4), ElementsAre(2, 5));
  EXPECT_TRUE(cluster({}, 2).empty());
}

TEST(ClusterTest, NothingIsBetterOnSmallInputs) {
  std::mt19937 random(7);
  std::uniform_real_distribution<double> number(-1, 1);
  for (int round = 0; round < 200; ++round) {
    std::vector<WeightedPoint> points(3 + static_cast<size_t>(round % 10));
    for (WeightedPoint& point : points) {
      point = {.value = number(random) * (round % 3 == 0 ? 100 : 1), .weight = 0.1 + std::abs(number(random))};
    }
    std::sort(points.begin(), points.end(), [](const auto& a, const auto& b) { return a.value < b.value; });
    for (int64_t clusters = 1; clusters <= 5; ++clusters) {
      const auto count = std::min(clusters, static_cast<int64_t>(points.size()));
      const double least = least_by_trying_all(points, count);
      EXPECT_NEAR(error_of(points, cluster(points, clusters)), least, 1e-9 * (1 + least)) << round << ' ' << clusters;
    }
  }
}

}  // namespace
}  // namespace narrow::quant
