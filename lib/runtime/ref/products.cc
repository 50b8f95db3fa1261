#include "lib/runtime/ref/products.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "lib/base/error.h"
#include "lib/base/parallel.h"

namespace narrow::runtime::ref {
namespace {

// Elements of an 8-bit tensor, whatever its sign.
class Integers {
 public:
  explicit Integers(const Tensor& tensor)
      : bytes_(reinterpret_cast<const uint8_t*>(tensor.bytes())), flip_(tensor.type() == DataType::kInt8 ? 128 : 0) {}
  int32_t operator[](int64_t i) const { return flip_ == 0 ? bytes_[i] : static_cast<int8_t>(bytes_[i]); }

 private:
  const uint8_t* bytes_;
  int flip_;
};

// Writes accumulators as the group's destination wants them. float64 keeps all but true ties on their side.
class Finish {
 public:
  Finish(const ProductGroup& group, Tensor& result) : group_(group), bytes_(result.mutable_bytes()) {}

  void store(int64_t at, int64_t channel, int32_t accumulator) const {
    const auto pick = [&](const auto& values) {
      return values.size() == 1 ? values[0] : values[static_cast<size_t>(channel)];
    };
    const double scale = static_cast<double>(group_.requantize.source_scale) * pick(group_.requantize.weight_scales);
    double real = accumulator * scale;
    if (group_.bias.defined()) real += pick(group_.bias.data<float>());
    real = std::clamp(real, static_cast<double>(group_.clamp.low), static_cast<double>(group_.clamp.high));
    if (group_.destination == DataType::kFloat32) {
      reinterpret_cast<float*>(bytes_)[at] = static_cast<float>(real);
      return;
    }
    const double q =
        std::nearbyint(real / group_.requantize.destination_scale) + group_.requantize.destination_zero_point;
    const bool is_signed = group_.destination == DataType::kInt8;
    const double low = is_signed ? std::numeric_limits<int8_t>::min() : 0;
    const double high = is_signed ? std::numeric_limits<int8_t>::max() : std::numeric_limits<uint8_t>::max();
    reinterpret_cast<uint8_t*>(bytes_)[at] =
        static_cast<uint8_t>(static_cast<int32_t>(std::clamp(q, low, high)) & 0xFF);
  }

 private:
  const ProductGroup& group_;
  std::byte* bytes_;
};

int32_t zero_point(const ProductGroup& group, int64_t channel) {
  if (group.weight_zero_points.empty()) return 0;
  return group.weight_zero_points.size() == 1 ? group.weight_zero_points[0]
                                              : group.weight_zero_points[static_cast<size_t>(channel)];
}

// A convolution over three spatial axes; missing ones have length 1.
struct Geometry {
  std::array<int64_t, 3> in{1, 1, 1}, out{1, 1, 1}, kernel{1, 1, 1}, stride{1, 1, 1}, dilation{1, 1, 1}, pad{0, 0, 0};
};

Geometry geometry_of(const exec::Window& window, const Shape& source) {
  Geometry g;
  const size_t axes = window.kernel.size();
  for (size_t i = 0; i < axes; ++i) {
    const size_t at = 3 - axes + i;
    g.in[at] = source[2 + i];
    g.out[at] = window.output[i];
    g.kernel[at] = window.kernel[i];
    g.stride[at] = window.strides[i];
    g.dilation[at] = window.dilations[i];
    g.pad[at] = window.pads_begin[i];
  }
  return g;
}

// The elements from `start` on, less their zero point.
class Centred {
 public:
  Centred(const Integers& elements, int64_t start, int32_t zero) : elements_(elements), start_(start), zero_(zero) {}
  int32_t operator[](int64_t i) const { return elements_[start_ + i] - zero_; }

