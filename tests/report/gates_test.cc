#include "lib/report/gates.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/report/sample_report.h"

namespace narrow::report {
namespace {

// What sample_report() measures: top-1 falls by 0.5 points, agreement 0.9875, lowest SQNR 28.125 dB, 900 of 1000 MACs,
// 1229 of 4096 bytes.
TEST(Gates, LimitsAreInclusive) {
  const GateLimits limits{.max_top1_drop = 0.6,
                          .min_agreement = 0.9875,
                          .min_sqnr_db = 28.125,
                          .min_integer_macs = 0.9,
                          .max_size_ratio = 1229.0 / 4096};
  const auto gates = evaluate_gates(limits, test::sample_report());
  ASSERT_EQ(gates.size(), 5U);
  for (const Gate& gate : gates) EXPECT_TRUE(gate.passed) << gate.name;
  EXPECT_NEAR(*gates[0].got, 0.5, 1e-9);
  EXPECT_TRUE(all_passed(gates));
}

TEST(Gates, EachFailsOnItsOwnMetric) {
  const GateLimits limits{.max_top1_drop = 0.4,
                          .min_agreement = 0.99,
                          .min_sqnr_db = 28.2,
                          .min_integer_macs = 0.91,
                          .max_size_ratio = 0.3};
  for (const Gate& gate : evaluate_gates(limits, test::sample_report())) EXPECT_FALSE(gate.passed) << gate.name;
}

TEST(Gates, WhatWasNotMeasuredFails) {
  Report report = test::sample_report();
  for (auto& output : report.validation->outputs) output.agreement.reset();
  GateLimits limits;
  limits.min_agreement = 0;
  const auto gates = evaluate_gates(limits, report);
  ASSERT_EQ(gates.size(), 1U);
  EXPECT_FALSE(gates[0].got.has_value());
  EXPECT_FALSE(gates[0].passed);
}

TEST(Gates, NanFails) {
  Report report = test::sample_report();
  report.validation->outputs[1].metrics.sqnr_db = std::nan("");
  GateLimits limits;
  limits.min_sqnr_db = -1000;
  const Gate gate = evaluate_gates(limits, report)[0];
  EXPECT_FALSE(gate.passed);
  EXPECT_EQ(got_text(gate, 4), "not a number");
  EXPECT_EQ(got_text({.got = -std::nan("")}, 4), "not a number") << "what an invalid operation makes has its sign set";
  EXPECT_EQ(got_text({.got = 12.3456}, 4), "12.35");
  EXPECT_EQ(got_text({}, 4), "not measured");
}

TEST(Gates, ConfigIsReadStrictly) {
  const Json json{{"min_sqnr_db", 20}, {"max_size_ratio", 0.3}};
  JsonObject object(json, "gates");
  const GateLimits limits = read_gates(object);
  EXPECT_EQ(limits.min_sqnr_db, 20);
  EXPECT_EQ(limits.max_size_ratio, 0.3);
  EXPECT_FALSE(limits.min_agreement.has_value());

  const Json misspelt{{"min_sqnr_bd", 20}};
  JsonObject wrong(misspelt, "gates");
  try {
    read_gates(wrong);
    FAIL();
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(), "gates.min_sqnr_bd: unknown key; did you mean 'min_sqnr_db'?");
  }
}

}  // namespace
}  // namespace narrow::report
