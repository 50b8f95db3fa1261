// Gates on the difference of two reports.
#include "lib/diff/gates.h"

#include <gtest/gtest.h>

#include <limits>

namespace narrow::diff {
namespace {

Json report(double top1, double speed, int64_t bytes) {
  return {{"validation",
           {{"outputs",
             {{{"name", "a"}, {"top1_quantized", top1}, {"agreement", 0.99}, {"sqnr_db", 30}},
              {{"name", "b"}, {"agreement", nullptr}, {"sqnr_db", "inf"}}}},
            {"speed", {{"integer_samples_per_second", speed}}}}},
          {"quantized_model", {{"file_bytes", bytes}}}};
}

std::vector<report::Gate> judge(const Limits& limits, const Json& before, const Json& after) {
  const Diff diff{.kind = Kind::kReport, .before = "a.json", .after = "b.json"};
  return evaluate_gates(limits, {.diff = diff, .before = report_figures(before), .after = report_figures(after)});
}

TEST(DiffGates, EachMeasuresItsLoss) {
  const Limits limits{.accuracy_drop = 1.5, .agreement_drop = 0, .sqnr_drop = 0, .size_growth = 10, .slowdown = 24};
  const auto gates = judge(limits, report(0.90, 100, 1000), report(0.89, 80, 1100));
  ASSERT_EQ(gates.size(), 5U);
  EXPECT_EQ(gates[0].name, "max_accuracy_drop");
  EXPECT_NEAR(*gates[0].got, 1.0, 1e-9);
  EXPECT_TRUE(gates[0].passed);
  EXPECT_DOUBLE_EQ(*gates[1].got, 0) << "the same agreement";
  EXPECT_TRUE(gates[1].passed);
  EXPECT_DOUBLE_EQ(*gates[2].got, 0) << "infinite in both";
  EXPECT_NEAR(*gates[3].got, 10, 1e-9);
  EXPECT_DOUBLE_EQ(*gates[4].got, 25) << "80 samples a second for 100 take a quarter longer";
  EXPECT_FALSE(gates[4].passed);
}

TEST(DiffGates, TheWorstOutputDecides) {
  Json after = report(0.9, 100, 1000);
  after["validation"]["outputs"][1]["sqnr_db"] = 50;
  const auto gates = judge({.sqnr_drop = 100}, report(0.9, 100, 1000), after);
  EXPECT_EQ(*gates[0].got, std::numeric_limits<double>::infinity());
  EXPECT_FALSE(gates[0].passed);
}

TEST(DiffGates, AFigureThatIsMissingIsAnError) {
  Json without = report(0.9, 100, 1000);
  without["validation"]["speed"] = nullptr;
  const auto failure = [&](const Limits& limits, const Json& before, const Json& after) -> std::string {
    try {
      judge(limits, before, after);
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kUsage);
      return error.what();
    }
    return "no error";
  };
  EXPECT_EQ(failure({.slowdown = 5}, without, report(0.9, 100, 1000)),
            "gate max_slowdown: 'a.json' has no speed to compare: it was made with --no-speed");
  EXPECT_EQ(failure({.slowdown = 5}, report(0.9, 100, 1000), without),
            "gate max_slowdown: 'b.json' has no speed to compare: it was made with --no-speed");
  without["validation"]["outputs"].erase(1);
  EXPECT_EQ(failure({.sqnr_drop = 5}, report(0.9, 100, 1000), without),
            "gate max_sqnr_drop: 'b.json' has no SQNR of output 'b'");
  without["validation"] = nullptr;
  EXPECT_EQ(failure({.accuracy_drop = 5}, without, without),
            "gate max_accuracy_drop: 'a.json' has no top-1 to compare: it was made without --labels");
}

TEST(DiffGates, ChangesAreCountedOfEveryKind) {
  Diff diff{.kind = Kind::kPlan, .before = "a", .after = "b"};
  diff.groups.push_back({.name = "layers", .same = 4, .changed = {{"x", ""}}, .removed = {{"y", ""}}});
  EXPECT_FALSE(evaluate_gates({.changes = 1}, {.diff = diff, .before = {}, .after = {}})[0].passed);
  EXPECT_TRUE(evaluate_gates({.changes = 2}, {.diff = diff, .before = {}, .after = {}})[0].passed);
  EXPECT_TRUE(evaluate_gates({}, {.diff = diff, .before = {}, .after = {}}).empty());
}

TEST(DiffGates, LimitsAreNumbersFromZeroOn) {
  EXPECT_NO_THROW(check_limits({.slowdown = 0}));
  EXPECT_THROW(check_limits({.slowdown = -1}), Error);
  EXPECT_THROW(check_limits({.changes = std::numeric_limits<double>::quiet_NaN()}), Error);
}

}  // namespace
}  // namespace narrow::diff
