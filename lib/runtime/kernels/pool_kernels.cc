#include "lib/runtime/kernels/pool_kernels.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <map>
#include <mutex>

#include "lib/base/error.h"
#include "lib/base/parallel.h"
#include "lib/onednn/pooling.h"
#include "lib/runtime/kernels/elementwise.h"
#include "lib/runtime/kernels/linear_kernels.h"

namespace narrow::runtime {
namespace {

// Input positions that one output position sees, in steps of the dilation.
struct Reach {
  int64_t begin = 0;
  int64_t end = 0;      // past the last
  int64_t counted = 0;  // positions including declared padding
};

class Positions {
 public:
  Positions(const exec::Window& window, const Shape& input)
      : window_(window), axes_(window.kernel.size()), input_(input) {}

  int64_t count() const { return element_count(window_.output); }

  // Calls visit(input position) for each seen one; returns how many positions the window counts with its padding.
  template <class Visit>
  int64_t for_each(int64_t position, Visit visit) const {
    std::array<Reach, 3> reach{Reach{0, 1, 1}, Reach{0, 1, 1}, Reach{0, 1, 1}};
    std::array<int64_t, 3> step{1, 1, 1};
    std::array<int64_t, 3> size{1, 1, 1};
    for (size_t i = axes_; i-- > 0;) {
      const size_t at = 3 - axes_ + i;
      reach[at] = reach_of(i, position % window_.output[i]);
      step[at] = window_.dilations[i];
      size[at] = input_[2 + i];
      position /= window_.output[i];
    }
    for (int64_t d = reach[0].begin; d < reach[0].end; d += step[0]) {
      for (int64_t h = reach[1].begin; h < reach[1].end; h += step[1]) {
        for (int64_t w = reach[2].begin; w < reach[2].end; w += step[2]) visit((d * size[1] + h) * size[2] + w);
      }
    }
    return reach[0].counted * reach[1].counted * reach[2].counted;
  }

 private:
  Reach reach_of(size_t i, int64_t at) const {
    const int64_t step = window_.dilations[i];
    const int64_t first = at * window_.strides[i] - window_.pads_begin[i];
    const int64_t past = first + (window_.kernel[i] - 1) * step + 1;
    Reach reach;
    reach.begin = first >= 0 ? first : first + (-first + step - 1) / step * step;
    reach.end = std::min(past, input_[2 + i]);
    // What ceil mode adds beyond the padding does not count.
    reach.counted = (std::min(past, input_[2 + i] + window_.pads_end[i]) - first + step - 1) / step;
    return reach;
  }

  const exec::Window& window_;
  size_t axes_;
  const Shape& input_;
};

Shape result_shape(const exec::Window& window, const Shape& input) {
  Shape shape{input[0], input[1]};
  shape.insert(shape.end(), window.output.begin(), window.output.end());
  return shape;
}

/// A window without a size is all of the image.
exec::Window window_over(const exec::WindowAttributes& window, const Shape& input) {
  const Shape spatial = exec::spatial_dimensions(input);
  if (spatial.size() > 3) throw Error(ErrorKind::kUnsupported, "pooling over {} spatial axes", spatial.size());
  return exec::resolve_window(window, spatial, window.kernel.empty() ? spatial : Shape());
}

template <class T>
void max_pool(const Positions& positions, int64_t channels, const T* x, T* y) {
  parallel_for(positions.count(), std::max<int64_t>(1, kElementGrain / (8 * channels)),
               [&](int64_t begin, int64_t end) {
                 for (int64_t at = begin; at < end; ++at) {
                   T* target = y + at * channels;
                   std::fill_n(target, channels, std::numeric_limits<T>::lowest());
                   positions.for_each(at, [&](int64_t from) {
                     for (int64_t c = 0; c < channels; ++c) target[c] = std::max(target[c], x[from * channels + c]);
                   });
                 }
               });
}

class PlainMaxPool : public exec::Kernel {
 public:
  PlainMaxPool(exec::WindowAttributes window, DataType type) : window_(std::move(window)), type_(type) {}

  void run(std::span<Tensor> inputs, std::span<Tensor> outputs, Workspace& workspace) const override {
    const Tensor& x = inputs[0];
    const exec::Window window = window_over(window_, x.shape());
    Tensor y = workspace.allocate(type_, result_shape(window, x.shape()), x.layout());
    const Positions positions(window, x.shape());
    const int64_t channels = x.shape()[1];
    for (int64_t n = 0; n < x.shape()[0]; ++n) {
      const Byte* from = bytes_of(x) + n * x.size() / x.shape()[0];
      Byte* to = bytes_of(y) + n * y.size() / x.shape()[0];
      if (type_ == DataType::kInt8) {
        max_pool(positions, channels, reinterpret_cast<const int8_t*>(from), reinterpret_cast<int8_t*>(to));
      } else {
        max_pool(positions, channels, from, to);
      }
    }
    outputs[0] = std::move(y);
  }
  exec::LayoutUse layout_use() const override { return exec::LayoutUse::kChannelsLast; }

