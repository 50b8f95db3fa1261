// Slice and Pad.
#include <cstring>

#include "lib/exec/kernels/families.h"
#include "lib/exec/kernels/strided.h"
#include "lib/exec/layout.h"
#include "lib/tensor/convert.h"

namespace narrow::exec {
namespace {

struct SliceArguments {
  std::vector<int64_t> starts;
  std::vector<int64_t> ends;
  std::vector<int64_t> axes;
  std::vector<int64_t> steps;
};

Tensor sliced(const Tensor& input, SliceArguments arguments, Workspace& workspace) {
  const std::vector<int64_t>& starts = arguments.starts;
  const std::vector<int64_t>& ends = arguments.ends;
  std::vector<int64_t>& axes = arguments.axes;
  std::vector<int64_t>& steps = arguments.steps;
  if (axes.empty()) {
    for (size_t i = 0; i < starts.size(); ++i) axes.push_back(static_cast<int64_t>(i));
  }
  if (steps.empty()) steps.assign(starts.size(), 1);
  if (ends.size() != starts.size() || axes.size() != starts.size() || steps.size() != starts.size()) {
    throw Error(ErrorKind::kModel, "starts, ends, axes and steps have different lengths");
  }
  Shape shape = input.shape();
  std::vector<int64_t> strides = element_strides(input);
  int64_t offset = 0;
  for (size_t i = 0; i < starts.size(); ++i) {
    const auto axis = static_cast<size_t>(normalize_axis(axes[i], input.rank()));
    const int64_t size = input.shape()[axis];
    const int64_t step = steps[i];
    if (step == 0) throw Error(ErrorKind::kModel, "a step is 0");
    const int64_t low = step > 0 ? 0 : -1;
    const int64_t high = step > 0 ? size : size - 1;
    const int64_t begin = std::clamp(starts[i] < 0 ? starts[i] + size : starts[i], step > 0 ? 0 : int64_t{0}, high);
    const int64_t end = std::clamp(ends[i] < 0 && ends[i] >= -size ? ends[i] + size : ends[i], low, high);
    // A negative end beyond the front means "all the way" for either direction: the clamp above does it.
    const int64_t span = step > 0 ? end - begin : begin - end;
    const int64_t magnitude = step > 0 ? step : -std::max(step, -std::numeric_limits<int64_t>::max());
    shape[axis] = span <= 0 || size == 0 ? 0 : (span - 1) / magnitude + 1;
    if (shape[axis] > 0) offset += begin * strides[axis];
    strides[axis] = shape[axis] > 1 ? strides[axis] * step : 0;
  }
  if (element_count(shape) == 0) return workspace.allocate(input.type(), shape, input.layout());
  const size_t width = static_cast<size_t>(data_type_bits(input.type())) / 8;
  return strided_tensor(input.type(), input.bytes() + static_cast<size_t>(offset) * width, strides, shape,
                        input.layout(), workspace);
}

enum class PadMode { kConstant, kReflect, kEdge, kWrap };

PadMode pad_mode(const KernelRequest& request) {
  const std::string mode = graph::string_attribute(*request.node, "mode", "constant");
  if (mode == "constant") return PadMode::kConstant;
  if (mode == "reflect") return PadMode::kReflect;
  if (mode == "edge") return PadMode::kEdge;
  if (mode == "wrap") return PadMode::kWrap;
  refuse(request, "unknown mode '" + mode + "'");
}

// Where the element at `index` (which may be outside [0, size)) comes from; -1 for the constant.
int64_t padded_source(int64_t index, int64_t size, PadMode mode) {
  if (index >= 0 && index < size) return index;
  switch (mode) {
    case PadMode::kConstant:
      return -1;
    case PadMode::kEdge:
      return std::clamp<int64_t>(index, 0, size - 1);
    case PadMode::kWrap:
      return ((index % size) + size) % size;
    case PadMode::kReflect:
      break;
  }
  if (size == 1) return 0;
  const int64_t period = 2 * (size - 1);
  const int64_t folded = ((index % period) + period) % period;
  return folded < size ? folded : period - folded;
}

struct Padding {
  std::vector<int64_t> begin;
  std::vector<int64_t> end;
};

Padding padding_of(const std::vector<int64_t>& pads, std::vector<int64_t> axes, size_t rank) {
  if (axes.empty()) {
    for (size_t axis = 0; axis < rank; ++axis) axes.push_back(static_cast<int64_t>(axis));
  }
  if (pads.size() != 2 * axes.size()) {
    throw Error(ErrorKind::kModel, "{} pads for {} axes", pads.size(), axes.size());
  }
  Padding padding{std::vector<int64_t>(rank, 0), std::vector<int64_t>(rank, 0)};
  for (size_t i = 0; i < axes.size(); ++i) {
    const auto axis = static_cast<size_t>(normalize_axis(axes[i], rank));
    padding.begin[axis] = pads[i];
    padding.end[axis] = pads[axes.size() + i];
  }
  return padding;
}

// Both tensors are in one order of memory, and so is everything here.
template <class U>
void pad_constant(const Tensor& input, Padding padding, U value, Tensor& output) {
  padding.begin = in_memory_order(std::move(padding.begin), input.layout());
  padding.end = in_memory_order(std::move(padding.end), input.layout());
  const Shape input_shape = memory_shape(input.shape(), input.layout());
  U* to = mutable_elements<U>(output);
  std::fill(to, to + output.size(), value);
  // The part of the input that is not cut away, and where it goes.
  Shape extents;
  int64_t from_offset = 0;
  int64_t to_offset = 0;
  const std::vector<int64_t> from_strides = dense_strides(input_shape);
  const std::vector<int64_t> to_strides = dense_strides(memory_shape(output.shape(), output.layout()));
  for (size_t axis = 0; axis < input.rank(); ++axis) {
    const int64_t first = std::max<int64_t>(0, -padding.begin[axis]);
    const int64_t last = input_shape[axis] - std::max<int64_t>(0, -padding.end[axis]);
    if (last <= first) return;
    extents.push_back(last - first);
    from_offset += first * from_strides[axis];
    to_offset += std::max<int64_t>(0, padding.begin[axis]) * to_strides[axis];
  }
  const Tensor* source = &input;
  Tensor cut;
  if (extents != input_shape) {
    cut = Tensor(input.type(), extents);
    copy_strided(input.type(), input.bytes() + static_cast<size_t>(from_offset) * sizeof(U), from_strides,
                 cut.mutable_bytes(), extents);
    source = &cut;
  }
  scatter_strided(input.type(), source->bytes(), extents, reinterpret_cast<std::byte*>(to + to_offset), to_strides);
}

// Reflect, edge and wrap: one axis after the other by table.
template <class U>
void pad_by_source(const Tensor& input, const Padding& padding, PadMode mode, Tensor& output) {
  const size_t rank = input.rank();
  std::vector<std::vector<int64_t>> sources(rank);
  const std::vector<int64_t> strides = dense_strides(input.shape());
  for (size_t axis = 0; axis < rank; ++axis) {
    if (input.shape()[axis] == 0) throw Error(ErrorKind::kModel, "an empty tensor can only be padded by a constant");
    // What is cut away does not come back: borders are those of the rest.
    const int64_t cut = std::max<int64_t>(0, -padding.begin[axis]);
    const int64_t rest = input.shape()[axis] - cut - std::max<int64_t>(0, -padding.end[axis]);
    const int64_t added = std::max<int64_t>(0, padding.begin[axis]);
    if (rest <= 0 && output.shape()[axis] > 0) throw Error(ErrorKind::kModel, "its pads cut everything away");
    for (int64_t i = 0; i < output.shape()[axis]; ++i) {
      sources[axis].push_back((cut + padded_source(i - added, rest, mode)) * strides[axis]);
    }
  }
  const U* from = elements<U>(input);
  U* to = mutable_elements<U>(output);
  std::vector<size_t> position(rank, 0);
  for (int64_t i = 0; i < output.size(); ++i) {
    int64_t offset = 0;
    for (size_t axis = 0; axis < rank; ++axis) offset += sources[axis][position[axis]];
    to[i] = from[offset];
    for (size_t axis = rank; axis-- > 0;) {
      if (++position[axis] < sources[axis].size()) break;
      position[axis] = 0;
    }
  }
}

}  // namespace

KernelPtr make_slice(const KernelRequest& request) {
  if (request.opset < 10) {
    const SliceArguments arguments{.starts = graph::ints_attribute(*request.node, "starts"),
                                   .ends = graph::ints_attribute(*request.node, "ends"),
                                   .axes = graph::ints_attribute(*request.node, "axes"),
                                   .steps = {}};
    return kernel_of(
        [arguments](std::span<Tensor> inputs, std::span<Tensor> outputs, Workspace& workspace) {
          outputs[0] = sliced(required(inputs, 0), arguments, workspace);
        },
        LayoutUse::kAny);
  }
  return kernel_of(
      [starts = Operand(request, 1), ends = Operand(request, 2), axes = Operand(request, 3),
       steps = Operand(request, 4)](std::span<Tensor> inputs, std::span<Tensor> outputs, Workspace& workspace) {
        outputs[0] = sliced(required(inputs, 0),
                            {.starts = int_list(starts.required_in(inputs)),
                             .ends = int_list(ends.required_in(inputs)),
                             .axes = axes_of(axes, {}, inputs),
                             .steps = axes_of(steps, {}, inputs)},
                            workspace);
      },
      LayoutUse::kAny);
}

KernelPtr make_pad(const KernelRequest& request) {
  const PadMode mode = pad_mode(request);
  const bool as_attributes = request.opset < 11;
  const auto attribute = graph::ints_attribute(*request.node, request.opset < 2 ? "paddings" : "pads");
  const float attribute_value = graph::float_attribute(*request.node, "value", 0.0F);
  const Operand pads = as_attributes ? Operand() : Operand(request, 1);
  const Operand value = as_attributes ? Operand() : Operand(request, 2);
  const Operand axes = request.opset < 18 ? Operand() : Operand(request, 3);
  return kernel_of(
      [=](std::span<Tensor> inputs, std::span<Tensor> outputs, Workspace& workspace) {
        const Tensor& input = required(inputs, 0);
        const auto amounts = as_attributes ? attribute : int_list(pads.required_in(inputs));
        const Padding padding = padding_of(amounts, axes_of(axes, {}, inputs), input.rank());
        Shape shape = input.shape();
        for (size_t axis = 0; axis < shape.size(); ++axis) {
          shape[axis] = std::max<int64_t>(0, shape[axis] + padding.begin[axis] + padding.end[axis]);
        }
        outputs[0] = workspace.allocate(input.type(), shape, input.layout());
        dispatch_width(input.type(), [&]<class U>() {
          if (mode != PadMode::kConstant) return pad_by_source<U>(input, padding, mode, outputs[0]);
          U fill{};
          if (as_attributes) {
            const Tensor given = convert_elements(Tensor::scalar(attribute_value), input.type(), workspace);
            fill = elements<U>(given)[0];
          } else if (const Tensor& given = value.in(inputs); given.defined()) {
            if (given.type() != input.type() || given.size() != 1) throw Error(ErrorKind::kModel, "wrong pad value");
            fill = elements<U>(given)[0];
          }
          pad_constant<U>(input, padding, fill, outputs[0]);
        });
      },
      mode == PadMode::kConstant ? LayoutUse::kAny : LayoutUse::kPlain);
}

}  // namespace narrow::exec
