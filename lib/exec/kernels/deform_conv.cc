// DeformConv in two dimensions: the sampled columns of an image, then one matrix product a group.
#include <cmath>

#include "lib/exec/kernels/families.h"
#include "lib/exec/kernels/gemm.h"
#include "lib/exec/kernels/support.h"
#include "lib/exec/window.h"

namespace narrow::exec {
namespace {

struct DeformOperands {
  const Tensor& x;        // [N, C, H, W]
  const Tensor& weights;  // [M, C / groups, KH, KW]
  const Tensor& offset;   // [N, offset_groups * KH * KW * 2, OH, OW]: rows, then columns
  const Tensor& bias;     // [M], or undefined
  const Tensor& mask;     // [N, offset_groups * KH * KW, OH, OW], or undefined
};

// Bilinear, with zeros outside.
template <class T>
double sampled(const T* plane, int64_t height, int64_t width, double y, double x) {
  if (!(y > -1 && y < static_cast<double>(height) && x > -1 && x < static_cast<double>(width))) return 0;
  const auto top = static_cast<int64_t>(std::floor(y));
  const auto left = static_cast<int64_t>(std::floor(x));
  const double down = y - static_cast<double>(top);
  const double across = x - static_cast<double>(left);
  const auto pixel = [&](int64_t row, int64_t column) {
    const bool inside = row >= 0 && row < height && column >= 0 && column < width;
    return inside ? static_cast<double>(plane[row * width + column]) : 0.0;
  };
  return (1 - down) * ((1 - across) * pixel(top, left) + across * pixel(top, left + 1)) +
         down * ((1 - across) * pixel(top + 1, left) + across * pixel(top + 1, left + 1));
}

// One image as [C * KH * KW, OH * OW]: what each weight is multiplied with at each output pixel.
template <class T>
void sample_columns(const DeformOperands& in, const Window& window, int64_t image, int64_t offset_groups, T* to) {
  const int64_t channels = in.x.shape()[1];
  const int64_t height = in.x.shape()[2];
  const int64_t width = in.x.shape()[3];
  const int64_t taps = window.kernel[0] * window.kernel[1];
  const int64_t pixels = window.output[0] * window.output[1];
  parallel_for(channels * taps, 1, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      const int64_t c = row / taps;
      const int64_t tap = row % taps;
      const int64_t entry = (image * offset_groups + c / (channels / offset_groups)) * taps + tap;
      const T* plane = in.x.data<T>().data() + (image * channels + c) * height * width;
      const T* shift = in.offset.data<T>().data() + entry * 2 * pixels;
      const T* factor = in.mask.defined() ? in.mask.data<T>().data() + entry * pixels : nullptr;
      const int64_t first_y = tap / window.kernel[1] * window.dilations[0] - window.pads_begin[0];
      const int64_t first_x = tap % window.kernel[1] * window.dilations[1] - window.pads_begin[1];
      for (int64_t p = 0; p < pixels; ++p) {
        const int64_t y = p / window.output[1] * window.strides[0] + first_y;
        const int64_t x = p % window.output[1] * window.strides[1] + first_x;
        const double value = sampled(plane, height, width, static_cast<double>(y) + static_cast<double>(shift[p]),
                                     static_cast<double>(x) + static_cast<double>(shift[pixels + p]));
        to[row * pixels + p] = static_cast<T>(factor == nullptr ? value : value * static_cast<double>(factor[p]));
      }
    }
  });
}

struct DeformSpec {
  WindowAttributes attributes;
  int64_t groups = 1;
  int64_t offset_groups = 1;
};

Window checked_window(const DeformSpec& spec, const DeformOperands& in) {
  if (in.x.rank() != 4 || in.weights.rank() != 4) {
    throw Error(ErrorKind::kUnsupported, "X {}: only images of two dimensions", shape_text(in.x.shape()));
  }
  const Window window =
      resolve_window(spec.attributes, spatial_dimensions(in.x.shape()), spatial_dimensions(in.weights.shape()));
  const int64_t channels = in.x.shape()[1];
  const int64_t entries = spec.offset_groups * window.kernel[0] * window.kernel[1];
  const Shape mask{in.x.shape()[0], entries, window.output[0], window.output[1]};
  Shape offset = mask;
  offset[1] *= 2;
  const bool fits = channels == in.weights.shape()[1] * spec.groups && in.weights.shape()[0] % spec.groups == 0 &&
                    channels % spec.offset_groups == 0 && in.offset.shape() == offset &&
                    (!in.mask.defined() || in.mask.shape() == mask) &&
                    (!in.bias.defined() || in.bias.size() == in.weights.shape()[0]);
  if (!fits) {
    throw Error(ErrorKind::kModel, "X {}, W {} and offset {} do not fit", shape_text(in.x.shape()),
                shape_text(in.weights.shape()), shape_text(in.offset.shape()));
  }
  return window;
}

template <class T>
void add_bias(const Tensor& bias, int64_t filters, int64_t pixels, Tensor& y) {
  const auto to = y.mutable_data<T>();
  for (size_t i = 0; i < to.size(); ++i) {
    to[i] += bias.data<T>()[i / static_cast<size_t>(pixels) % static_cast<size_t>(filters)];
  }
}

}  // namespace

KernelPtr make_deform_conv(const KernelRequest& request) {
  const DeformSpec spec{.attributes = window_attributes(*request.node),
                        .groups = group_count(*request.node),
                        .offset_groups = graph::int_attribute(*request.node, "offset_group", 1)};
  if (spec.offset_groups < 1) throw Error(ErrorKind::kModel, "offsets in {} groups", spec.offset_groups);
  const std::shared_ptr<const onednn::Matmul> fast = std::make_shared<onednn::Matmul>(onednn::MatmulSpec());
  return kernel_of(
      [=, weights = Operand(request, 1), offset = Operand(request, 2), bias = Operand(request, 3),
       mask = Operand(request, 4)](std::span<Tensor> inputs, std::span<Tensor> outputs, Workspace& workspace) {
        const DeformOperands in{.x = required(inputs, 0),
                                .weights = weights.required_in(inputs),
                                .offset = offset.required_in(inputs),
                                .bias = bias.in(inputs),
                                .mask = mask.in(inputs)};
        const Window window = checked_window(spec, in);
        const int64_t filters = in.weights.shape()[0];
        const int64_t depth = in.weights.size() / std::max<int64_t>(1, filters);
        const int64_t pixels = window.output[0] * window.output[1];
        outputs[0] = workspace.allocate(in.x.type(), {in.x.shape()[0], filters, window.output[0], window.output[1]});
        Tensor columns = workspace.allocate(in.x.type(), {spec.groups, depth, pixels});
        const Tensor matrices = in.weights.reshaped({spec.groups, filters / spec.groups, depth});
        dispatch_type(FloatTypes(), in.x.type(), [&]<class T>() {
          T* to = outputs[0].mutable_data<T>().data();
          for (int64_t image = 0; image < in.x.shape()[0]; ++image) {
            sample_columns<T>(in, window, image, spec.offset_groups, columns.mutable_data<T>().data());
            const Tensor result = matrix_product(matrices, columns, *fast, workspace);
            std::copy_n(result.data<T>().data(), filters * pixels, to + image * filters * pixels);
          }
          if (in.bias.defined()) add_bias<T>(in.bias, filters, pixels, outputs[0]);
        });
      });
}

}  // namespace narrow::exec
