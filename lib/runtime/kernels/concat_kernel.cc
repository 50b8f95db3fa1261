#include "lib/runtime/kernels/concat_kernel.h"

#include "lib/base/error.h"
#include "lib/base/parallel.h"
#include "lib/exec/kernels/copy_bytes.h"
#include "lib/runtime/kernels/linear_kernels.h"

namespace narrow::runtime {
namespace {

// Elements of one tensor below (and with) an axis in memory, and blocks above it.
struct Blocks {
  int64_t count = 1;
  int64_t size = 1;
};

Blocks blocks_at(const Tensor& tensor, size_t axis) {
  Blocks blocks;
  const bool last = tensor.layout() == Layout::kChannelsLast;
  // Position of an axis in memory: channels-last stores axis 1 innermost.
  const auto position = [&](size_t i) { return !last || i == 0 ? i : i == 1 ? tensor.rank() - 1 : i - 1; };
  for (size_t i = 0; i < tensor.rank(); ++i) {
    (position(i) < position(axis) ? blocks.count : blocks.size) *= tensor.shape()[i];
  }
  return blocks;
}

class ConcatKernel : public exec::Kernel {
 public:
  explicit ConcatKernel(ConcatStep step) : step_(std::move(step)) {}

  void run(std::span<Tensor> inputs, std::span<Tensor> outputs, Workspace& workspace) const override {
    const auto axis = static_cast<size_t>(normalize_axis(step_.axis, inputs[0].rank()));
    Tensor y = workspace.allocate(step_.result, result_shape(inputs, axis), inputs[0].layout());
    const Blocks target = blocks_at(y, axis);
    Byte* bytes = bytes_of(y);
    struct Part {
      const Byte* from;
      int64_t size;
    };
    std::vector<Part> parts;
    for (const Tensor& input : inputs) parts.push_back({bytes_of(input), blocks_at(input, axis).size});
    parallel_for(target.count, std::max<int64_t>(1, kElementGrain / std::max<int64_t>(target.size, 1)),
                 [&](int64_t begin, int64_t end) {
                   for (int64_t block = begin; block < end; ++block) {
                     Byte* to = bytes + block * target.size;
                     for (size_t i = 0; i < parts.size(); ++i) {
                       copy(i, parts[i].from + block * parts[i].size, to, parts[i].size);
                       to += parts[i].size;
                     }
                   }
                 });
    outputs[0] = std::move(y);
  }
  exec::LayoutUse layout_use() const override { return exec::LayoutUse::kAny; }
  std::string implementation() const override { return "copy"; }

 private:
  static Shape result_shape(std::span<Tensor> inputs, size_t axis) {
    Shape shape = inputs[0].shape();
    for (size_t i = 1; i < inputs.size(); ++i) {
      Shape expected = shape;
      ensure(inputs[i].layout() == inputs[0].layout(), "inputs of one rank come in one layout");
      if (inputs[i].rank() == shape.size()) expected[axis] = inputs[i].shape()[axis];
      if (inputs[i].shape() != expected) {
        throw Error(ErrorKind::kModel, "shapes {} and {} do not join on axis {}", shape_text(shape),
                    shape_text(inputs[i].shape()), axis);
      }
      shape[axis] += inputs[i].shape()[axis];
    }
    return shape;
  }

  void copy(size_t input, const Byte* from, Byte* to, int64_t count) const {
    const std::optional<Table>& table = step_.tables[input];
    if (table) {
      look_up_elements(*table, from, to, static_cast<size_t>(count));
    } else {
      exec::copy_bytes(from, to, static_cast<size_t>(count));
    }
  }

  ConcatStep step_;
};

}  // namespace

exec::KernelPtr make_concat(ConcatStep step) {
  return std::make_unique<ConcatKernel>(std::move(step));
}

}  // namespace narrow::runtime
