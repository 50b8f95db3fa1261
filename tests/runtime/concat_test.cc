#include "lib/runtime/kernels/concat_kernel.h"

#include <gtest/gtest.h>

#include "lib/base/error.h"
#include "lib/runtime/kernels/linear_kernels.h"

namespace narrow::runtime {
namespace {

Tensor run(ConcatStep step, std::vector<Tensor> inputs) {
  std::vector<Tensor> outputs(1);
  Workspace workspace;
  make_concat(std::move(step))->run(inputs, outputs, workspace);
  return to_layout(outputs[0], Layout::kPlain);
}

std::vector<uint8_t> values(const Tensor& tensor) {
  return {tensor.data<uint8_t>().begin(), tensor.data<uint8_t>().end()};
}

TEST(Concat, JoinsEveryAxisInBothOrders) {
  const Tensor a = Tensor::of<uint8_t>({1, 2, 2, 1}, {1, 2, 3, 4});
  const Tensor b = Tensor::of<uint8_t>({1, 2, 2, 1}, {5, 6, 7, 8});
  for (const Layout layout : {Layout::kPlain, Layout::kChannelsLast}) {
    const std::vector<Tensor> inputs{to_layout(a, layout), to_layout(b, layout)};
    const auto joined = [&](int64_t axis) {
      return values(run({.axis = axis, .result = DataType::kUint8, .tables = {{}, {}}}, inputs));
    };
    EXPECT_EQ(joined(0), (std::vector<uint8_t>{1, 2, 3, 4, 5, 6, 7, 8}));
    EXPECT_EQ(joined(1), (std::vector<uint8_t>{1, 2, 3, 4, 5, 6, 7, 8}));
    EXPECT_EQ(joined(2), (std::vector<uint8_t>{1, 2, 5, 6, 3, 4, 7, 8}));
    EXPECT_EQ(joined(-1), (std::vector<uint8_t>{1, 5, 2, 6, 3, 7, 4, 8}));
  }
}

TEST(Concat, RequantizesAnInputOfOtherParameters) {
  const Table doubled = make_requantize_table({1.0F, 0, false}, {0.5F, 1, false});
  const Tensor y = run({.axis = 0, .result = DataType::kUint8, .tables = {std::nullopt, doubled}},
                       {Tensor::of<uint8_t>({2}, {7, 8}), Tensor::of<uint8_t>({2}, {3, 200})});
  EXPECT_EQ(values(y), (std::vector<uint8_t>{7, 8, 7, 255}));
}

TEST(Concat, RefusesShapesThatDoNotJoin) {
  EXPECT_THROW(run({.axis = 0, .result = DataType::kUint8, .tables = {{}, {}}},
                   {Tensor(DataType::kUint8, {2, 3}), Tensor(DataType::kUint8, {2, 4})}),
               Error);
}

}  // namespace
}  // namespace narrow::runtime
