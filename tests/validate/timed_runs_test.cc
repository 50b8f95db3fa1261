#include "lib/validate/timed_runs.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "lib/exec/float_program.h"
#include "tests/support/shaped_model.h"

namespace narrow::validate {
namespace {

Tensor row(float value) {
  const std::vector<float> values{value, value};
  return Tensor::of<float>({1, 2}, std::span<const float>(values));
}

class StepCounter : public exec::StepTimer {
 public:
  void on_step(const exec::StepInfo&, std::string_view, double) override { ++steps; }
  int steps = 0;
};

TEST(TimedRuns, ATurnRunsAtLeastOnceAndKeepsEveryLatency) {
  const exec::Program program =
      exec::compile_float(test::shaped_graph("agraph (float[1,2] x) => (float[1,2] y) { y = Relu(x) }"));
  TimedRuns runs(program, {{{"x", row(1)}}, {{"x", row(2)}}});
  const double one = runs.turn(0, 0);
  EXPECT_EQ(runs.latencies(), std::vector<double>{one});
  constexpr double kSeconds = 0.01;
  const double middle = runs.turn(1, kSeconds);
  const std::vector<double>& all = runs.latencies();
  EXPECT_GT(all.size(), 2U);  // of two elements, a run takes microseconds
  EXPECT_GE(middle, *std::min_element(all.begin() + 1, all.end()));
  EXPECT_LE(middle, *std::max_element(all.begin() + 1, all.end()));
}

TEST(TimedRuns, WarmingUpRunsEachShapeOnceAndIsNoTurn) {
  const exec::Program program =
      exec::compile_float(test::shaped_graph("agraph (float[N,2] x) => (float[N,2] y) { y = Relu(x) }"));
  const std::vector<float> values(8, 1.0F);
  const auto rows = [&](int64_t count) {
    return exec::Feed{{"x", Tensor::of<float>({count, 2}, std::span<const float>(values).first(count * 2))}};
  };
  TimedRuns runs(program, {rows(1), rows(1), rows(4)});
  runs.warm_up();
  EXPECT_TRUE(runs.latencies().empty());
  // Turn number 5 takes the third of three feeds: both sides of a ratio take the same.
  EXPECT_GT(runs.turn(5, 0), 0);
  EXPECT_EQ(runs.latencies().size(), 1U);
}

TEST(TimedRuns, SingleRunsAreNotLatencies) {
  const exec::Program program =
      exec::compile_float(test::shaped_graph("agraph (float[1,2] x) => (float[1,2] y) { y = Relu(x) }"));
  TimedRuns runs(program, {{{"x", row(1)}}});
  StepCounter counter;
  EXPECT_GT(runs.run(&counter), 0);
  EXPECT_EQ(counter.steps, 1);
  EXPECT_TRUE(runs.latencies().empty());
}

}  // namespace
}  // namespace narrow::validate
