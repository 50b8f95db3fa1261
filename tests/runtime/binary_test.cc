#include "lib/runtime/kernels/binary_kernel.h"

#include <gtest/gtest.h>

#include <random>

#include "lib/base/error.h"

namespace narrow::runtime {
namespace {

const BinaryStep kAdd{.op = BinaryOp::kAdd, .a = {0.1F, 3, false}, .b = {0.07F, -4, true}, .y = {0.2F, 90, false}};

Tensor random_tensor(DataType type, const Shape& shape, unsigned seed) {
  Tensor tensor(type, shape);
  std::mt19937 random(seed);
  for (int64_t i = 0; i < tensor.size(); ++i) tensor.mutable_bytes()[i] = static_cast<std::byte>(random() & 0xFF);
  return tensor;
}

Tensor run(KernelChoice choice, const Tensor& a, const Tensor& b, const BinaryStep& step = kAdd) {
  std::vector<Tensor> inputs{a, b};
  std::vector<Tensor> outputs(1);
  Workspace workspace;
  make_binary(step, choice)->run(inputs, outputs, workspace);
  return outputs[0];
}

std::vector<uint8_t> plain_values(const Tensor& tensor) {
  const Tensor plain = to_layout(tensor, Layout::kPlain);
  return {plain.data<uint8_t>().begin(), plain.data<uint8_t>().end()};
}

TEST(BinaryKernel, BroadcastsAsNumpyDoes) {
  // a [2,1] = real {0, 10}; b [3] = real {0.28, 7, 14}; sums / 0.2 + 90.
  const Tensor a = Tensor::of<uint8_t>({2, 1}, {3, 103});
  const Tensor b = Tensor::of<int8_t>({3}, {0, 96, 127});
  const Tensor y = run(KernelChoice::kFast, a, b);
  EXPECT_EQ(y.shape(), (Shape{2, 3}));
  EXPECT_EQ(plain_values(y), (std::vector<uint8_t>{91, 125, 136, 141, 175, 186}));
}

TEST(BinaryKernel, EveryLayoutAndBroadcastEqualsThePlainLoop) {
  const std::vector<std::pair<Shape, Shape>> cases = {
      {{2, 5, 3, 4}, {2, 5, 3, 4}}, {{2, 5, 3, 4}, {2, 5, 1, 1}}, {{1, 5, 1, 1}, {2, 5, 3, 4}},
      {{2, 5, 3, 4}, {5, 1, 1}},    {{2, 5, 3, 4}, {}},           {{2, 5, 3, 4}, {4}},
      {{2, 1, 3, 4}, {2, 5, 1, 4}}, {{2, 17, 9}, {1, 17, 1}},     {{2, 8, 9, 11}, {2, 8, 1, 1}},
      {{8, 1, 1}, {3, 8, 30, 7}}};
  for (const auto& [first, second] : cases) {
    const Tensor a = random_tensor(DataType::kUint8, first, 1);
    const Tensor b = random_tensor(DataType::kInt8, second, 2);
    const Tensor expected = run(KernelChoice::kReference, a, b);
    EXPECT_EQ(plain_values(run(KernelChoice::kFast, a, b)), plain_values(expected));
    const auto last = [](const Tensor& t, size_t rank) {
      return t.rank() == rank ? to_layout(t, Layout::kChannelsLast) : t;
    };
    const size_t rank = std::max(first.size(), second.size());
    const Tensor y = run(KernelChoice::kFast, last(a, rank), last(b, rank));
    EXPECT_EQ(y.layout(), Layout::kChannelsLast);
    EXPECT_EQ(plain_values(y), plain_values(expected)) << shape_text(first) << shape_text(second);
  }
}

// The integers of onnxruntime 1.31.1, next to a tie: it adds a repeated element of the first operand first, otherwise
// the second operand.
TEST(BinaryKernel, AddsARepeatedOperandFirst) {
  const BinaryStep step{BinaryOp::kAdd, {0.48F, 34, false}, {0.165F, 52, false}, {0.926F, 78, false}};
  const Tensor one = Tensor::of<uint8_t>({1, 1}, {2});
  const Tensor two = Tensor::of<uint8_t>({1, 2}, {2, 2});
  const Tensor b = Tensor::of<uint8_t>({1, 2}, {103, 103});
  for (const KernelChoice choice : {KernelChoice::kFast, KernelChoice::kReference}) {
    EXPECT_EQ(plain_values(run(choice, two, b, step)), (std::vector<uint8_t>{71, 71}));
    EXPECT_EQ(plain_values(run(choice, one, b, step)), (std::vector<uint8_t>{70, 70}));
  }
}

TEST(BinaryKernel, RefusesShapesThatDoNotBroadcast) {
  EXPECT_THROW(
      run(KernelChoice::kFast, random_tensor(DataType::kUint8, {2, 3}, 1), random_tensor(DataType::kInt8, {2}, 1)),
      Error);
}

}  // namespace
}  // namespace narrow::runtime
