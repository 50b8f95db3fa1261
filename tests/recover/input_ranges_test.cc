// Inputs whose values lie half a step off the grid get a range in which they do not.
#include "lib/recover/input_ranges.h"

#include <gtest/gtest.h>

#include <random>

#include "lib/analyze/analyze.h"
#include "lib/io/load.h"
#include "tests/support/model_text.h"

namespace narrow::recover {
namespace {

graph::Model one_convolution() {
  graph::Model model = test::graph_from_text(R"(g (float[1,1,16,16] x) => (float[1,1,16,16] y)
    <float[1,1,1,1] w = {1}, float[1] b = {0}> { y = Conv (x, w, b) })");
  model.mutable_graph().mutable_node(0)->set_name("n");
  io::infer_shapes(model);
  return model;
}

plan::PrecisionPlan plan_of(const graph::Model& model) {
  const plan::Ranges ranges{{"x", {.range = {-1, 1}, .calibrator = "", .unusable = {}}},
                            {"y", {.range = {-1, 1}, .calibrator = "", .unusable = {}}}};
  return plan::make_plan(model, analyze::analyze(model), ranges, {});
}

/// 256 values of `value(k)`, k = 0 ... 255.
template <class Value>
Samples samples_of(Value value) {
  return {.count = 20, .read = [value](int64_t) {
            std::vector<float> values;
            for (int k = 0; k < 256; ++k) values.push_back(value(k));
            return exec::Feed{{"x", Tensor::of<float>({1, 1, 16, 16}, std::span<const float>(values))}};
          }};
}

/// Mean squared error of rounding, in units of the step of [-1, 1] in 255.
double rounding_error(const plan::PrecisionPlan& plan, const Samples& samples) {
  const quant::QuantParams& params = plan.values.front().params;
  const Tensor x = samples.read(0).at("x");
  const Tensor rounded = quant::dequantize(quant::quantize(x, params), params);
  double sum = 0;
  for (size_t i = 0; i < 256; ++i) {
    const double error = (static_cast<double>(rounded.data<float>()[i]) - x.data<float>()[i]) * 127.5;
    sum += error * error / 256;
  }
  return sum;
}

TEST(InputRanges, AnInputOfALayerThatIsHeldStays) {
  const graph::Model model = one_convolution();
  plan::PrecisionPlan plan = plan_of(model);
  plan.layers[0].recovery = {plan::RecoveryMethod::kRound};
  const Samples pixels = samples_of([](int k) { return static_cast<float>(k) / 127.5F - 1; });
  EXPECT_EQ(widen_input_ranges(model, plan, pixels, 1), 0);
}

TEST(InputRanges, PixelsOnTiesLoseTwoThirdsOfTheirError) {
  const graph::Model model = one_convolution();
  plan::PrecisionPlan plan = plan_of(model);
  ASSERT_EQ(plan.values.front().value, "x");
  const Samples pixels = samples_of([](int k) { return static_cast<float>(k) / 127.5F - 1; });
  EXPECT_NEAR(rounding_error(plan, pixels), 1.0 / 4, 0.01);  // each value is half a step off
  EXPECT_EQ(widen_input_ranges(model, plan, pixels, 2), 1);
  EXPECT_LT(rounding_error(plan, pixels), 1.1 / 12);  // what values anywhere have
  const plan::ValuePlan& x = plan.values.front();
  EXPECT_GT(x.range.rmax, 1);
  EXPECT_LT(x.range.rmax, 1.02F);
  EXPECT_FLOAT_EQ(x.params.scales[0], (x.range.rmax - x.range.rmin) / 255);
  EXPECT_EQ(plan.values.back().params, plan_of(model).values.back().params);  // y stays
  plan::PrecisionPlan again = plan_of(model);
  widen_input_ranges(model, again, pixels, 1);
  EXPECT_EQ(again.values.front().params, x.params);
}

TEST(InputRanges, ValuesOnTheGridOrAnywhereStayAsTheyAre) {
  const graph::Model model = one_convolution();
  std::mt19937 random(1);
  std::uniform_real_distribution<float> uniform(-1, 1);
  std::vector<float> anywhere(256);
  for (float& value : anywhere) value = uniform(random);
  for (const Samples& samples : {samples_of([](int k) { return static_cast<float>(k - 127) / 127.5F; }),
                                 samples_of([&](int k) { return anywhere[static_cast<size_t>(k)]; })}) {
    plan::PrecisionPlan plan = plan_of(model);
    EXPECT_EQ(widen_input_ranges(model, plan, samples, 2), 0);
    EXPECT_EQ(plan.values.front().params, plan_of(model).values.front().params);
  }
}

TEST(InputRanges, AnInputThatIsIntegersInTheFileKeepsTheScaleThatOthersReadItBy) {
  const graph::Model model = one_convolution();
  plan::PrecisionPlan plan = plan_of(model);
  plan.form.integer_io = {"x"};
  EXPECT_EQ(widen_input_ranges(model, plan, samples_of([](int k) { return static_cast<float>(k) / 127.5F - 1; }), 2),
            0);
}

}  // namespace
}  // namespace narrow::recover
