#include "lib/onednn/pooling.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "lib/base/error.h"
#include "tests/onednn/convolution_reference.h"

namespace narrow::onednn::test {
namespace {

struct Window {
  Shape source;  // [N, C, H, W]
  PoolingSpec spec;
};

Window window(Shape source, int64_t kernel, int64_t stride, int64_t pad, int64_t pad_end, int64_t dilation = 1) {
  Window result{.source = std::move(source), .spec = {}};
  result.spec.kernel = {kernel, kernel};
  result.spec.strides = {stride, stride};
  result.spec.dilations = {dilation, dilation};
  result.spec.pads_begin = {pad, pad};
  result.spec.pads_end = {pad_end, pad_end};
  return result;
}

std::vector<Window> swept_windows() {
  return {window({1, 64, 16, 16}, 3, 2, 1, 1),  window({1, 96, 13, 13}, 3, 2, 0, 0), window({2, 17, 9, 9}, 2, 2, 0, 0),
          window({1, 32, 7, 7}, 7, 1, 0, 0),    window({1, 5, 8, 8}, 3, 1, 1, 1),    window({2, 1, 6, 6}, 3, 2, 0, 1),
          window({1, 16, 9, 9}, 3, 1, 2, 2, 2), window({1, 130, 6, 6}, 2, 1, 0, 0)};
}

// The real result of pooling, before any rounding; [N, C, H, W] order.
std::vector<double> pool(const Window& test, const Tensor& source, PoolingKind kind) {
  const Tensor real = to_float32(source);
  const auto& s = test.spec;
  const int64_t rows = test.source[2], columns = test.source[3];
  const auto size = [&](size_t axis) {
    const int64_t extent = (s.kernel[axis] - 1) * s.dilations[axis] + 1;
    return (test.source[axis + 2] + s.pads_begin[axis] + s.pads_end[axis] - extent) / s.strides[axis] + 1;
  };
  std::vector<double> result;
  for (int64_t plane = 0; plane < test.source[0] * test.source[1]; ++plane) {
    for (int64_t y = 0; y < size(0); ++y) {
      for (int64_t x = 0; x < size(1); ++x) {
        double sum = 0, largest = -INFINITY;
        int64_t count = 0;
        for (int64_t tap = 0; tap < s.kernel[0] * s.kernel[1]; ++tap) {
          const int64_t i = y * s.strides[0] - s.pads_begin[0] + tap / s.kernel[1] * s.dilations[0];
          const int64_t j = x * s.strides[1] - s.pads_begin[1] + tap % s.kernel[1] * s.dilations[1];
          if (i < 0 || i >= rows || j < 0 || j >= columns) continue;
          const double value = real.data<float>()[static_cast<size_t>((plane * rows + i) * columns + j)];
          sum += value;
          largest = std::max(largest, value);
          ++count;
        }
        if (kind == PoolingKind::kAverageIncludingPad) count = s.kernel[0] * s.kernel[1];
        result.push_back(kind == PoolingKind::kMax ? largest : sum / static_cast<double>(count));
      }
    }
  }
  return result;
}

void expect_matches(DataType type, PoolingKind kind) {
  for (Window test : swept_windows()) {
    test.spec.kind = kind;
    SCOPED_TRACE(shape_text(test.source));
    const Tensor source = random_tensor(type, test.source, 1);
    const Pooling pooling(test.spec);
    Workspace workspace;
    const Tensor result = to_layout(pooling.run(to_layout(source, Layout::kChannelsLast), workspace), Layout::kPlain);
    ASSERT_EQ(result.type(), type);
    const std::vector<double> expected = pool(test, source, kind);
    ASSERT_EQ(result.size(), static_cast<int64_t>(expected.size()));
    const Tensor actual = to_float32(result);
    for (size_t i = 0; i < expected.size(); ++i) {
      const double want = type == DataType::kFloat32 ? expected[i] : std::nearbyint(expected[i]);
      ASSERT_NEAR(actual.data<float>()[i], want, type == DataType::kFloat32 ? 1e-6 : 0)
          << "at " << i << " of " << expected[i] << " " << pooling.implementation();
    }
  }
}

TEST(Pooling, MaxOfEveryType) {
  for (const DataType type : {DataType::kFloat32, DataType::kUint8, DataType::kInt8}) {
    expect_matches(type, PoolingKind::kMax);
  }
}

TEST(Pooling, FloatAverage) {
  expect_matches(DataType::kFloat32, PoolingKind::kAverage);
  expect_matches(DataType::kFloat32, PoolingKind::kAverageIncludingPad);
}

TEST(Pooling, IntegerAverageRoundsHalfToEven) {
  for (const DataType type : {DataType::kUint8, DataType::kInt8}) {
    expect_matches(type, PoolingKind::kAverage);
    expect_matches(type, PoolingKind::kAverageIncludingPad);
  }
}

TEST(Pooling, TiesGoToTheEvenNeighbour) {
  PoolingSpec spec = window({}, 2, 2, 0, 0).spec;
  spec.kind = PoolingKind::kAverage;
  Workspace workspace;
  // Sums 2, 6, 10 and -2 of four.
  const Tensor source = Tensor::of<int8_t>({1, 1, 2, 8}, {1, 1, 3, 3, 5, 5, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0});
  const Tensor result = Pooling(spec).run(to_layout(source, Layout::kChannelsLast), workspace);
  EXPECT_EQ(std::vector<int>(result.data<int8_t>().begin(), result.data<int8_t>().end()),
            (std::vector<int>{0, 2, 2, 0}));
}

TEST(Pooling, OneAndThreeAxes) {
  Workspace workspace;
  PoolingSpec line{
      .kind = PoolingKind::kMax, .kernel = {2}, .strides = {2}, .dilations = {1}, .pads_begin = {0}, .pads_end = {0}};
  const Tensor values = Tensor::of<float>({1, 1, 4}, {1, 5, -2, -3});
  const Tensor largest = Pooling(line).run(to_layout(values, Layout::kChannelsLast), workspace);
  EXPECT_EQ(std::vector<float>(largest.data<float>().begin(), largest.data<float>().end()),
            (std::vector<float>{5, -2}));
  PoolingSpec volume{.kind = PoolingKind::kAverage,
                     .kernel = {2, 2, 2},
                     .strides = {1, 1, 1},
                     .dilations = {1, 1, 1},
                     .pads_begin = {0, 0, 0},
                     .pads_end = {0, 0, 0}};
  const Tensor cube = Tensor::of<float>({1, 1, 2, 2, 2}, {1, 2, 3, 4, 5, 6, 7, 8});
  const Tensor mean = Pooling(volume).run(to_layout(cube, Layout::kChannelsLast), workspace);
  EXPECT_EQ(mean.data<float>()[0], 4.5F);
}

TEST(Pooling, WrongShapesAreModelErrors) {
  Workspace workspace;
  const Pooling pooling(window({}, 3, 1, 0, 0).spec);
  EXPECT_THROW(pooling.run(Tensor(DataType::kFloat32, {1, 4, 2, 8}, Layout::kChannelsLast), workspace), Error);
  EXPECT_THROW(pooling.run(Tensor(DataType::kFloat32, {1, 4, 8}, Layout::kChannelsLast), workspace), Error);
}

}  // namespace
}  // namespace narrow::onednn::test
