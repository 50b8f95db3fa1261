// ConvTranspose.
#include <map>
#include <mutex>

#include "lib/exec/kernels/cache.h"
#include "lib/exec/kernels/families.h"
#include "lib/exec/kernels/support.h"
#include "lib/exec/ref/convolution.h"
#include "lib/exec/window.h"
#include "lib/onednn/convolution.h"

namespace narrow::exec {
namespace {

struct Geometry {
  Window window;  // `output`: spatial size of the result; pads as the forward convolution would have them
  std::vector<int64_t> output_padding;
  bool is_enlarged = false;  // output_shape asks for more than the windows reach: the rest is bias alone
  int64_t groups = 1;
};

struct DeconvolutionAttributes {
  WindowAttributes window;
  std::vector<int64_t> output_padding;
  std::vector<int64_t> output_shape;
  int64_t groups = 1;
};

Geometry resolve(const DeconvolutionAttributes& attributes, const std::vector<int64_t>& spatial,
                 const std::vector<int64_t>& kernel) {
  const size_t rank = spatial.size();
  const auto or_value = [&](const std::vector<int64_t>& values, int64_t otherwise) {
    return values.empty() ? std::vector<int64_t>(rank, otherwise) : values;
  };
  Geometry result{.window = {.kernel = kernel,
                             .strides = or_value(attributes.window.strides, 1),
                             .dilations = or_value(attributes.window.dilations, 1),
                             .pads_begin = std::vector<int64_t>(rank, 0),
                             .pads_end = std::vector<int64_t>(rank, 0),
                             .exact_pads_end = std::vector<int64_t>(rank, 0),
                             .output = std::vector<int64_t>(rank, 0)},
                  .output_padding = or_value(attributes.output_padding, 0),
                  .groups = attributes.groups};
  Window& window = result.window;
  const std::vector<int64_t>& extra = result.output_padding;
  const std::vector<int64_t> pads =
      attributes.window.pads.empty() ? std::vector<int64_t>(2 * rank, 0) : attributes.window.pads;
  std::vector<int64_t> wanted = attributes.output_shape;
  if (wanted.size() == rank + 2) wanted.erase(wanted.begin(), wanted.begin() + 2);
  if (window.strides.size() != rank || window.dilations.size() != rank || extra.size() != rank ||
      pads.size() != 2 * rank || (!wanted.empty() && wanted.size() != rank)) {
    throw Error(ErrorKind::kModel, "attributes do not fit {} spatial axes", rank);
  }
  const AutoPad auto_pad = attributes.window.auto_pad;
  const bool same = auto_pad == AutoPad::kSameUpper || auto_pad == AutoPad::kSameLower;
  for (size_t axis = 0; axis < rank; ++axis) {
    const int64_t full = window.strides[axis] * (spatial[axis] - 1) + extra[axis] +
                         (window.kernel[axis] - 1) * window.dilations[axis] + 1;
    if (wanted.empty() && !same) {
      window.pads_begin[axis] = auto_pad == AutoPad::kNotSet ? pads[axis] : 0;
      window.pads_end[axis] = auto_pad == AutoPad::kNotSet ? pads[rank + axis] : 0;
      window.output[axis] = full - window.pads_begin[axis] - window.pads_end[axis];
      continue;
    }
    window.output[axis] = wanted.empty() ? spatial[axis] * window.strides[axis] : wanted[axis];
    const int64_t total = std::max<int64_t>(0, full - window.output[axis]);
    result.is_enlarged = result.is_enlarged || window.output[axis] > full;
    window.pads_begin[axis] = auto_pad == AutoPad::kSameUpper ? total / 2 : total - total / 2;
    window.pads_end[axis] = total - window.pads_begin[axis];
  }
  return result;
}

// One channel of the input through its filter, added to one channel of the result.
template <class T>
void spread_channel(const Window& window, const std::vector<int64_t>& spatial, const T* image, const T* filter,
                    T* plane) {
  std::vector<int64_t> index(spatial.size(), 0);
  do {
    const T value = *image++;
    for_each_tap(window, window.output, index, [&](int64_t tap, int64_t at) { plane[at] += value * filter[tap]; });
  } while (next_index(index, spatial));
}

// y[m, o] += x[c, i] * w[c, m, k] where o = i * stride - pad + k * dilation: each input spreads over its window.
template <class T>
void deconvolve(const Tensor& x, const Tensor& w, const Geometry& geometry, Tensor& y) {
  const std::vector<int64_t> spatial = spatial_dimensions(x.shape());
  const int64_t source_size = element_count(spatial);
  if (source_size == 0) return;
  const int64_t target_size = element_count(geometry.window.output);
  const int64_t kernel_size = element_count(geometry.window.kernel);
  const int64_t filters = w.shape()[1];
  const int64_t channels = x.shape()[1] / geometry.groups;
  const T* from = x.data<T>().data();
  const T* weight = w.data<T>().data();
  T* to = y.mutable_data<T>().data();
  parallel_for(y.shape()[0] * y.shape()[1], 1, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      const int64_t m = row % y.shape()[1];
      const int64_t group = m / filters;
      T* plane = to + row * target_size;
      for (int64_t c = group * channels; c < (group + 1) * channels; ++c) {
        const T* image = from + (row / y.shape()[1] * x.shape()[1] + c) * source_size;
        const T* filter = weight + (c * filters + m % filters) * kernel_size;
        spread_channel(geometry.window, spatial, image, filter, plane);
      }
    }
  });
}

