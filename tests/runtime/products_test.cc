#include "lib/runtime/ref/products.h"

#include <gtest/gtest.h>

#include <random>

#include "lib/onednn/isa.h"
#include "lib/runtime/kernels/product_kernels.h"

namespace narrow::runtime {
namespace {

Tensor random_tensor(DataType type, const Shape& shape, std::mt19937& random, int low, int high) {
  Tensor tensor(type, shape);
  std::uniform_int_distribution<int> values(low, high);
  for (int64_t i = 0; i < tensor.size(); ++i) tensor.mutable_bytes()[i] = static_cast<std::byte>(values(random) & 0xFF);
  return tensor;
}

Tensor run(const exec::Kernel& kernel, std::vector<Tensor> inputs) {
  if (kernel.layout_use() == exec::LayoutUse::kChannelsLast) inputs[0] = to_layout(inputs[0], Layout::kChannelsLast);
  std::vector<Tensor> outputs(1);
  Workspace workspace;
  kernel.run(inputs, outputs, workspace);
  return to_layout(outputs[0], outputs[0].rank() >= 3 ? Layout::kPlain : outputs[0].layout());
}

// Counts bytes that differ, none by more than one step.
int64_t differing(const Tensor& a, const Tensor& b) {
  EXPECT_EQ(a.shape(), b.shape());
  EXPECT_EQ(a.type(), b.type());
  int64_t count = 0;
  for (int64_t i = 0; i < a.size(); ++i) {
    const auto value = [&](const Tensor& t) {
      return t.type() == DataType::kInt8 ? static_cast<int>(static_cast<int8_t>(t.bytes()[i]))
                                         : static_cast<int>(t.bytes()[i]);
    };
    EXPECT_LE(std::abs(value(a) - value(b)), 1);
    count += value(a) != value(b) ? 1 : 0;
  }
  return count;
}

ConvolutionGroup group_of(std::mt19937& random, DataType source, DataType destination, int64_t groups) {
  ConvolutionGroup group;
  group.source = source;
  group.destination = destination;
  group.groups = groups;
  group.window = {.kernel = {3, 3}, .strides = {2, 1}, .dilations = {1, 2}, .pads = {1, 2, 0, 1}};
  group.weights = random_tensor(DataType::kInt8, {8, 8 / groups, 3, 3}, random, -63, 63);
  group.weight_zero_points = {0};
  group.requantize = {.source_scale = 0.02F,
                      .source_zero_point = source == DataType::kInt8 ? -7 : 121,
                      .weight_scales = {0.01F, 0.02F, 0.015F, 0.01F, 0.03F, 0.011F, 0.012F, 0.013F},
                      .destination_scale = 0.1F,
                      .destination_zero_point = destination == DataType::kInt8 ? 5 : 100};
  group.bias = Tensor::of<float>({8}, {0.5F, -1, 2, 0, 0.1F, 3, -3, 0.25F});
  return group;
}

TEST(ReferenceConvolution, KnownResult) {
  // One window: (1-1)*1 + (2-1)*2 + (3-1)*-3 + (6-1)*4 = 16; 16 * 0.5 * 0.25 + 1 = 3; 3 / 0.5 + 10 = 16.
  ConvolutionGroup group;
  group.source = DataType::kUint8;
  group.destination = DataType::kUint8;
  group.window = {.kernel = {2, 2}, .strides = {1, 1}, .dilations = {1, 1}, .pads = {0, 0, 0, 0}};
  group.weights = Tensor::of<int8_t>({1, 1, 2, 2}, {1, 2, -3, 4});
  group.requantize = {.source_scale = 0.5F,
                      .source_zero_point = 1,
                      .weight_scales = {0.25F},
                      .destination_scale = 0.5F,
                      .destination_zero_point = 10};
  group.bias = Tensor::of<float>({1}, {1});
  const Tensor x = Tensor::of<uint8_t>({1, 1, 2, 2}, {1, 2, 3, 6});
  EXPECT_EQ(ref::convolve(x, group).data<uint8_t>()[0], 16);
  group.weight_zero_points = {1};  // the weights are now 0, 1, -4, 3: 1 - 8 + 15 = 8 -> 2 -> 14
  EXPECT_EQ(ref::convolve(x, group).data<uint8_t>()[0], 14);
  group.clamp.high = 1.5F;
  EXPECT_EQ(ref::convolve(x, group).data<uint8_t>()[0], 13);
  group.destination = DataType::kFloat32;
  group.clamp = {};
  EXPECT_EQ(ref::convolve(x, group).data<float>()[0], 2.0F);
}

TEST(Convolution, FastEqualsPlain) {
  std::mt19937 random(11);
  for (const DataType source : {DataType::kUint8, DataType::kInt8}) {
    for (const DataType destination : {DataType::kUint8, DataType::kInt8}) {
      for (const int64_t groups : {1, 2, 8}) {
        const ConvolutionGroup group = group_of(random, source, destination, groups);
        const Tensor x = random_tensor(source, {2, 8, 9, 10}, random, source == DataType::kInt8 ? -128 : 0,
                                       source == DataType::kInt8 ? 127 : 255);
        const Tensor fast = run(*make_convolution(group, KernelChoice::kFast), {x});
        const Tensor plain = run(*make_convolution(group, KernelChoice::kReference), {x});
        EXPECT_LE(differing(fast, plain), fast.size() / 200);  // ties only
      }
    }
  }
}

TEST(Convolution, FloatResultAndAutoPad) {
  std::mt19937 random(12);
  ConvolutionGroup group = group_of(random, DataType::kUint8, DataType::kFloat32, 1);
  group.window.auto_pad = exec::AutoPad::kSameUpper;
  const Tensor x = random_tensor(DataType::kUint8, {1, 8, 6, 5}, random, 0, 255);
  const Tensor fast = run(*make_convolution(group, KernelChoice::kFast), {x});
  const Tensor plain = run(*make_convolution(group, KernelChoice::kReference), {x});
  ASSERT_EQ(fast.shape(), (Shape{1, 8, 3, 5}));
  for (size_t i = 0; i < fast.data<float>().size(); ++i)
    EXPECT_NEAR(fast.data<float>()[i], plain.data<float>()[i], 1e-3);
}

TEST(Matmul, KnownResult) {
  // [3, 5] - 1 = [2, 4]; times [[1, -2], [3, 4]] = [14, 12]; * 0.5 * [1, 0.5] = [7, 3]; + [1, 2] = [8, 5].
  MatmulGroup group;
  group.source = DataType::kUint8;
  group.weights = Tensor::of<int8_t>({2, 2}, {1, -2, 3, 4});
  group.weight_zero_points = {0};
  group.requantize = {.source_scale = 0.5F, .source_zero_point = 1, .weight_scales = {1.0F, 0.5F}};
  group.bias = Tensor::of<float>({2}, {1, 2});
  for (const KernelChoice choice : {KernelChoice::kFast, KernelChoice::kReference}) {
    const Tensor y = run(*make_matmul(group, choice), {Tensor::of<uint8_t>({1, 2}, {3, 5})});
    EXPECT_EQ(y.data<float>()[0], 8.0F);
    EXPECT_EQ(y.data<float>()[1], 5.0F);
  }
}

TEST(Matmul, SumsOverNoTermsAreZero) {
  for (const DataType second : {DataType::kUint8, DataType::kInt8}) {
    MatmulGroup group;
    group.source = DataType::kUint8;
    group.second = second;
    group.destination = DataType::kUint8;
    group.weight_zero_points = {7};
    group.requantize = {.source_scale = 0.02F,
                        .source_zero_point = 130,
                        .weight_scales = {0.01F},
                        .destination_scale = 0.2F,
                        .destination_zero_point = 128};
    for (const KernelChoice choice : {KernelChoice::kFast, KernelChoice::kReference}) {
      const Tensor y =
          run(*make_matmul(group, choice), {Tensor(DataType::kUint8, {2, 3, 0}), Tensor(second, {2, 0, 5})});
      EXPECT_EQ(y.shape(), (Shape{2, 3, 5}));
      for (const uint8_t code : y.data<uint8_t>()) EXPECT_EQ(code, 128);
    }
  }
}

TEST(Matmul, TwoActivationsFastEqualsPlain) {
  std::mt19937 random(13);
  for (const DataType second : {DataType::kUint8, DataType::kInt8}) {
    MatmulGroup group;
    group.source = DataType::kUint8;
    group.second = second;
    group.destination = DataType::kUint8;
    group.weight_zero_points = {second == DataType::kUint8 ? 120 : -3};
    group.requantize = {.source_scale = 0.02F,
                        .source_zero_point = 130,
                        .weight_scales = {0.01F},
                        .destination_scale = 0.2F,
                        .destination_zero_point = 128};
    const Tensor a = random_tensor(DataType::kUint8, {2, 3, 7, 16}, random, 0, 255);
    const Tensor b = random_tensor(second, {1, 3, 16, 5}, random, second == DataType::kUint8 ? 65 : -63,
                                   second == DataType::kUint8 ? 190 : 63);
    const Tensor fast = run(*make_matmul(group, KernelChoice::kFast), {a, b});
    const Tensor plain = run(*make_matmul(group, KernelChoice::kReference), {a, b});
    EXPECT_EQ(fast.shape(), (Shape{2, 3, 7, 5}));
    EXPECT_LE(differing(fast, plain), 2);
  }
}

}  // namespace
}  // namespace narrow::runtime
