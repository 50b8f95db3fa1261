// The integer operators of ONNX, by plain loops: 32-bit sums and, for QLinear ones, requantization in float32.
#include <cmath>

#include "lib/exec/kernels/families.h"
#include "lib/exec/kernels/support.h"
#include "lib/exec/ref/convolution.h"
#include "lib/exec/ref/matmul.h"
#include "lib/exec/window.h"

namespace narrow::exec {
namespace {

using BytePair = TypeList<int8_t, uint8_t>;

std::vector<int32_t> zero_points(const Tensor& tensor) {
  if (!tensor.defined()) return {0};
  if (tensor.size() == 0) throw Error(ErrorKind::kModel, "a zero point without elements");
  std::vector<int32_t> result;
  for (const int64_t value : int_list(tensor)) result.push_back(static_cast<int32_t>(value));
  return result;
}

// `parameter` of a whole tensor: `what` it is.
void expect_one(const Tensor& parameter, std::string_view what) {
  if (parameter.size() == 1) return;
  throw Error(parameter.size() == 0 ? ErrorKind::kModel : ErrorKind::kUnsupported, "{} of shape {}, expected one", what,
              shape_text(parameter.shape()));
}

Tensor integer_matmul(const Tensor& a, const Tensor& b, const Tensor& a_zero, const Tensor& b_zero,
                      Workspace& workspace) {
  const MatmulGeometry geometry = matmul_geometry(a.shape(), b.shape());
  const std::vector<int32_t> left = zero_points(a_zero);
  const std::vector<int32_t> right = zero_points(b_zero);
  if ((left.size() != 1 && static_cast<int64_t>(left.size()) != geometry.rows) ||
      (right.size() != 1 && static_cast<int64_t>(right.size()) != geometry.columns)) {
    throw Error(ErrorKind::kUnsupported, "zero points that are neither one, by row of A nor by column of B");
  }
  Tensor sums = workspace.allocate(DataType::kInt32, geometry.result);
  dispatch_type(BytePair(), a.type(), [&]<class A>() {
    dispatch_type(BytePair(), b.type(), [&]<class B>() {
      multiply<A, B, int32_t>(geometry, a.data<A>().data(), b.data<B>().data(), left, right,
                              sums.mutable_data<int32_t>().data());
    });
  });
  return sums;
}

struct IntegerConvolution {
  WindowAttributes attributes;
  int64_t groups = 1;

