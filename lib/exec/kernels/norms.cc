// LRN, by the sum of squares over neighbouring channels, and LpNormalization, by the norm along an axis.
#include <cmath>

#include "lib/exec/kernels/families.h"
#include "lib/exec/kernels/support.h"
#include "lib/exec/window.h"

namespace narrow::exec {
namespace {

struct LrnSpec {
  float alpha = 0;
  float beta = 0;
  float bias = 0;
  int64_t size = 0;  // channels of the neighbourhood
};

// `x` and `y` plain [N, C, spatial...].
template <class T>
void normalize_neighbours(const LrnSpec& spec, const Tensor& x, Tensor& y) {
  const int64_t spatial = element_count(spatial_dimensions(x.shape()));
  const int64_t channels = x.shape()[1];
  const T* from = x.data<T>().data();
  T* to = y.mutable_data<T>().data();
  parallel_for(x.shape()[0] * channels, 1, [&](int64_t begin, int64_t end) {
    for (int64_t plane = begin; plane < end; ++plane) {
      const int64_t c = plane % channels;
      const int64_t first = std::max<int64_t>(0, c - (spec.size - 1) / 2);
      const int64_t last = std::min(channels - 1, c + spec.size / 2);
      const T* image = from + (plane - c) * spatial;
      for (int64_t s = 0; s < spatial; ++s) {
        T sum = 0;
        for (int64_t k = first; k <= last; ++k) sum += image[k * spatial + s] * image[k * spatial + s];
        const T scale = static_cast<T>(spec.bias) + static_cast<T>(spec.alpha) / static_cast<T>(spec.size) * sum;
        to[plane * spatial + s] = image[c * spatial + s] / std::pow(scale, static_cast<T>(spec.beta));
      }
    }
  });
}

}  // namespace

// y = x / (bias + alpha / size * sum of squares over `size` neighbouring channels) ^ beta.
KernelPtr make_lrn(const KernelRequest& request) {
  const LrnSpec spec{.alpha = graph::float_attribute(*request.node, "alpha", 1e-4F),
                     .beta = graph::float_attribute(*request.node, "beta", 0.75F),
                     .bias = graph::float_attribute(*request.node, "bias", 1.0F),
                     .size = graph::int_attribute(*request.node, "size", 0)};
  if (spec.size < 1) refuse(request, "size is missing");
  return kernel_of([=](std::span<Tensor> inputs, std::span<Tensor> outputs, Workspace& workspace) {
    const Tensor& x = required(inputs, 0);
    outputs[0] = workspace.allocate(x.type(), x.shape());
    dispatch_type(FloatTypes(), x.type(), [&]<class T>() { normalize_neighbours<T>(spec, x, outputs[0]); });
  });
}

KernelPtr make_lp_normalization(const KernelRequest& request) {
  const int64_t wanted_axis = graph::int_attribute(*request.node, "axis", -1);
  const int64_t p = graph::int_attribute(*request.node, "p", 2);
  if (p != 1 && p != 2) refuse(request, fmt::format("p = {}", p));
  return kernel_of([=](std::span<Tensor> inputs, std::span<Tensor> outputs, Workspace& workspace) {
    const Tensor& x = required(inputs, 0);
    const auto axis = static_cast<size_t>(normalize_axis(wanted_axis, x.rank()));
    const std::span<const int64_t> dimensions(x.shape());
    const int64_t outer = product(dimensions.first(axis));
    const int64_t inner = product(dimensions.subspan(axis + 1));
    const int64_t count = dimensions[axis];
    outputs[0] = workspace.allocate(x.type(), x.shape());
    dispatch_type(FloatTypes(), x.type(), [&]<class T>() {
      const T* from = x.data<T>().data();
      T* to = outputs[0].mutable_data<T>().data();
      for (int64_t row = 0; row < outer * inner; ++row) {
        const int64_t start = row / inner * count * inner + row % inner;
        double sum = 0;
        for (int64_t i = 0; i < count; ++i) {
          const double value = static_cast<double>(from[start + i * inner]);
          sum += p == 1 ? std::abs(value) : value * value;
        }
        const double norm = p == 1 ? sum : std::sqrt(sum);
        for (int64_t i = 0; i < count; ++i) {
          const int64_t at = start + i * inner;
          to[at] = norm == 0 ? T{0} : static_cast<T>(static_cast<double>(from[at]) / norm);
        }
      }
    });
  });
}

}  // namespace narrow::exec
