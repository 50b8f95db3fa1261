// MaxPool, AveragePool, LpPool and the global ones.
#include "lib/onednn/pooling.h"

#include <cmath>
#include <map>
#include <mutex>

#include "lib/exec/kernels/cache.h"
#include "lib/exec/kernels/families.h"
#include "lib/exec/kernels/support.h"
#include "lib/exec/ref/pooling.h"
#include "lib/exec/window.h"

namespace narrow::exec {
namespace {

class PoolKernel final : public Kernel {
 public:
  PoolKernel(WindowAttributes attributes, PoolSpec spec, bool wants_indices)
      : attributes_(std::move(attributes)), spec_(spec), wants_indices_(wants_indices) {}

  void run(std::span<Tensor> inputs, std::span<Tensor> outputs, Workspace& workspace) const override {
    const Tensor& x = required(inputs, 0);
    const Window window = resolve_window(attributes_, spatial_dimensions(x.shape()), {});
    if (fits_onednn(x, window)) {
      outputs[0] = pooling(window).run(x, workspace);
      return;
    }
    const Tensor plain = to_layout(x, Layout::kPlain, workspace);
    Shape shape{x.shape()[0], x.shape()[1]};
    shape.insert(shape.end(), window.output.begin(), window.output.end());
    outputs[0] = workspace.allocate(x.type(), shape);
    int64_t* indices = nullptr;
    if (wants_indices_) {
      outputs[1] = workspace.allocate(DataType::kInt64, shape);
      indices = outputs[1].mutable_data<int64_t>().data();
    }
    dispatch_type(TypeList<float, double, int8_t, uint8_t>(), x.type(), [&]<class T>() {
      pool<T>(spec_, x.shape(), plain.data<T>().data(), window, outputs[0].mutable_data<T>().data(), indices);
    });
  }
  LayoutUse layout_use() const override {
    return wants_indices_ || spec_.kind == PoolKind::kLp ? LayoutUse::kPlain : LayoutUse::kChannelsLast;
  }
  std::string implementation() const override {
    const std::lock_guard lock(mutex_);
    return poolings_.empty() ? "reference" : poolings_.begin()->second->implementation();
  }

 private:
  // oneDNN averages over its own padding, so windows that ceil_mode lets stick out beyond it count differently.
  bool fits_onednn(const Tensor& x, const Window& window) const {
    if (x.layout() != Layout::kChannelsLast || x.rank() > 5 || x.size() == 0) return false;
    const bool average = spec_.kind != PoolKind::kMax;
    if (x.type() == DataType::kFloat64 || (x.type() != DataType::kFloat32 && average)) return false;
    for (size_t axis = 0; axis < window.kernel.size(); ++axis) {
      const int64_t extent = (window.kernel[axis] - 1) * window.dilations[axis] + 1;
      const int64_t end = pads_end(window)[axis];
      if (window.pads_begin[axis] < 0 || end < 0 || window.pads_begin[axis] >= extent || end >= extent) return false;
      if (average && window.dilations[axis] != 1) return false;
      if (spec_.kind == PoolKind::kAverageIncludingPad && end > window.pads_end[axis]) return false;
    }
    return true;
  }

  const std::vector<int64_t>& pads_end(const Window& window) const {
    return attributes_.ceil_mode ? window.exact_pads_end : window.pads_end;
  }

  const onednn::Pooling& pooling(const Window& window) const {
    const std::lock_guard lock(mutex_);
    return cached(poolings_, {window.pads_begin, pads_end(window)}, [&] {
      const auto kind = spec_.kind == PoolKind::kMax       ? onednn::PoolingKind::kMax
                        : spec_.kind == PoolKind::kAverage ? onednn::PoolingKind::kAverage
                                                           : onednn::PoolingKind::kAverageIncludingPad;
      return std::make_unique<onednn::Pooling>(onednn::PoolingSpec{.kind = kind,
                                                                   .kernel = window.kernel,
                                                                   .strides = window.strides,
                                                                   .dilations = window.dilations,
                                                                   .pads_begin = window.pads_begin,
                                                                   .pads_end = pads_end(window)});
    });
  }

