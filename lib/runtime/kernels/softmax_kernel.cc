#include "lib/runtime/kernels/softmax_kernel.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "lib/base/parallel.h"
#include "lib/runtime/kernels/linear_kernels.h"
#include "lib/runtime/ref/elementwise.h"

namespace narrow::runtime {
namespace {

class SoftmaxKernel : public exec::Kernel {
 public:
  explicit SoftmaxKernel(const SoftmaxStep& step) : step_(step) {
    for (size_t below = 0; below < exponentials_.size(); ++below) {
      exponentials_[below] = std::exp(-static_cast<float>(below) * step.x.scale);
    }
  }

  void run(std::span<Tensor> inputs, std::span<Tensor> outputs, Workspace& workspace) const override {
    const Tensor& x = inputs[0];
    Tensor y = workspace.allocate(step_.y.storage(), x.shape());
    const auto axis = static_cast<size_t>(normalize_axis(step_.axis, x.rank()));
    int64_t outer = 1;
    int64_t length = 1;
    int64_t inner = 1;
    for (size_t i = 0; i < x.rank(); ++i) {
      (i < axis ? outer : i == axis || step_.flatten_tail ? length : inner) *= x.shape()[i];
    }
    const Byte* source = bytes_of(x);
    Byte* target = bytes_of(y);
    const int64_t rows = x.size() == 0 ? 0 : outer * inner;
    parallel_for(rows, std::max<int64_t>(1, kElementGrain / std::max<int64_t>(length, 1)),
                 [&](int64_t begin, int64_t end) {
                   for (int64_t r = begin; r < end; ++r) {
                     const int64_t at = r / inner * length * inner + r % inner;
                     row(source + at, target + at, length, inner);
                   }
                 });
    outputs[0] = std::move(y);
  }
  std::string implementation() const override { return "table"; }

 private:
  void row(const Byte* x, Byte* y, int64_t length, int64_t stride) const {
    int32_t largest = ref::to_integer(step_.x, x[0]);
    for (int64_t i = 1; i < length; ++i) largest = std::max(largest, ref::to_integer(step_.x, x[i * stride]));
    const auto exponential = [&](int64_t i) {
      return exponentials_[static_cast<size_t>(largest - ref::to_integer(step_.x, x[i * stride]))];
    };
    float sum = 0;
    for (int64_t i = 0; i < length; ++i) sum += exponential(i);
    for (int64_t i = 0; i < length; ++i) y[i * stride] = ref::quantize_element(step_.y, exponential(i) / sum);
  }

  SoftmaxStep step_;
  std::array<float, 256> exponentials_{};  // by distance from the row's largest integer
};

}  // namespace

exec::KernelPtr make_softmax(const SoftmaxStep& step) {
  return std::make_unique<SoftmaxKernel>(step);
}

}  // namespace narrow::runtime