  Tensor run(const Tensor& x, const Tensor& w, const Tensor& x_zero, const Tensor& w_zero, Workspace& workspace) const {
    if (x.rank() != w.rank()) throw Error(ErrorKind::kModel, "input and weight of different rank");
    const Window window = resolve_window(attributes, spatial_dimensions(x.shape()), spatial_dimensions(w.shape()));
    Shape shape{x.shape()[0], w.shape()[0]};
    shape.insert(shape.end(), window.output.begin(), window.output.end());
    Tensor sums = workspace.allocate(DataType::kInt32, shape);
    if (x_zero.defined()) expect_one(x_zero, "zero point of the input");
    const std::vector<int32_t> zeros = zero_points(w_zero);
    if (zeros.size() != 1 && static_cast<int64_t>(zeros.size()) != w.shape()[0]) {
      throw Error(ErrorKind::kModel, "{} zero points for {} filters", zeros.size(), w.shape()[0]);
    }
    dispatch_type(BytePair(), x.type(), [&]<class X>() {
      dispatch_type(BytePair(), w.type(), [&]<class W>() {
        convolve<X, W, int32_t>(x, w, window, groups, zero_points(x_zero)[0], zeros,
                                sums.mutable_data<int32_t>().data());
      });
    });
    return sums;
  }
};

IntegerConvolution integer_convolution(const onnx::NodeProto& node) {
  return {.attributes = window_attributes(node), .groups = group_count(node)};
}

// Where channels lie in the sums: that of an element is index / inner % count.
struct Channels {
  int64_t count = 1;
  int64_t inner = 1;
};

// saturate(round(sum * a_scale * b_scale[channel] / y_scale) + y_zero).
Tensor requantized(const Tensor& sums, const Tensor& a_scale, const Tensor& b_scale, const Tensor& y_scale,
                   const Tensor& y_zero, Channels channels, Workspace& workspace) {
  expect_one(a_scale, "scale of the first operand");
  expect_one(y_scale, "scale of the result");
  expect_one(y_zero, "zero point of the result");
  if (b_scale.size() != 1 && b_scale.size() != channels.count) {
    throw Error(b_scale.rank() < 2 ? ErrorKind::kModel : ErrorKind::kUnsupported, "scales of shape {} for {} channels",
                shape_text(b_scale.shape()), channels.count);
  }
  Tensor result = workspace.allocate(y_zero.type(), sums.shape());
  const auto from = sums.data<int32_t>();
  const std::array<Tensor, 3> scales{to_float32(a_scale), to_float32(b_scale), to_float32(y_scale)};
  const auto right = scales[1].data<float>();
  dispatch_type(BytePair(), y_zero.type(), [&]<class Y>() {
    const auto to = result.mutable_data<Y>();
    const auto zero = static_cast<float>(y_zero.data<Y>()[0]);
    for (size_t i = 0; i < to.size(); ++i) {
      const size_t channel = i / static_cast<size_t>(channels.inner) % right.size();
      const float factor = scales[0].data<float>()[0] * right[channel] / scales[2].data<float>()[0];
      const float value = std::nearbyint(static_cast<float>(from[i]) * factor) + zero;
      to[i] = static_cast<Y>(std::clamp(value, static_cast<float>(std::numeric_limits<Y>::lowest()),
                                        static_cast<float>(std::numeric_limits<Y>::max())));
    }
  });
  return result;
}

const Tensor& optional(std::span<Tensor> inputs, size_t index) {
  static const Tensor absent;
  return index < inputs.size() ? inputs[index] : absent;
}

}  // namespace

KernelPtr make_matmul_integer(const KernelRequest& /*request*/) {
  return kernel_of([](std::span<Tensor> inputs, std::span<Tensor> outputs, Workspace& workspace) {
    outputs[0] =
        integer_matmul(required(inputs, 0), required(inputs, 1), optional(inputs, 2), optional(inputs, 3), workspace);
  });
}

KernelPtr make_conv_integer(const KernelRequest& request) {
  return kernel_of([convolution = integer_convolution(*request.node)](std::span<Tensor> inputs,
                                                                      std::span<Tensor> outputs, Workspace& workspace) {
    outputs[0] =
        convolution.run(required(inputs, 0), required(inputs, 1), optional(inputs, 2), optional(inputs, 3), workspace);
  });
}

KernelPtr make_qlinear_conv(const KernelRequest& request) {
  return kernel_of([convolution = integer_convolution(*request.node)](std::span<Tensor> inputs,
                                                                      std::span<Tensor> outputs, Workspace& workspace) {
    Tensor sums =
        convolution.run(required(inputs, 0), required(inputs, 3), required(inputs, 2), required(inputs, 5), workspace);
    const int64_t channels = sums.shape()[1];
    const int64_t spatial = sums.size() / std::max<int64_t>(1, sums.shape()[0] * channels);
    if (const Tensor& bias = optional(inputs, 8); bias.defined()) {
      if (bias.size() != channels) {
        throw Error(ErrorKind::kModel, "bias of shape {} for {} channels", shape_text(bias.shape()), channels);
      }
      const auto to = sums.mutable_data<int32_t>();
      for (size_t i = 0; i < to.size(); ++i) {
        to[i] += bias.data<int32_t>()[i / static_cast<size_t>(spatial) % static_cast<size_t>(channels)];
      }
    }
    outputs[0] = requantized(sums, required(inputs, 1), required(inputs, 4), required(inputs, 6), required(inputs, 7),
                             {.count = channels, .inner = spatial}, workspace);
  });
}

KernelPtr make_qlinear_matmul(const KernelRequest& /*request*/) {
  return kernel_of([](std::span<Tensor> inputs, std::span<Tensor> outputs, Workspace& workspace) {
    const Tensor sums =
        integer_matmul(required(inputs, 0), required(inputs, 3), required(inputs, 2), required(inputs, 5), workspace);
    outputs[0] = requantized(sums, required(inputs, 1), required(inputs, 4), required(inputs, 6), required(inputs, 7),
                             {.count = inputs[3].rank() < 2 ? 1 : inputs[3].shape().back()}, workspace);
  });
}

}  // namespace narrow::exec
