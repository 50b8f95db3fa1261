// Compress, ReverseSequence and TensorScatter: blocks of a tensor in another order or place.
#include <cstring>

#include "lib/exec/kernels/axis_rows.h"
#include "lib/exec/kernels/families.h"

namespace narrow::exec {

Tensor gather_blocks(const Tensor& x, const Shape& shape, const std::vector<int64_t>& blocks, int64_t inner,
                     Workspace& workspace) {
  if (x.type() == DataType::kString) {
    std::vector<std::string> strings;
    for (const int64_t block : blocks) {
      const auto first = x.strings().begin() + block * inner;
      strings.insert(strings.end(), first, first + inner);
    }
    return Tensor::of_strings(shape, std::move(strings));
  }
  Tensor result = workspace.allocate(x.type(), shape);
  dispatch_width(x.type(), [&]<class U>() {
    const U* from = elements<U>(x);
    U* to = mutable_elements<U>(result);
    for (const int64_t block : blocks) to = std::copy_n(from + block * inner, inner, to);
  });
  return result;
}

KernelPtr make_compress(const KernelRequest& request) {
  const bool flat = graph::find_attribute(*request.node, "axis") == nullptr;
  const int64_t wanted_axis = graph::int_attribute(*request.node, "axis", 0);
  return kernel_of(
      [=, operand = Operand(request, 1)](std::span<Tensor> inputs, std::span<Tensor> outputs, Workspace& workspace) {
        const Tensor& x = required(inputs, 0);
        const auto condition = operand.required_in(inputs).data<bool>();
        const size_t axis = flat ? 0 : static_cast<size_t>(normalize_axis(wanted_axis, x.rank()));
        const AxisRows rows = flat ? AxisRows{1, x.size(), 1} : rows_along(x.shape(), axis);
        std::vector<int64_t> blocks;
        const auto tested = std::min(static_cast<int64_t>(condition.size()), rows.count);
        for (int64_t o = 0; o < rows.outer; ++o) {
          for (int64_t i = 0; i < tested; ++i) {
            if (condition[static_cast<size_t>(i)]) blocks.push_back(o * rows.count + i);
          }
        }
        Shape shape = flat ? Shape{0} : x.shape();
        shape[axis] = std::count(condition.begin(), condition.begin() + tested, true);
        outputs[0] = gather_blocks(x, shape, blocks, rows.inner, workspace);
      });
}

KernelPtr make_reverse_sequence(const KernelRequest& request) {
  const int64_t time_axis = graph::int_attribute(*request.node, "time_axis", 0);
  const int64_t batch_axis = graph::int_attribute(*request.node, "batch_axis", 1);
  const bool time_first = time_axis == 0 && batch_axis == 1;
  if (!time_first && !(time_axis == 1 && batch_axis == 0)) refuse(request, "axes other than 0 and 1");
  return kernel_of(
      [=, operand = Operand(request, 1)](std::span<Tensor> inputs, std::span<Tensor> outputs, Workspace& workspace) {
        const Tensor& x = required(inputs, 0);
        const std::vector<int64_t> lengths = int_list(operand.required_in(inputs));
        if (x.rank() < 2 || static_cast<int64_t>(lengths.size()) != x.shape()[time_first ? 1 : 0]) {
          throw Error(ErrorKind::kModel, "{} lengths for {}", lengths.size(), shape_text(x.shape()));
        }
        const int64_t steps = x.shape()[time_first ? 0 : 1];
        std::vector<int64_t> blocks;
        for (int64_t i = 0; i < x.shape()[0]; ++i) {
          for (int64_t j = 0; j < x.shape()[1]; ++j) {
            const int64_t t = time_first ? i : j;
            const int64_t length = lengths[static_cast<size_t>(time_first ? j : i)];
            if (length < 0 || length > steps) throw Error(ErrorKind::kModel, "length {} of {} steps", length, steps);
            const int64_t source = t < length ? length - 1 - t : t;
            blocks.push_back(time_first ? source * x.shape()[1] + j : i * x.shape()[1] + source);
          }
        }
        outputs[0] = gather_blocks(x, x.shape(), blocks, product(std::span(x.shape()).subspan(2)), workspace);
      });
}

// past[b, ..., start[b] + t, ...] = update[b, ..., t, ...], by bytes.
KernelPtr make_tensor_scatter(const KernelRequest& request) {
  const std::string mode = graph::string_attribute(*request.node, "mode", "linear");
  if (mode != "linear" && mode != "circular") refuse(request, "unknown mode '" + mode + "'");
  const int64_t wanted_axis = graph::int_attribute(*request.node, "axis", -2);
  return kernel_of([=, wraps = mode == "circular", operand = Operand(request, 2)](
                       std::span<Tensor> inputs, std::span<Tensor> outputs, Workspace& /*workspace*/) {
    const Tensor& update = required(inputs, 1);
    const Tensor& starts = operand.in(inputs);
    required(inputs, 0);
    Tensor cache = std::move(inputs[0]);
    const auto axis = static_cast<size_t>(normalize_axis(wanted_axis, cache.rank()));
    Shape expected = cache.shape();
    if (update.rank() == cache.rank()) expected[axis] = update.shape()[axis];
    const AxisRows rows = rows_along(cache.shape(), axis);
    const int64_t steps = expected[axis];
    const std::vector<int64_t> first = starts.defined() ? int_list(starts) : std::vector<int64_t>();
    const auto batches = static_cast<int64_t>(first.size());
    if (axis == 0 || update.shape() != expected || steps > rows.count || update.type() != cache.type() ||
        (starts.defined() && batches != cache.shape()[0]) || data_type_bits(cache.type()) < 8) {
      throw Error(ErrorKind::kModel, "update {} does not fit {}", shape_text(update.shape()),
                  shape_text(cache.shape()));
    }
    const size_t width = storage_bytes(cache.type(), rows.inner);
    std::byte* to = cache.mutable_bytes();
    for (int64_t o = 0; o < rows.outer; ++o) {
      const int64_t start = batches == 0 ? 0 : first[static_cast<size_t>(o / (rows.outer / batches))];
      for (int64_t t = 0; t < steps && width > 0; ++t) {
        const int64_t at = wraps ? (start + t) % rows.count : start + t;
        if (at < 0 || at >= rows.count) throw Error(ErrorKind::kModel, "write index {} of {}", at, rows.count);
        std::memcpy(to + static_cast<size_t>(o * rows.count + at) * width,
                    update.bytes() + static_cast<size_t>(o * steps + t) * width, width);
      }
    }
    outputs[0] = std::move(cache);
  });
}

}  // namespace narrow::exec