 private:
  exec::WindowAttributes window_;
  DataType type_;
};

class FastMaxPool : public exec::Kernel {
 public:
  explicit FastMaxPool(exec::WindowAttributes window) : window_(std::move(window)) {}

  void run(std::span<Tensor> inputs, std::span<Tensor> outputs, Workspace& workspace) const override {
    const exec::Window window = window_over(window_, inputs[0].shape());
    outputs[0] = primitive(window)->run(inputs[0], workspace);
  }
  exec::LayoutUse layout_use() const override { return exec::LayoutUse::kChannelsLast; }
  std::string implementation() const override {
    const std::lock_guard lock(mutex_);
    return primitives_.empty() ? "onednn" : primitives_.begin()->second->implementation();
  }

 private:
  std::shared_ptr<const onednn::Pooling> primitive(const exec::Window& window) const {
    const std::lock_guard lock(mutex_);
    constexpr size_t kMost = 16;  // more than one only where the window depends on the size
    if (primitives_.size() >= kMost) primitives_.clear();
    auto& kept = primitives_[{window.kernel, window.pads_begin, window.exact_pads_end}];
    if (!kept) {
      kept = std::make_shared<const onednn::Pooling>(onednn::PoolingSpec{.kind = onednn::PoolingKind::kMax,
                                                                         .kernel = window.kernel,
                                                                         .strides = window.strides,
                                                                         .dilations = window.dilations,
                                                                         .pads_begin = window.pads_begin,
                                                                         .pads_end = window.exact_pads_end});
    }
    return kept;
  }

  exec::WindowAttributes window_;
  mutable std::mutex mutex_;
  mutable std::map<std::array<std::vector<int64_t>, 3>, std::shared_ptr<const onednn::Pooling>> primitives_;
};

template <class T>
void add_row(const T* x, int64_t channels, int32_t* sums) {
  for (int64_t c = 0; c < channels; ++c) sums[c] += x[c];
}

class AveragePool : public exec::Kernel {
 public:
  explicit AveragePool(AveragePoolStep step) : step_(std::move(step)) {}

  void run(std::span<Tensor> inputs, std::span<Tensor> outputs, Workspace& workspace) const override {
    const Tensor& x = inputs[0];
    const exec::Window window = window_over(step_.window, x.shape());
    const int64_t channels = x.shape()[1];
    Tensor y = workspace.allocate(step_.y.storage(), result_shape(window, x.shape()), x.layout());
    const Positions positions(window, x.shape());
    for (int64_t n = 0; n < x.shape()[0]; ++n) {
      const Byte* from = bytes_of(x) + n * x.size() / x.shape()[0];
      Byte* to = bytes_of(y) + n * y.size() / x.shape()[0];
      parallel_for(positions.count(), std::max<int64_t>(1, kElementGrain / (8 * channels)),
                   [&](int64_t begin, int64_t end) {
                     std::vector<int32_t> sums(static_cast<size_t>(channels));
                     for (int64_t at = begin; at < end; ++at) average(positions, at, from, sums, to + at * channels);
                   });
    }
    outputs[0] = std::move(y);
  }
  exec::LayoutUse layout_use() const override { return exec::LayoutUse::kChannelsLast; }
  std::string implementation() const override { return "integer sums"; }

 private:
  void average(const Positions& positions, int64_t at, const Byte* x, std::vector<int32_t>& sums, Byte* y) const {
    const auto channels = static_cast<int64_t>(sums.size());
    std::fill(sums.begin(), sums.end(), 0);
    int32_t seen = 0;
    const int64_t counted = positions.for_each(at, [&](int64_t from) {
      ++seen;
      if (step_.x.is_signed) {
        add_row(reinterpret_cast<const int8_t*>(x) + from * channels, channels, sums.data());
      } else {
        add_row(x + from * channels, channels, sums.data());
      }
    });
    const auto divisor = static_cast<float>(step_.count_pad ? counted : std::max(seen, 1));
    const float multiplier = step_.x.scale / (step_.y.scale * divisor);
    const Affine8 unit{1.0F, step_.y.zero_point, step_.y.is_signed};
    std::vector<float>& steps = scratch(sums.size());
    for (size_t c = 0; c < sums.size(); ++c) {
      steps[c] = static_cast<float>(sums[c] - seen * step_.x.zero_point) * multiplier;
    }
    quantize_elements(unit, steps.data(), y, steps.size());
  }

  static std::vector<float>& scratch(size_t size) {
    thread_local std::vector<float> steps;
    steps.resize(size);
    return steps;
  }

  AveragePoolStep step_;
};

}  // namespace

exec::KernelPtr make_max_pool(const exec::WindowAttributes& window, DataType type, KernelChoice choice) {
  if (choice == KernelChoice::kReference) return std::make_unique<PlainMaxPool>(window, type);
  return std::make_unique<FastMaxPool>(window);
}

exec::KernelPtr make_average_pool(AveragePoolStep step) {
  return std::make_unique<AveragePool>(std::move(step));
}

}  // namespace narrow::runtime
