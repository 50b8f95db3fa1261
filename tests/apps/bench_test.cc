#include "apps/bench.h"

#include <gtest/gtest.h>

#include <cmath>

namespace narrow::apps {
namespace {

TEST(Bench, QuantileIsTheNearestRank) {
  const std::vector<double> values{5, 1, 4, 2, 3};
  EXPECT_EQ(quantile(values, 0.5), 3);
  EXPECT_EQ(quantile(values, 0.95), 5);
  EXPECT_EQ(quantile(values, 0.2), 1);
  EXPECT_EQ(quantile({7}, 0.95), 7);
  EXPECT_TRUE(std::isnan(quantile({}, 0.5)));
}

TEST(Bench, OneModelsFiguresStandAtTheTop) {
  const BenchResult one{.path = "m.onnx",
                        .runtime = "float",
                        .samples_per_second = 100,
                        .median_ms = 10,
                        .p95_ms = 12,
                        .runs = 5,
                        .steps = {}};
  const report::Versions versions{};
  const Json alone = to_json({one}, {}, versions);
  EXPECT_EQ(alone["samples_per_second"], 100);
  EXPECT_EQ(alone["latency_ms"]["median"], 10);
  EXPECT_FALSE(to_json({one, one}, {}, versions).contains("samples_per_second"));
}

}  // namespace
}  // namespace narrow::apps