  WindowAttributes attributes_;
  PoolSpec spec_;
  bool wants_indices_;
  mutable std::mutex mutex_;
  using Pads = std::pair<std::vector<int64_t>, std::vector<int64_t>>;
  mutable std::map<Pads, std::unique_ptr<const onednn::Pooling>> poolings_;
};

enum class GlobalPool { kAverage, kMax, kLp };

double finish_pool(GlobalPool kind, double value, int64_t count, double p) {
  if (kind == GlobalPool::kAverage) return value / static_cast<double>(count);
  return kind == GlobalPool::kLp ? std::pow(value, 1 / p) : value;
}

void accumulate(GlobalPool kind, double value, double p, double& total) {
  if (kind == GlobalPool::kMax) {
    total = std::max(total, value);
  } else {
    total += kind == GlobalPool::kLp ? std::pow(std::abs(value), p) : value;
  }
}

// One image [S, C], channels innermost.
template <class T>
void pool_channels_last(GlobalPool kind, const T* x, int64_t spatial, int64_t channels, double p, T* y) {
  const double start = kind == GlobalPool::kMax ? -std::numeric_limits<double>::infinity() : 0;
  std::vector<double> totals(static_cast<size_t>(channels), start);
  double* total = totals.data();
  for (int64_t s = 0; s < spatial; ++s, x += channels) {
    if (kind == GlobalPool::kAverage) {
      for (int64_t c = 0; c < channels; ++c) total[c] += static_cast<double>(x[c]);
    } else {
      for (int64_t c = 0; c < channels; ++c) accumulate(kind, static_cast<double>(x[c]), p, total[c]);
    }
  }
  for (int64_t c = 0; c < channels; ++c) y[c] = static_cast<T>(finish_pool(kind, total[c], spatial, p));
}

KernelPtr global_pool(GlobalPool kind, double p) {
  return kernel_of(
      [kind, p](std::span<Tensor> inputs, std::span<Tensor> outputs, Workspace& workspace) {
        const Tensor& x = required(inputs, 0);
        const int64_t spatial = element_count(spatial_dimensions(x.shape()));
        const int64_t batch = x.shape()[0];
        const int64_t channels = x.shape()[1];
        Shape shape(x.rank(), 1);
        shape[0] = batch;
        shape[1] = channels;
        outputs[0] = workspace.allocate(x.type(), shape, x.layout());
        const bool last = x.layout() == Layout::kChannelsLast;
        dispatch_type(FloatTypes(), x.type(), [&]<class T>() {
          const T* from = x.data<T>().data();
          T* to = outputs[0].mutable_data<T>().data();
          // A plain plane is a channels-last image of one channel.
          const int64_t images = last ? batch : batch * channels;
          const int64_t width = last ? channels : 1;
          parallel_for(images, std::max<int64_t>(1, kElementGrain / std::max<int64_t>(1, spatial * width)),
                       [&](int64_t begin, int64_t end) {
                         for (int64_t i = begin; i < end; ++i) {
                           pool_channels_last(kind, from + i * spatial * width, spatial, width, p, to + i * width);
                         }
                       });
        });
      },
      LayoutUse::kAny);
}

}  // namespace

KernelPtr make_pool(const KernelRequest& request) {
  const std::string& op = request.node->op_type();
  PoolSpec spec;
  if (op == "AveragePool") {
    const bool include = graph::int_attribute(*request.node, "count_include_pad", 0) != 0;
    spec.kind = include ? PoolKind::kAverageIncludingPad : PoolKind::kAverage;
  } else if (op == "LpPool") {
    spec.kind = PoolKind::kLp;
    spec.p = static_cast<double>(graph::int_attribute(*request.node, "p", 2));
    if (request.opset < 2) refuse(request, "LpPool of opset 1");
  }
  spec.column_major_indices = graph::int_attribute(*request.node, "storage_order", 0) != 0;
  const bool wants_indices = request.node->output_size() > 1 && !request.node->output(1).empty();
  return std::make_unique<PoolKernel>(window_attributes(*request.node), spec, wants_indices);
}

KernelPtr make_global_pool(const KernelRequest& request) {
  const std::string& op = request.node->op_type();
  if (op == "GlobalAveragePool") return global_pool(GlobalPool::kAverage, 0);
  if (op == "GlobalMaxPool") return global_pool(GlobalPool::kMax, 0);
  return global_pool(GlobalPool::kLp, static_cast<double>(graph::int_attribute(*request.node, "p", 2)));
}

}  // namespace narrow::exec