 private:
  const Integers& elements_;
  int64_t start_;
  int32_t zero_;
};

// Sum over the window of output position `o` in one input channel.
int32_t window_sum(const Geometry& g, const Centred& x, const Centred& w, const std::array<int64_t, 3>& o) {
  int32_t sum = 0;
  for (int64_t i = 0; i < g.kernel[0]; ++i) {
    const int64_t d = o[0] * g.stride[0] - g.pad[0] + i * g.dilation[0];
    if (d < 0 || d >= g.in[0]) continue;
    for (int64_t j = 0; j < g.kernel[1]; ++j) {
      const int64_t h = o[1] * g.stride[1] - g.pad[1] + j * g.dilation[1];
      if (h < 0 || h >= g.in[1]) continue;
      for (int64_t k = 0; k < g.kernel[2]; ++k) {
        const int64_t v = o[2] * g.stride[2] - g.pad[2] + k * g.dilation[2];
        if (v < 0 || v >= g.in[2]) continue;
        sum += x[(d * g.in[1] + h) * g.in[2] + v] * w[(i * g.kernel[1] + j) * g.kernel[2] + k];
      }
    }
  }
  return sum;
}

Shape batch_of(const Shape& shape) {
  return {shape.begin(), shape.end() - 2};
}

Shape broadcast_batch(const Shape& a, const Shape& b) {
  Shape result(std::max(a.size(), b.size()), 1);
  for (size_t i = 0; i < result.size(); ++i) {
    const int64_t x = i < a.size() ? a[a.size() - 1 - i] : 1;
    const int64_t y = i < b.size() ? b[b.size() - 1 - i] : 1;
    if (x != y && x != 1 && y != 1) throw Error(ErrorKind::kModel, "batches of a matrix product do not broadcast");
    result[result.size() - 1 - i] = x == 1 ? y : x;
  }
  return result;
}

// Index of the operand's matrix for matrix `index` of the broadcast batch.
int64_t matrix_index(int64_t index, const Shape& result, const Shape& operand) {
  int64_t found = 0;
  int64_t stride = 1;
  for (size_t i = 0; i < result.size(); ++i) {
    const int64_t size = result[result.size() - 1 - i];
    if (i < operand.size()) {
      const int64_t own = operand[operand.size() - 1 - i];
      found += own == 1 ? 0 : index % size * stride;
      stride *= own;
    }
    index /= size;
  }
  return found;
}

}  // namespace

Tensor convolve(const Tensor& source, const ConvolutionGroup& group) {
  const Tensor plain = to_layout(source, Layout::kPlain);
  const Shape& kernel = group.weights.shape();
  const exec::Window window =
      exec::resolve_window(group.window, exec::spatial_dimensions(plain.shape()), exec::spatial_dimensions(kernel));
  const int64_t channels = plain.shape()[1];
  if (kernel[1] * group.groups != channels)
    throw Error(ErrorKind::kModel, "{} channels for weights {}", channels, shape_text(kernel));
  Shape shape{plain.shape()[0], kernel[0]};
  shape.insert(shape.end(), window.output.begin(), window.output.end());
  Tensor result(group.destination, shape);
  const Geometry g = geometry_of(window, plain.shape());
  const Integers x(plain);
  const Integers w(group.weights);
  const Finish finish(group, result);
  const int64_t x_area = g.in[0] * g.in[1] * g.in[2];
  const int64_t w_area = g.kernel[0] * g.kernel[1] * g.kernel[2];
  const int64_t y_area = g.out[0] * g.out[1] * g.out[2];
  parallel_for(plain.shape()[0] * kernel[0], 1, [&](int64_t begin, int64_t end) {
    for (int64_t plane = begin; plane < end; ++plane) {
      const int64_t n = plane / kernel[0];
      const int64_t m = plane % kernel[0];
      const int64_t first = m / (kernel[0] / group.groups) * kernel[1];
      for (int64_t at = 0; at < y_area; ++at) {
        const std::array<int64_t, 3> o{at / (g.out[1] * g.out[2]), at / g.out[2] % g.out[1], at % g.out[2]};
        int32_t sum = 0;
        for (int64_t c = 0; c < kernel[1]; ++c) {
          const Centred image(x, (n * channels + first + c) * x_area, group.requantize.source_zero_point);
          const Centred filter(w, (m * kernel[1] + c) * w_area, zero_point(group, m));
          sum += window_sum(g, image, filter, o);
        }
        finish.store(plane * y_area + at, m, sum);
      }
    }
  });
  return result;
}

Tensor multiply(const Tensor& a, const Tensor& b_or_none, const MatmulGroup& group) {
  const Tensor& b = group.weights.defined() ? group.weights : b_or_none;
  const Tensor left = a.rank() == 1 ? a.reshaped({1, a.size()}) : a;
  const Tensor right = b.rank() == 1 ? b.reshaped({b.size(), 1}) : b;
  const auto dimension = [](const Tensor& t, size_t back) { return t.shape()[t.rank() - back]; };
  const int64_t rows = dimension(left, group.transpose_a ? 1 : 2);
  const int64_t depth = dimension(left, group.transpose_a ? 2 : 1);
  const int64_t columns = dimension(right, group.transpose_b ? 2 : 1);
  if (dimension(right, group.transpose_b ? 1 : 2) != depth) {
    throw Error(ErrorKind::kModel, "matrices of shapes {} and {} do not multiply", shape_text(a.shape()),
                shape_text(b.shape()));
  }
  const Shape batch = broadcast_batch(batch_of(left.shape()), batch_of(right.shape()));
  Shape shape = batch;
  if (a.rank() > 1) shape.push_back(rows);
  if (b.rank() > 1) shape.push_back(columns);
  Tensor result(group.destination, shape);
  const Integers x(left);
  const Integers w(right);
  const Finish finish(group, result);
  parallel_for(element_count(batch) * rows, 1, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      const int64_t matrix = row / rows;
      const int64_t i = row % rows;
      const int64_t x_at = matrix_index(matrix, batch, batch_of(left.shape())) * rows * depth;
      const int64_t w_at = matrix_index(matrix, batch, batch_of(right.shape())) * depth * columns;
      for (int64_t j = 0; j < columns; ++j) {
        int32_t sum = 0;
        for (int64_t k = 0; k < depth; ++k) {
          sum += (x[x_at + (group.transpose_a ? k * rows + i : i * depth + k)] - group.requantize.source_zero_point) *
                 (w[w_at + (group.transpose_b ? j * depth + k : k * columns + j)] - zero_point(group, j));
        }
        finish.store(row * columns + j, j, sum);
      }
    }
  });
  return result;
}

}  // namespace narrow::runtime::ref
