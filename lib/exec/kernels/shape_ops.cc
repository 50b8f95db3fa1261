// Operators that change the shape only, or tell of it.
#include "lib/exec/kernels/families.h"
#include "lib/exec/kernels/support.h"

namespace narrow::exec {
namespace {

Shape resolve_reshape(const Tensor& input, std::vector<int64_t> wanted, bool allow_zero) {
  int64_t known = 1;
  int64_t free_axis = -1;
  for (size_t axis = 0; axis < wanted.size(); ++axis) {
    if (wanted[axis] == 0 && !allow_zero) {
      if (axis >= input.rank()) throw Error(ErrorKind::kModel, "dimension {} to copy does not exist", axis);
      wanted[axis] = input.shape()[axis];
    }
    if (wanted[axis] == -1) {
      if (free_axis >= 0) throw Error(ErrorKind::kModel, "two dimensions are -1");
      free_axis = static_cast<int64_t>(axis);
    } else {
      known *= wanted[axis];
    }
  }
  if (free_axis >= 0) wanted[static_cast<size_t>(free_axis)] = known == 0 ? 0 : input.size() / known;
  if (element_count(wanted) != input.size()) {
    throw Error(ErrorKind::kModel, "{} elements of shape {} do not fit into {}", input.size(),
                shape_text(input.shape()), shape_text(wanted));
  }
  return wanted;
}

Shape squeezed(const Shape& shape, const std::vector<int64_t>& axes) {
  std::vector<bool> drop(shape.size(), false);
  for (const int64_t axis : axes) {
    const auto index = static_cast<size_t>(normalize_axis(axis, shape.size()));
    if (shape[index] != 1) throw Error(ErrorKind::kModel, "axis {} of {} is not 1", axis, shape_text(shape));
    drop[index] = true;
  }
  Shape result;
  for (size_t axis = 0; axis < shape.size(); ++axis) {
    if (axes.empty() ? shape[axis] != 1 : !drop[axis]) result.push_back(shape[axis]);
  }
  return result;
}

Shape unsqueezed(const Shape& shape, const std::vector<int64_t>& axes) {
  Shape result(shape.size() + axes.size(), 0);
  for (const int64_t axis : axes) result[static_cast<size_t>(normalize_axis(axis, result.size()))] = 1;
  size_t next = 0;
  for (int64_t& dimension : result) {
    if (dimension == 1) continue;
    if (next >= shape.size()) throw Error(ErrorKind::kModel, "axes are listed twice");
    dimension = shape[next++];
  }
  return result;
}

// Keeps the storage: only the shape changes. `shape_of(input, inputs)` tells the new one.
template <class ShapeOf>
KernelPtr reshaping(ShapeOf shape_of) {
  return kernel_of([shape_of](std::span<Tensor> inputs, std::span<Tensor> outputs, Workspace& /*workspace*/) {
    Shape shape = shape_of(required(inputs, 0), inputs);
    outputs[0] = inputs[0].reshaped(std::move(shape));
    inputs[0] = Tensor();
  });
}

}  // namespace

KernelPtr make_reshape(const KernelRequest& request) {
  const bool allow_zero = graph::int_attribute(*request.node, "allowzero", 0) != 0;
  if (request.opset < 5) {
    return reshaping(
        [wanted = graph::ints_attribute(*request.node, "shape"), allow_zero](const Tensor& input, std::span<Tensor>) {
          return resolve_reshape(input, wanted, allow_zero);
        });
  }
  return reshaping([shape = Operand(request, 1), allow_zero](const Tensor& input, std::span<Tensor> inputs) {
    return resolve_reshape(input, int_list(shape.required_in(inputs)), allow_zero);
  });
}

KernelPtr make_flatten(const KernelRequest& request) {
  return reshaping([axis = graph::int_attribute(*request.node, "axis", 1)](const Tensor& input, std::span<Tensor>) {
    const auto rank = static_cast<int64_t>(input.rank());
    // The axis may be the rank itself: everything goes to the first dimension.
    const int64_t split = axis == rank ? rank : normalize_axis(axis, input.rank() + (input.rank() == 0 ? 1 : 0));
    const std::span<const int64_t> dimensions(input.shape());
    const auto head = static_cast<size_t>(split);
    return Shape{product(dimensions.first(head)), product(dimensions.subspan(head))};
  });
}

KernelPtr make_squeeze(const KernelRequest& request) {
  const Operand operand = request.opset >= 13 ? Operand(request, 1) : Operand();
  return reshaping([attribute = graph::ints_attribute(*request.node, "axes"), operand](const Tensor& input,
                                                                                       std::span<Tensor> inputs) {
    return squeezed(input.shape(), axes_of(operand, attribute, inputs));
  });
}

KernelPtr make_unsqueeze(const KernelRequest& request) {
  const Operand operand = request.opset >= 13 ? Operand(request, 1) : Operand();
  return reshaping([attribute = graph::ints_attribute(*request.node, "axes"), operand](const Tensor& input,
                                                                                       std::span<Tensor> inputs) {
    return unsqueezed(input.shape(), axes_of(operand, attribute, inputs));
  });
}

KernelPtr make_identity(const KernelRequest& /*request*/) {
  return kernel_of(
      [](std::span<Tensor> inputs, std::span<Tensor> outputs, Workspace& /*workspace*/) {
        outputs[0] = required(inputs, 0);
        inputs[0] = Tensor();
      },
      LayoutUse::kAny);
}

KernelPtr make_shape(const KernelRequest& request) {
  const int64_t first = graph::int_attribute(*request.node, "start", 0);
  const int64_t last = graph::int_attribute(*request.node, "end", std::numeric_limits<int64_t>::max());
  return kernel_of(
      [first, last](std::span<Tensor> inputs, std::span<Tensor> outputs, Workspace& /*workspace*/) {
        const Shape& shape = required(inputs, 0).shape();
        const auto rank = static_cast<int64_t>(shape.size());
        const int64_t begin = std::clamp<int64_t>(first < 0 ? first + rank : first, 0, rank);
        const int64_t end = std::clamp<int64_t>(last < 0 ? last + rank : last, begin, rank);
        const std::span<const int64_t> part = std::span(shape).subspan(begin, end - begin);
        outputs[0] = Tensor::of<int64_t>({end - begin}, part);
      },
      LayoutUse::kAny);
}

KernelPtr make_size(const KernelRequest& /*request*/) {
  return kernel_of([](std::span<Tensor> inputs, std::span<Tensor> outputs,
                      Workspace& /*workspace*/) { outputs[0] = Tensor::scalar<int64_t>(required(inputs, 0).size()); },
                   LayoutUse::kAny);
}

}  // namespace narrow::exec
