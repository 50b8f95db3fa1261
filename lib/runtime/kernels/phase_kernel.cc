#include "lib/runtime/kernels/phase_kernel.h"

#include <algorithm>
#include <array>

#include "lib/base/error.h"
#include "lib/base/parallel.h"
#include "lib/runtime/kernels/linear_kernels.h"

namespace narrow::runtime {
namespace {

/// Missing axes in front have one element and stride 1.
struct Nest {
  std::array<int64_t, 3> size{1, 1, 1};    // of x
  std::array<int64_t, 3> stride{1, 1, 1};  // of the phases

  int64_t positions() const { return size[0] * size[1] * size[2]; }
  int64_t phases() const { return stride[0] * stride[1] * stride[2]; }
};

template <class Element>
void write_phase(const Nest& nest, int64_t phase, const Element* x, Element* y) {
  const int64_t last = phase % nest.stride[2];
  const int64_t middle = phase / nest.stride[2] % nest.stride[1];
  const int64_t first = phase / (nest.stride[2] * nest.stride[1]);
  const int64_t rows = nest.size[1] * nest.stride[1];
  const int64_t columns = nest.size[2] * nest.stride[2];
  for (int64_t i = 0; i < nest.size[0]; ++i) {
    for (int64_t j = 0; j < nest.size[1]; ++j) {
      const int64_t plane = i * nest.stride[0] + first;
      Element* line = y + (plane * rows + j * nest.stride[1] + middle) * columns + last;
      for (int64_t k = 0; k < nest.size[2]; ++k) line[k * nest.stride[2]] = *x++;
    }
  }
}

class PhaseKernel final : public exec::Kernel {
 public:
  explicit PhaseKernel(std::vector<int64_t> strides) : strides_(std::move(strides)) {}

  void run(std::span<Tensor> inputs, std::span<Tensor> outputs, Workspace& workspace) const override {
    const Tensor& x = inputs[0];
    ensure(x.rank() == strides_.size() + 2, "one stride for each spatial axis");
    Nest nest;
    Shape shape = x.shape();
    for (size_t axis = 0; axis < strides_.size(); ++axis) {
      const size_t at = 3 - strides_.size() + axis;
      nest.size[at] = x.shape()[axis + 2];
      nest.stride[at] = strides_[axis];
      shape[axis + 2] *= strides_[axis];
    }
    shape[1] /= nest.phases();
    Tensor y = workspace.allocate(x.type(), shape);
    if (data_type_bits(x.type()) == 8) {
      interleave<uint8_t>(nest, x, y);
    } else {
      interleave<uint32_t>(nest, x, y);
    }
    outputs[0] = std::move(y);
  }

 private:
  template <class Element>
  static void interleave(const Nest& nest, const Tensor& x, Tensor& y) {
    const int64_t size = nest.positions();
    if (size == 0) return;
    const auto* from = reinterpret_cast<const Element*>(x.bytes());
    auto* to = reinterpret_cast<Element*>(y.mutable_bytes());
    const int64_t phases = nest.phases();
    const int64_t grain = std::max<int64_t>(1, kElementGrain / (size * phases));
    parallel_for(x.shape()[0] * x.shape()[1] / phases, grain, [&](int64_t begin, int64_t end) {
      for (int64_t plane = begin; plane < end; ++plane) {
        for (int64_t phase = 0; phase < phases; ++phase) {
          write_phase(nest, phase, from + (plane * phases + phase) * size, to + plane * phases * size);
        }
      }
    });
  }

  std::vector<int64_t> strides_;
};

}  // namespace

exec::KernelPtr make_phase_kernel(std::vector<int64_t> strides) {
  return std::make_unique<PhaseKernel>(std::move(strides));
}

}  // namespace narrow::runtime