Tensor run_reference(const DeconvolutionAttributes& attributes, const Geometry& geometry, const Tensor& x,
                     const Tensor& w, const Tensor& b, Workspace& workspace) {
  Shape shape{x.shape()[0], w.shape()[1] * attributes.groups};
  shape.insert(shape.end(), geometry.window.output.begin(), geometry.window.output.end());
  Tensor result = workspace.allocate(x.type(), shape);
  dispatch_type(FloatTypes(), x.type(), [&]<class T>() {
    const auto y = result.mutable_data<T>();
    const size_t plane = static_cast<size_t>(element_count(geometry.window.output));
    for (size_t i = 0; i < y.size(); ++i) {
      y[i] = b.defined() ? b.data<T>()[i / plane % static_cast<size_t>(shape[1])] : T{0};
    }
    deconvolve<T>(x, w, geometry, result);
  });
  return result;
}

class DeconvolutionKernel final : public Kernel {
 public:
  DeconvolutionKernel(DeconvolutionAttributes attributes, Operand weight, Operand bias)
      : attributes_(std::move(attributes)), weight_(std::move(weight)), bias_(std::move(bias)) {
    const Tensor& w = weight_.constant();
    has_onednn_ = w.defined() && w.type() == DataType::kFloat32 && w.rank() >= 3 && w.rank() <= 5 &&
                  (!bias_.present() || bias_.constant().defined());
  }

  void run(std::span<Tensor> inputs, std::span<Tensor> outputs, Workspace& workspace) const override {
    const Tensor& x = required(inputs, 0);
    const Tensor& w = weight_.required_in(inputs);
    if (x.rank() != w.rank() || x.rank() < 3 || x.shape()[1] != w.shape()[0] || x.type() != w.type() ||
        x.shape()[1] % attributes_.groups != 0) {
      throw Error(ErrorKind::kModel, "weight {} does not fit input {}", shape_text(w.shape()), shape_text(x.shape()));
    }
    const Geometry geometry = resolve(attributes_, spatial_dimensions(x.shape()), spatial_dimensions(w.shape()));
    if (has_onednn_ && fits_onednn(geometry) && x.layout() == Layout::kChannelsLast) {
      outputs[0] = deconvolution(geometry).run(x, workspace);
    } else {
      outputs[0] = run_reference(attributes_, geometry, to_layout(x, Layout::kPlain), w, bias_.in(inputs), workspace);
    }
  }
  LayoutUse layout_use() const override { return has_onednn_ ? LayoutUse::kChannelsLast : LayoutUse::kPlain; }
  std::string implementation() const override {
    const std::lock_guard lock(mutex_);
    return deconvolutions_.empty() ? "reference" : deconvolutions_.begin()->second->implementation();
  }

 private:
  static bool fits_onednn(const Geometry& geometry) {
    const auto is_negative = [](int64_t pad) { return pad < 0; };
    return !geometry.is_enlarged &&
           std::none_of(geometry.window.pads_begin.begin(), geometry.window.pads_begin.end(), is_negative) &&
           std::none_of(geometry.window.pads_end.begin(), geometry.window.pads_end.end(), is_negative);
  }

  const onednn::Deconvolution& deconvolution(const Geometry& geometry) const {
    const std::lock_guard lock(mutex_);
    return cached(deconvolutions_, {geometry.window.pads_begin, geometry.window.pads_end}, [&] {
      return std::make_unique<onednn::Deconvolution>(
          onednn::DeconvolutionSpec{.strides = geometry.window.strides,
                                    .dilations = geometry.window.dilations,
                                    .pads_begin = geometry.window.pads_begin,
                                    .pads_end = geometry.window.pads_end,
                                    .output_padding = geometry.output_padding,
                                    .groups = attributes_.groups},
          weight_.constant(), bias_.constant());
    });
  }

  DeconvolutionAttributes attributes_;
  Operand weight_;
  Operand bias_;
  bool has_onednn_ = false;
  mutable std::mutex mutex_;
  using Pads = std::pair<std::vector<int64_t>, std::vector<int64_t>>;
  mutable std::map<Pads, std::unique_ptr<const onednn::Deconvolution>> deconvolutions_;
};

}  // namespace

KernelPtr make_conv_transpose(const KernelRequest& request) {
  const DeconvolutionAttributes attributes{.window = window_attributes(*request.node),
                                           .output_padding = graph::ints_attribute(*request.node, "output_padding"),
                                           .output_shape = graph::ints_attribute(*request.node, "output_shape"),
                                           .groups = group_count(*request.node)};
  return std::make_unique<DeconvolutionKernel>(attributes, Operand(request, 1), Operand(request, 2));
}

}  // namespace narrow::exec
