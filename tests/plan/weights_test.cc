#include "lib/plan/weights.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace narrow::plan {
namespace {

using testing::ElementsAre;

const analyze::ConstantSlot kSlot{.input = 1, .initializer = "w", .channel_axis = 0};

TEST(PlanWeightTest, PerChannelOrPerTensorAsTheSchemeSays) {
  const Tensor w = Tensor::of<float>({2, 1}, {127, 254});
  EXPECT_THAT(plan_weight(kSlot, w, Tensor(), 1, LayerScheme{}).params.scales, ElementsAre(1, 2));
  const WeightPlan whole = plan_weight(kSlot, w, Tensor(), 1, LayerScheme{.granularity = Granularity::kPerTensor});
  EXPECT_THAT(whole.params.scales, ElementsAre(2));
  EXPECT_EQ(whole.params.axis, std::nullopt);
}

TEST(PlanWeightTest, ABiasThatWouldOverflowEnlargesItsChannelOnly) {
  // Channel 1: bias 1000 at input scale 1e-3 and weight scale 1e-6 would need 1e12 steps.
  const Tensor w = Tensor::of<float>({2, 1}, {127, 127e-6F});
  const Tensor bias = Tensor::of<float>({2}, {1000, 1000});
  const WeightPlan plan = plan_weight(kSlot, w, bias, 1e-3F, LayerScheme{});
  EXPECT_EQ(plan.enlarged_channels, 1);
  EXPECT_EQ(plan.params.scales[0], 1);
  EXPECT_GT(plan.params.scales[1], 1e-6F);
  EXPECT_LE(1000 / (1e-3 * plan.params.scales[1]), 2147483647.0);
}

TEST(PlanWeightTest, ADeadChannelKeepsItsBias) {
  // At scale 1 a bias of 0.3 behind an input scale of 1 would be rounded to 0.
  const Tensor w = Tensor::of<float>({3, 1}, {0, 1e-40F, 127});
  const Tensor bias = Tensor::of<float>({3}, {0.3F, -0.3F, 0.3F});
  const WeightPlan plan = plan_weight(kSlot, w, bias, 1, LayerScheme{});
  EXPECT_FLOAT_EQ(plan.params.scales[0], 0.3F / 16777216);
  EXPECT_FLOAT_EQ(plan.params.scales[1], 0.3F / 16777216);
  EXPECT_EQ(plan.params.scales[2], 1);
  EXPECT_EQ(plan.enlarged_channels, 0);
}

TEST(PlanWeightTest, ReducedRangeUsesSevenBits) {
  const Tensor w = Tensor::of<float>({1, 2}, {-63, 10});
  const WeightPlan plan = plan_weight(kSlot, w, Tensor(), 1, LayerScheme{.reduce_range = true});
  EXPECT_THAT(plan.params.scales, ElementsAre(1));
}

TEST(PlanWeightTest, CodebooksHaveScalesWhereTheSchemeHasChannels) {
  const Tensor w = Tensor::of<float>({2, 2}, {1, 2, 10, 20});
  LayerScheme scheme{.mode = Mode::kWeightOnly, .weights = quant::QuantType::kCodebook, .entries = 2};
  const quant::QuantParams scaled = plan_weight(kSlot, w, Tensor(), 1, scheme).params;
  EXPECT_EQ(scaled.axis, 0);
  EXPECT_EQ(scaled.scales.size(), 2U);
  EXPECT_EQ(scaled.codebooks->values.size(), 2U);
  scheme.granularity = Granularity::kPerTensor;
  EXPECT_THAT(plan_weight(kSlot, w, Tensor(), 1, scheme).params.codebooks->values, ElementsAre(13.0F / 3, 20));
  scheme.codebook_channels = 1;
  EXPECT_THAT(plan_weight(kSlot, w, Tensor(), 1, scheme).params.codebooks->values, ElementsAre(1, 2, 10, 20));
}

TEST(PlanWeightTest, StochasticRoundingIsKeyedBySeedAndWeight) {
  const Tensor w = Tensor::of<float>({2, 1}, {127, 254});
  const LayerScheme scheme{.rounding = Rounding::kStochastic, .seed = 5};
  EXPECT_EQ(plan_weight(kSlot, w, Tensor(), 1, scheme).params.noise, quant::RoundingNoise(5, "w"));
  EXPECT_FALSE(plan_weight(kSlot, w, Tensor(), 1, LayerScheme{}).params.noise);
}

TEST(PlanWeightTest, SquantKeepsTheSumsOfTypesThatHaveNeighbours) {
  const Tensor w = Tensor::of<float>({2, 2}, {127, 254, 1, 2});
  analyze::ConstantSlot slot = kSlot;
  slot.sum_axes = {{1}};
  LayerScheme scheme{.rounding = Rounding::kSquant};
  EXPECT_EQ(plan_weight(slot, w, Tensor(), 1, scheme).params.sum_axes, slot.sum_axes);
  EXPECT_TRUE(plan_weight(slot, w, Tensor(), 1, LayerScheme{}).params.sum_axes.empty());
  scheme.weights = quant::QuantType::kBinary;
  EXPECT_TRUE(plan_weight(slot, w, Tensor(), 1, scheme).params.sum_axes.empty());
}

}  // namespace
}  // namespace narrow::plan
