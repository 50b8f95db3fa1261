#include "lib/runtime/kernels/softmax_kernel.h"

#include <gtest/gtest.h>

namespace narrow::runtime {
namespace {

Tensor run(const SoftmaxStep& step, const Tensor& x) {
  std::vector<Tensor> inputs{x};
  std::vector<Tensor> outputs(1);
  Workspace workspace;
  make_softmax(step)->run(inputs, outputs, workspace);
  return outputs[0];
}

const Affine8 kIn{0.5F, 0, true};
const Affine8 kOut{1.0F / 256, 0, false};

TEST(Softmax, LastAxis) {
  // numpy: softmax([0, 1, 2]) * 256 = 23.05, 62.65, 170.30; softmax([-64, -64, 63.5]) = 0, 0, 1 (saturates at 255).
  const Tensor y = run({.axis = -1, .flatten_tail = false, .x = kIn, .y = kOut},
                       Tensor::of<int8_t>({2, 3}, {0, 2, 4, -128, -128, 127}));
  EXPECT_EQ(std::vector<uint8_t>(y.data<uint8_t>().begin(), y.data<uint8_t>().end()),
            (std::vector<uint8_t>{23, 63, 170, 0, 0, 255}));
}

TEST(Softmax, FirstAxisAndFlattenedTail) {
  const Tensor x = Tensor::of<int8_t>({2, 2}, {0, 0, 2, 0});
  // Columns: [0, 1] -> .2689, .7311 and [0, 0] -> .5, .5.
  const Tensor columns = run({.axis = 0, .flatten_tail = false, .x = kIn, .y = kOut}, x);
  EXPECT_EQ(std::vector<uint8_t>(columns.data<uint8_t>().begin(), columns.data<uint8_t>().end()),
            (std::vector<uint8_t>{69, 128, 187, 128}));
  // All four: e / (3 + e) = .4754, 1 / (3 + e) = .1749.
  const Tensor all = run({.axis = 0, .flatten_tail = true, .x = kIn, .y = kOut}, x);
  EXPECT_EQ(std::vector<uint8_t>(all.data<uint8_t>().begin(), all.data<uint8_t>().end()),
            (std::vector<uint8_t>{45, 45, 122, 45}));
}

}  // namespace
}  // namespace narrow::runtime
