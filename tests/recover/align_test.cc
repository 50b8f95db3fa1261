// Inputs whose channels lie on grids are held exactly by 8 bits, and the model computes what it did.
#include "lib/recover/align.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "lib/analyze/analyze.h"
#include "lib/base/error.h"
#include "lib/exec/float_program.h"
#include "lib/graph/edit.h"
#include "lib/graph/graph_index.h"
#include "lib/recover/level_grid.h"
#include "tests/support/random_tensor.h"
#include "tests/support/shaped_model.h"

namespace narrow::recover {
namespace {

using testing::ElementsAre;
using testing::FloatNear;
using testing::IsEmpty;

constexpr float kMean[] = {0.5F, 0.4F, 0.45F};
constexpr float kDeviation[] = {0.25F, 0.2F, 0.24F};

/// All 256 levels in each channel, in an order of their own: [1, 3, 16, 16] or transposed.
template <class Value>
Samples pixels(Value value, bool channels_last = false) {
  return {.count = 20, .read = [value, channels_last](int64_t index) {
            Tensor x(DataType::kFloat32, channels_last ? Shape{1, 16, 16, 3} : Shape{1, 3, 16, 16});
            const auto elements = x.mutable_data<float>();
            for (size_t c = 0; c < 3; ++c) {
              for (size_t i = 0; i < 256; ++i) {
                const auto pixel = static_cast<float>((i * (2 * c + 7) + static_cast<size_t>(index)) % 256);
                elements[channels_last ? i * 3 + c : c * 256 + i] = value(c, pixel);
              }
            }
            return exec::Feed{{"x", x}};
          }};
}

float normalized(size_t channel, float pixel) {
  return (pixel / 255 - kMean[channel]) / kDeviation[channel];
}

float around_zero(size_t, float pixel) {
  return pixel / 127.5F - 1;
}

graph::Model convolution(const std::string& text) {
  graph::Model model = test::shaped_graph(text);
  *model.mutable_graph().add_initializer() = graph::tensor_proto("w", test::uniform({4, 3, 3, 3}, 1));
  for (onnx::NodeProto& node : *model.mutable_graph().mutable_node()) node.set_name(node.output(0));
  io::infer_shapes(model);
  return model;
}

graph::Model padded() {
  return convolution(R"(g (float[1,3,16,16] x) => (float[1,4,16,16] y) <float[4] b = {1, -1, 0, 2}>
    { y = Conv <pads = [1, 1, 1, 1]> (x, w, b) })");
}

plan::PrecisionPlan plan_of(const graph::Model& model, const std::vector<plan::AlignedInput>& inputs = {}) {
  const analyze::Analysis analysis = analyze::analyze(model);
  plan::Ranges ranges;
  for (const auto& group : analysis.groups) {
    ranges[group.representative] = {.range = {-2.1F, 3.1F}, .calibrator = "", .unusable = {}};
  }
  set_grids(model, inputs, ranges);
  return plan::make_plan(model, analysis, ranges, rules_behind(model, inputs, {}));
}

std::vector<plan::AlignedInput> grids_of(const graph::Model& model, const Samples& samples) {
  return find_grids(model, plan_of(model), samples, 2);
}

const plan::ValuePlan& planned(const plan::PrecisionPlan& plan, const std::string& value) {
  return *std::find_if(plan.values.begin(), plan.values.end(), [&](const auto& known) { return known.value == value; });
}

/// Mean squared error of rounding `value`, in steps.
double rounding_error(const graph::Model& model, const plan::PrecisionPlan& plan, const std::string& value,
                      const Samples& samples) {
  graph::Model watched = model;
  if (value != "x") watched.mutable_graph().add_output()->set_name(value);
  Workspace workspace;
  const exec::Feed feed = samples.read(2);
  const Tensor real = value == "x" ? feed.at("x") : exec::compile_float(watched).run(feed, workspace)[1];
  const quant::QuantParams& params = planned(plan, value).params;
  const Tensor rounded = quant::dequantize(quant::quantize(real, params), params);
  double sum = 0;
  for (size_t i = 0; i < real.data<float>().size(); ++i) {
    const double error = static_cast<double>(rounded.data<float>()[i]) - static_cast<double>(real.data<float>()[i]);
    sum += std::pow(error / static_cast<double>(params.scales[0]), 2);
  }
  return sum / static_cast<double>(real.size());
}

/// Largest difference of the outputs; `border` elements from the edge do not count.
float difference(const graph::Model& a, const graph::Model& b, const Samples& samples, int64_t border = 0) {
  Workspace workspace;
  const Tensor x = exec::compile_float(a).run(samples.read(3), workspace)[0];
  const Tensor y = exec::compile_float(b).run(samples.read(3), workspace)[0];
  EXPECT_EQ(x.shape(), y.shape());
  float most = 0;
  const int64_t side = x.shape()[2];
  for (int64_t i = 0; i < x.size(); ++i) {
    const int64_t row = i / side % side;
    const int64_t column = i % side;
    const bool inside = std::min({row, column, side - 1 - row, side - 1 - column}) >= border;
    const auto at = static_cast<size_t>(i);
    if (inside) most = std::max(most, std::abs(x.data<float>()[at] - y.data<float>()[at]));
  }
  return most;
}

LevelSet set_of(const std::vector<float>& values) {
  LevelSet set;
  for (const float value : values) set.add(value);
  return set;
}

std::vector<float> steps(int count, float step, float first) {
  std::vector<float> values;
  for (int i = 0; i < count; ++i) values.push_back(first + static_cast<float>(i) * step);
  return values;
}

TEST(LevelSet, FindsStepAndEndsWhereSomeLevelsAreMissing) {
  std::vector<float> values = steps(200, 0.5F, -20);
  values.erase(values.begin() + 50, values.begin() + 60);
  const auto grid = set_of(values).grid();
  ASSERT_TRUE(grid.has_value());
  EXPECT_DOUBLE_EQ(grid->step, 0.5);
  EXPECT_DOUBLE_EQ(grid->lowest, -20);
  EXPECT_EQ(grid->levels, 200);
  EXPECT_DOUBLE_EQ(grid->zero(0.5), 28 + 40);  // 56 codes are free, half of them below
}

TEST(LevelSet, NumbersThatBeginOrEndAtZeroGoOnDoingSo) {
  EXPECT_EQ(set_of(steps(100, 1, 0)).grid()->first_code(), 0);
  EXPECT_EQ(set_of(steps(100, 1, -99)).grid()->first_code(), 156);
}

TEST(LevelSet, HasNoGridWhereNumbersAreTooManyTooFewOrUneven) {
  EXPECT_FALSE(set_of(steps(257, 1, 0)).grid().has_value());
  EXPECT_FALSE(set_of(steps(15, 1, 0)).grid().has_value());
  std::vector<float> uneven = steps(100, 1, 0);
  uneven[50] += 0.3F;
  EXPECT_FALSE(set_of(uneven).grid().has_value());
  std::vector<float> far = steps(100, 1, 0);
  far.push_back(300);
  EXPECT_FALSE(set_of(far).grid().has_value());
  std::vector<float> broken = steps(100, 1, 0);
  broken.push_back(NAN);
  EXPECT_FALSE(set_of(broken).grid().has_value());
}

// x = (pixel / 255 - mean) / deviation: steps of 1 / (255 deviation), 0 at pixel 255 mean. By hand: steps 0.015686,
// 0.019608 and 0.016340, of mean 0.017211; zeros 127.5, 102 and 114.75, of mean 114.75.
TEST(Align, ChannelsWithScalesOfTheirOwnBecomeOneGrid) {
  const graph::Model model = padded();
  const Samples samples = pixels(normalized);
  const auto inputs = grids_of(model, samples);
  ASSERT_EQ(inputs.size(), 1U);
  EXPECT_EQ(inputs[0].value, "x");
  EXPECT_NEAR(inputs[0].scale, 0.0172113, 1e-6);
  EXPECT_EQ(inputs[0].zero_point, 115);
  EXPECT_THAT(inputs[0].factors,
              ElementsAre(FloatNear(1.097222F, 1e-4F), FloatNear(0.877778F, 1e-4F), FloatNear(1.053333F, 1e-4F)));
  EXPECT_THAT(inputs[0].shifts, ElementsAre(FloatNear(12.5F * 0.0172113F, 1e-4F), FloatNear(-13 * 0.0172113F, 1e-4F),
                                            FloatNear(-0.25F * 0.0172113F, 1e-4F)));
  const graph::Model aligned = align(model, inputs);
  EXPECT_LT(difference(model, aligned, samples), 1e-5F);  // the border too: a Pad puts zeros where x has them
  const plan::PrecisionPlan before = plan_of(model);
  const plan::PrecisionPlan after = plan_of(aligned, inputs);
  EXPECT_TRUE(on_grids(after, inputs, before));
  EXPECT_FALSE(on_grids(before, inputs, before));
  EXPECT_NEAR(rounding_error(model, before, "x", samples), 1.0 / 12, 0.01);
  // What is left is the border of zeros, at most half a step off.
  EXPECT_LT(rounding_error(aligned, after, "x_aligned", samples), 0.25 * (18 * 18 - 256) / 256);
  for (const plan::LayerPlan& layer : after.layers) {
    EXPECT_EQ(layer.decision, layer.op_type == "Conv" ? plan::Decision::kQuantize : plan::Decision::kFloat);
  }
}

TEST(Align, OneShiftServesPixelsAroundZeroAndNeedsNoPad) {
  const graph::Model model = padded();
  const Samples samples = pixels(around_zero);
  const auto inputs = grids_of(model, samples);
  ASSERT_EQ(inputs.size(), 1U);
  EXPECT_THAT(inputs[0].factors, IsEmpty());
  ASSERT_EQ(inputs[0].shifts.size(), 3U);
  EXPECT_NEAR(std::abs(inputs[0].shifts[1]), 0.5F / 127.5F, 1e-5F);
  const graph::Model aligned = align(model, inputs);
  EXPECT_EQ(aligned.graph().node_size(), 2);
  EXPECT_LT(difference(model, aligned, samples, 1), 1e-5F);
  const plan::PrecisionPlan after = plan_of(aligned, inputs);
  EXPECT_GT(rounding_error(model, plan_of(model), "x", samples), 0.07);
  EXPECT_LT(rounding_error(aligned, after, "x_aligned", samples), 1e-3);
}

TEST(Align, PixelsFromZeroNeedARangeAlone) {
  const graph::Model model = padded();
  const Samples samples = pixels([](size_t, float pixel) { return pixel / 255; });
  const auto inputs = grids_of(model, samples);
  ASSERT_EQ(inputs.size(), 1U);
  EXPECT_THAT(inputs[0].factors, IsEmpty());
  EXPECT_THAT(inputs[0].shifts, IsEmpty());
  const graph::Model aligned = align(model, inputs);
  EXPECT_EQ(aligned.graph().node_size(), 1);
  const plan::PrecisionPlan after = plan_of(aligned, inputs);
  EXPECT_LT(rounding_error(aligned, after, "x", samples), 1e-6);
  EXPECT_THAT(find_grids(aligned, after, samples, 1), IsEmpty());  // it is there
}

TEST(Align, SeesThroughTranspositions) {
  const graph::Model model = convolution(R"(g (float[1,16,16,3] x) => (float[1,4,14,14] y)
    { t = Transpose <perm = [0, 3, 1, 2]> (x)  y = Conv (t, w) })");
  const Samples samples = pixels(normalized, true);
  const auto inputs = grids_of(model, samples);
  ASSERT_EQ(inputs.size(), 1U);
  EXPECT_EQ(inputs[0].value, "t");
  const graph::Model aligned = align(model, inputs);
  EXPECT_EQ(aligned.graph().node_size(), 4);  // nothing to pad; there was no bias
  EXPECT_LT(difference(model, aligned, samples), 1e-5F);
  EXPECT_LT(rounding_error(aligned, plan_of(aligned, inputs), "t_aligned", samples), 1e-4);
}

TEST(Align, LeavesWhatHasNoGridAlone) {
  const graph::Model model = padded();
  const Tensor numbers = test::uniform({1, 3, 16, 16}, 3);
  const Samples anywhere{.count = 20, .read = [&](int64_t) { return exec::Feed{{"x", numbers}}; }};
  EXPECT_THAT(grids_of(model, anywhere), IsEmpty());
}

TEST(Align, LeavesWhatOthersReadOrARuleOrACallerHolds) {
  const Samples samples = pixels(normalized);
  const graph::Model shared = convolution(R"(g (float[1,3,16,16] x) => (float[1,4,16,16] y, float[1,3,16,16] z)
    { y = Conv <pads = [1, 1, 1, 1]> (x, w)  z = Softsign (x) })");
  EXPECT_THAT(grids_of(shared, samples), IsEmpty());
  const graph::Model model = padded();
  plan::PrecisionPlan held = plan_of(model);
  held.layers[0].recovery = {plan::RecoveryMethod::kRound};
  EXPECT_THAT(find_grids(model, held, samples, 1), IsEmpty());
  plan::PrecisionPlan integers = plan_of(model);
  integers.form.integer_io = {"x"};
  EXPECT_THAT(find_grids(model, integers, samples, 1), IsEmpty());
}

TEST(Align, RulesByDepthOrValueAreNotKept) {
  plan::Rules rules;
  rules.rules.push_back({.match = plan::match_name("y")});
  EXPECT_TRUE(keeps_rules(rules));
  plan::Match deep;
  deep.max_depth = 1;
  plan::Match part = plan::match_name("y");
  part.none.push_back(deep);
  rules.rules.push_back({.match = part});
  EXPECT_FALSE(keeps_rules(rules));
}

// 0.3 and 1.3 lie at 0.6 and 2.6 steps of 0.5: 1 and 3.
TEST(Align, InputsCanBeRoundedInFrontOfIt) {
  const graph::Model aligned =
      test::graph_from_text("g (float[2] x) => (float[2] y) <float[1] f = {2}> { y = Mul (x, f) }");
  plan::PrecisionPlan before;
  before.values.push_back(
      {.value = "x", .params = {.type = quant::QuantType::kUint8, .scales = {0.5F}, .zero_points = {1}}});
  graph::Model rounded = round_inputs(aligned, {{.value = "x", .factors = {2}}}, before);
  io::infer_shapes(rounded);
  Workspace workspace;
  const Tensor y = exec::compile_float(rounded).run({{"x", Tensor::of<float>({2}, {0.3F, 1.3F})}}, workspace)[0];
  EXPECT_THAT(std::vector<float>(y.data<float>().begin(), y.data<float>().end()), testing::ElementsAre(1, 3));
}

TEST(Align, RefusesAValueThatNoConvolutionReads) {
  EXPECT_THROW(align(padded(), {{.value = "y", .shifts = {1, 1, 1}}}), Error);
  EXPECT_THROW(align(padded(), {{.value = "x", .shifts = {1, 1}}}), Error);
}

}  // namespace
}  // namespace narrow::recover
