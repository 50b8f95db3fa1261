#include "lib/plan/clamp.h"

#include <gtest/gtest.h>

#include <limits>

namespace narrow::plan {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

quant::QuantParams params(quant::QuantType type, float scale, int32_t zero_point) {
  return {.type = type, .scales = {scale}, .zero_points = {zero_point}};
}

TEST(ClampTest, ReluFoldsWhereZeroIsTheLowestInteger) {
  const ClampBounds relu{.low = 0, .high = kInfinity};
  EXPECT_TRUE(folds_exactly(relu, params(quant::QuantType::kUint8, 0.1F, 0)));
  EXPECT_TRUE(folds_exactly(relu, params(quant::QuantType::kInt8, 0.1F, -128)));
  EXPECT_FALSE(folds_exactly(relu, params(quant::QuantType::kUint8, 0.1F, 1)));
  EXPECT_FALSE(folds_exactly(relu, params(quant::QuantType::kInt8, 0.1F, 0)));
}

TEST(ClampTest, ClipFoldsWhereItsUpperBoundIsTheHighestInteger) {
  const ClampBounds relu6{.low = 0, .high = 6};
  EXPECT_TRUE(folds_exactly(relu6, params(quant::QuantType::kUint8, 6.0F / 255, 0)));
  EXPECT_TRUE(folds_exactly(relu6, params(quant::QuantType::kUint8, 3.0F / 255, 0)));
  EXPECT_FALSE(folds_exactly(relu6, params(quant::QuantType::kUint8, 7.0F / 255, 0)));
}

TEST(ClampTest, ClipAboveZeroNeverFolds) {
  EXPECT_FALSE(folds_exactly({.low = 1, .high = 6}, params(quant::QuantType::kUint8, 6.0F / 255, 0)));
  EXPECT_FALSE(folds_surely({.low = 1, .high = 6}, LayerScheme{}));
  EXPECT_TRUE(folds_surely({.low = 0, .high = 6}, LayerScheme{}));
  EXPECT_FALSE(folds_surely({.low = 0, .high = 6}, LayerScheme{.activations_symmetric = true}));
}

}  // namespace
}  // namespace narrow::plan
