#include "lib/runtime/kernels/dynamic_quantize.h"

#include <algorithm>
#include <cmath>
#include <mutex>

#include "lib/base/parallel.h"
#include "lib/runtime/kernels/elementwise.h"
#include "lib/runtime/kernels/linear_kernels.h"

namespace narrow::runtime {
namespace {

struct Extremes {
  float low = 0;
  float high = 0;
};

/// Of the elements and 0. Order-free, so the pieces may come in any.
Extremes extremes_of(std::span<const float> x) {
  Extremes all;
  std::mutex mutex;
  parallel_for(static_cast<int64_t>(x.size()), kElementGrain, [&](int64_t begin, int64_t end) {
    Extremes own;
    for (const float value : x.subspan(static_cast<size_t>(begin), static_cast<size_t>(end - begin))) {
      own.low = value < own.low ? value : own.low;
      own.high = value > own.high ? value : own.high;
    }
    const std::lock_guard lock(mutex);
    all = {std::min(all.low, own.low), std::max(all.high, own.high)};
  });
  return all;
}

class DynamicQuantize : public exec::Kernel {
 public:
  void run(std::span<Tensor> inputs, std::span<Tensor> outputs, Workspace& workspace) const override {
    const Tensor& x = inputs[0];
    const Extremes extremes = extremes_of(x.data<float>());
    const float scale = (extremes.high - extremes.low) / 255.0F;
    const float zero = scale == 0 ? 0.0F : std::nearbyint(std::clamp(-extremes.low / scale, 0.0F, 255.0F));
    // Where every element is 0, any scale gives the zero point.
    const Affine8 params{scale == 0 ? 1.0F : scale, static_cast<int32_t>(zero), false};
    Tensor integers = workspace.allocate(DataType::kUint8, x.shape(), x.layout());
    const float* source = x.data<float>().data();
    Byte* target = bytes_of(integers);
    parallel_for(x.size(), kElementGrain, [&](int64_t begin, int64_t end) {
      quantize_elements(params, source + begin, target + begin, static_cast<size_t>(end - begin));
    });
    outputs[0] = std::move(integers);
    if (outputs.size() > 1) outputs[1] = Tensor::scalar(scale);
    if (outputs.size() > 2) outputs[2] = Tensor::scalar(static_cast<uint8_t>(zero));
  }
  exec::LayoutUse layout_use() const override { return exec::LayoutUse::kAny; }
  std::string implementation() const override { return "vector"; }
};

}  // namespace

exec::KernelPtr make_dynamic_quantize() {
  return std::make_unique<DynamicQuantize>();
}

}  // namespace narrow::runtime
