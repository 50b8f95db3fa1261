#include <gtest/gtest.h>

#include <random>

#include "lib/base/error.h"
#include "lib/runtime/kernels/pool_kernels.h"

namespace narrow::runtime {
namespace {

Tensor run(const exec::Kernel& kernel, const Tensor& x) {
  std::vector<Tensor> inputs{to_layout(x, Layout::kChannelsLast)};
  std::vector<Tensor> outputs(1);
  Workspace workspace;
  kernel.run(inputs, outputs, workspace);
  return to_layout(outputs[0], Layout::kPlain);
}

template <class T>
std::vector<int> values(const Tensor& tensor) {
  return {tensor.data<T>().begin(), tensor.data<T>().end()};
}

exec::WindowAttributes window3x3(int64_t pad) {
  return {.kernel = {3, 3}, .strides = {}, .dilations = {}, .pads = {pad, pad, pad, pad}};
}

TEST(AveragePool, GlobalSumsThenScales) {
  // Channel 0: reals 0,1,2,4 -> 1.75 / 0.5 + 3 = 6.5 -> 3 + round_half_even(3.5) = 7. Channel 1: 4 x -1 -> -1/.5 + 3
  // = 1.
  const auto kernel =
      make_average_pool({.window = {}, .count_pad = false, .x = {1.0F, 2, true}, .y = {0.5F, 3, false}});
  const Tensor y = run(*kernel, Tensor::of<int8_t>({1, 2, 2, 2}, {2, 3, 4, 6, 1, 1, 1, 1}));
  EXPECT_EQ(y.shape(), (Shape{1, 2, 1, 1}));
  EXPECT_EQ(values<uint8_t>(y), (std::vector<int>{7, 1}));
}

TEST(AveragePool, PaddingCountsOnlyIfAsked) {
  const Tensor x = Tensor::of<uint8_t>({1, 1, 2, 2}, {19, 19, 19, 19});  // real 9, zero point 10
  const Affine8 params{1.0F, 10, false};
  const auto without = make_average_pool({.window = window3x3(1), .count_pad = false, .x = params, .y = params});
  EXPECT_EQ(values<uint8_t>(run(*without, x)), (std::vector<int>{19, 19, 19, 19}));
  const auto with = make_average_pool({.window = window3x3(1), .count_pad = true, .x = params, .y = params});
  EXPECT_EQ(values<uint8_t>(run(*with, x)), (std::vector<int>{14, 14, 14, 14}));  // 4 * 9 / 9 = 4
}

TEST(AveragePool, CeilModeCountsNoPositionBeyondTheDeclaredPadding) {
  exec::WindowAttributes window{.kernel = {2, 2}, .strides = {2, 2}, .dilations = {1, 1}, .pads = {0, 0, 0, 0}};
  window.ceil_mode = true;
  const Affine8 params{1.0F, 0, false};
  const auto kernel = make_average_pool({.window = window, .count_pad = true, .x = params, .y = params});
  const Tensor x = Tensor::of<uint8_t>({1, 1, 3, 3}, {0, 2, 8, 4, 6, 12, 20, 22, 50});
  EXPECT_EQ(values<uint8_t>(run(*kernel, x)), (std::vector<int>{3, 10, 21, 50}));
}

TEST(MaxPool, WindowsThatCanNotBeAreRefused) {
  const Tensor x = Tensor::of<uint8_t>({1, 1, 2, 2}, {1, 2, 3, 4});
  for (const KernelChoice choice : {KernelChoice::kFast, KernelChoice::kReference}) {
    EXPECT_THROW(run(*make_max_pool({.kernel = {3, 3}}, DataType::kUint8, choice), x), Error);
    EXPECT_THROW(run(*make_max_pool({.kernel = {2, 2}, .strides = {1}}, DataType::kUint8, choice), x), Error);
    EXPECT_THROW(run(*make_max_pool({.kernel = {2, 2}, .dilations = {0, 1}}, DataType::kUint8, choice), x), Error);
  }
}

TEST(AveragePool, RefusesMoreThanThreeSpatialAxes) {
  const Affine8 params{1.0F, 0, false};
  const auto kernel = make_average_pool({.x = params, .y = params});
  std::vector<Tensor> inputs{Tensor::of<uint8_t>({1, 1, 1, 1, 1, 1}, {7})};
  std::vector<Tensor> outputs(1);
  Workspace workspace;
  EXPECT_THROW(kernel->run(inputs, outputs, workspace), Error);
}

TEST(MaxPool, FastEqualsPlainOverShapes) {
  std::mt19937 random(5);
  for (const DataType type : {DataType::kUint8, DataType::kInt8}) {
    for (const bool ceil_mode : {false, true}) {
      for (const int64_t channels : {1, 3, 16, 33}) {
        exec::WindowAttributes window{.kernel = {3, 2}, .strides = {2, 2}, .dilations = {1, 1}, .pads = {1, 0, 1, 1}};
        window.ceil_mode = ceil_mode;
        Tensor x(type, {2, channels, 8, 7});
        for (int64_t i = 0; i < x.size(); ++i) x.mutable_bytes()[i] = static_cast<std::byte>(random() & 0xFF);
        const Tensor fast = run(*make_max_pool(window, type, KernelChoice::kFast), x);
        const Tensor plain = run(*make_max_pool(window, type, KernelChoice::kReference), x);
        ASSERT_EQ(fast.shape(), plain.shape());
        for (int64_t i = 0; i < fast.size(); ++i) ASSERT_EQ(fast.bytes()[i], plain.bytes()[i]);
      }
    }
  }
}

TEST(MaxPool, SignedValuesAndPadding) {
  const auto kernel = make_max_pool(window3x3(1), DataType::kInt8, KernelChoice::kReference);
  const Tensor y = run(*kernel, Tensor::of<int8_t>({1, 1, 2, 2}, {-5, -7, -9, -100}));
  EXPECT_EQ(values<int8_t>(y), (std::vector<int>{-5, -5, -5, -5}));
}

}  // namespace
}  // namespace narrow::runtime
