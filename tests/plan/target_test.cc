#include "lib/plan/target.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "lib/plan/rules.h"

namespace narrow::plan {
namespace {

using quant::QuantType;
using testing::ElementsAre;
using testing::IsEmpty;

analyze::Layer layer_of(const std::string& op_type, bool weight) {
  analyze::Layer layer{.node = "n", .op_type = op_type, .role = ops::QuantRole::kWeighted};
  if (weight) layer.weight = layer.stored_weight = analyze::ConstantSlot{.input = 1, .initializer = "w"};
  return layer;
}

TEST(TargetTest, EveryTargetIsInTheTableOnce) {
  for (const Target target :
       {Target::kOnnxruntime, Target::kOpenvino, Target::kTensorrt, Target::kX86Avx2, Target::kGeneric}) {
    const auto rows = targets();
    EXPECT_EQ(std::count_if(rows.begin(), rows.end(), [&](const TargetRow& r) { return r.target == target; }), 1);
  }
}

TEST(TargetTest, TheDefaultsFitOnnxruntimeOpenvinoAndGeneric) {
  for (const Target target : {Target::kOnnxruntime, Target::kOpenvino, Target::kGeneric}) {
    LayerScheme scheme;
    EXPECT_THAT(adapt(row(target), layer_of("Conv", true), scheme), IsEmpty()) << row(target).name;
    EXPECT_FALSE(refusal(row(target), layer_of("Conv", true), scheme)) << row(target).name;
  }
}

TEST(TargetTest, TensorrtTakesSignedTypesWithoutZeroPoints) {
  LayerScheme scheme{.weights = QuantType::kUint8, .weights_symmetric = false};
  EXPECT_THAT(adapt(row(Target::kTensorrt), layer_of("Conv", true), scheme),
              ElementsAre("tensorrt takes no uint8 activations", "tensorrt takes no zero points of activations",
                          "tensorrt takes no uint8 weights", "tensorrt takes no zero points of weights"));
  EXPECT_EQ(scheme.weights, QuantType::kInt8);
  EXPECT_EQ(scheme.activations, QuantType::kInt8);
  EXPECT_TRUE(scheme.weights_symmetric);
  EXPECT_TRUE(scheme.activations_symmetric);
  EXPECT_FALSE(refusal(row(Target::kTensorrt), layer_of("Conv", true), scheme));
}

TEST(TargetTest, WhatATargetHasNoTypeNearToIsRefused) {
  LayerScheme scheme{.weights = QuantType::kInt4};
  EXPECT_THAT(adapt(row(Target::kOpenvino), layer_of("Conv", true), scheme), IsEmpty());
  EXPECT_EQ(refusal(row(Target::kOpenvino), layer_of("Conv", true), scheme)->detail,
            "openvino has no kernel for int4 weights");
  scheme = {.activations = QuantType::kUint16};
  EXPECT_EQ(refusal(row(Target::kOpenvino), layer_of("Conv", true), scheme)->detail,
            "openvino has no kernel for uint16 activations");
  scheme = {};
  EXPECT_EQ(refusal(row(Target::kTensorrt), layer_of("Sigmoid", false), scheme)->detail,
            "tensorrt has no kernel for Sigmoid on integers");
  scheme = {.mode = Mode::kWeightOnly, .weights = QuantType::kInt2};
  EXPECT_EQ(refusal(row(Target::kOpenvino), layer_of("MatMul", true), scheme)->detail,
            "openvino has no kernel for stored int2 weights");
}

TEST(TargetTest, OpenvinoTakesStoredGatesInFilesWithoutQuantizedActivationsOnly) {
  const TargetRow& openvino = row(Target::kOpenvino);
  for (const std::string op : {"LSTM", "GRU"}) {
    EXPECT_EQ(refusal(openvino, layer_of(op, true), {}).value().detail,
              "openvino has no kernel for " + op + " with stored weights in a file with quantized activations");
    EXPECT_FALSE(refusal(openvino, layer_of(op, true), {.mode = Mode::kWeightOnly}));
    EXPECT_FALSE(refusal(row(Target::kOnnxruntime), layer_of(op, true), {}));
  }
}

TEST(TargetTest, DynamicProductsBecomeStoredWeightsWhereTheyAreNotKnown) {
  LayerScheme scheme{.mode = Mode::kDynamic};
  EXPECT_THAT(adapt(row(Target::kOpenvino), layer_of("MatMul", true), scheme),
              ElementsAre("openvino quantizes no activations as it runs"));
  EXPECT_EQ(scheme.mode, Mode::kWeightOnly);
}

TEST(TargetTest, ActivationsThatARunMakesAreAffineUint8) {
  LayerScheme scheme{.mode = Mode::kDynamic, .activations = QuantType::kInt8};
  const std::string why = "DynamicQuantizeLinear makes affine uint8 activations and no others";
  EXPECT_THAT(adapt(row(Target::kOnnxruntime), layer_of("MatMul", true), scheme), ElementsAre(why));
  EXPECT_EQ(scheme.activations, QuantType::kUint8);
  EXPECT_THAT(adapt(row(Target::kOnnxruntime), layer_of("MatMul", true), scheme), IsEmpty());
  scheme = {.mode = Mode::kDynamic, .activations_symmetric = true};
  EXPECT_THAT(adapt(row(Target::kOnnxruntime), layer_of("Gather", true), scheme), IsEmpty()) << "a table is stored";
}

TEST(TargetTest, SumsOfPairsIn16BitsWantWeightsOf7Bits) {
  const TargetRow& avx2 = row(Target::kX86Avx2);
  const std::string why = "x86-avx2 adds products in pairs in 16 bits, which saturate with more than 7 bits of weights";
  LayerScheme scheme;
  EXPECT_THAT(adapt(avx2, layer_of("Conv", true), scheme), ElementsAre(why));
  EXPECT_TRUE(scheme.reduce_range);
  EXPECT_THAT(adapt(avx2, layer_of("Conv", true), scheme), IsEmpty()) << "the second time there is nothing to do";
  scheme = {};
  EXPECT_THAT(adapt(avx2, layer_of("Relu", false), scheme), IsEmpty()) << "a layer without a weight is no product";
  scheme = {.weights = QuantType::kInt4};
  EXPECT_THAT(adapt(avx2, layer_of("Conv", true), scheme), IsEmpty()) << "4 bits can not saturate";
  // The largest sum of two products: 255 * 64 * 2 < 2^15.
  const auto limits = quant::integer_limits(QuantType::kInt8, {.symmetric = true, .reduce_range = true});
  EXPECT_LT(2 * 255 * std::max(-limits.qmin, limits.qmax), 1 << 15);
}

TEST(TargetTest, BlocksDivideTheAxisWhereTheyMust) {
  const LayerScheme scheme{.mode = Mode::kWeightOnly, .weights = QuantType::kInt4};
  const analyze::Layer layer = layer_of("MatMul", true);
  const quant::Grouping asked{.axis = 0, .block = 16};
  EXPECT_EQ(adapted(row(Target::kOpenvino), layer, {24, 8}, asked, scheme, false).block, 12);
  EXPECT_EQ(adapted(row(Target::kOpenvino), layer, {32, 8}, asked, scheme, false).block, 16);
  EXPECT_EQ(adapted(row(Target::kOnnxruntime), layer, {24, 8}, asked, scheme, false).block, 16);
}

TEST(TargetTest, TablesThatAreMisreadHaveAScaleForEachRow) {
  analyze::Layer table = layer_of("Gather", true);
  table.stored_weight->block_axis = 0;
  const quant::Grouping columns{.axis = 1, .block = 0};
  const LayerScheme four{.mode = Mode::kWeightOnly, .weights = QuantType::kInt4};
  EXPECT_EQ(adapted(row(Target::kOpenvino), table, {24, 8}, columns, four, false).axis, 0);
  EXPECT_EQ(adapted(row(Target::kOnnxruntime), table, {24, 8}, columns, four, false).axis, 1);
  EXPECT_EQ(adapted(row(Target::kOpenvino), layer_of("MatMul", true), {24, 8}, columns, four, false).axis, 1);
  const LayerScheme eight{.mode = Mode::kWeightOnly, .weights = QuantType::kInt8};
  EXPECT_EQ(adapted(row(Target::kOpenvino), table, {24, 8}, columns, eight, false).axis, 1);
  EXPECT_EQ(adapted(row(Target::kOpenvino), table, {24, 8}, columns, eight, true).axis, 0);
  EXPECT_EQ(adapted(row(Target::kOpenvino), table, {24, 8}, {}, eight, true).axis, std::nullopt);
  EXPECT_EQ(adapted(row(Target::kOnnxruntime), table, {24, 8}, columns, eight, true).axis, 1);
  const LayerScheme floats{.mode = Mode::kWeightOnly, .weights = QuantType::kFloat8e4m3fn};
  EXPECT_EQ(adapted(row(Target::kOpenvino), table, {24, 8}, columns, floats, true).axis, 1);
}

TEST(TargetTest, OperatorsOfMicrosoftAreForThoseWhoKnowThem) {
  LayerScheme scheme{.mode = Mode::kWeightOnly, .weights = QuantType::kInt4, .operators = Operators::kMicrosoft};
  EXPECT_THAT(adapt(row(Target::kOnnxruntime), layer_of("MatMul", true), scheme), IsEmpty());
  EXPECT_THAT(adapt(row(Target::kGeneric), layer_of("MatMul", true), scheme),
              ElementsAre("generic knows no operators of com.microsoft"));
  EXPECT_EQ(scheme.operators, Operators::kStandard);
}

}  // namespace
}  // namespace narrow::plan
