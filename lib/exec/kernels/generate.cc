// Operators that make tensors from attributes, shapes and indices.
#include <cmath>
#include <cstring>

#include "lib/exec/kernels/cast.h"
#include "lib/exec/kernels/families.h"
#include "lib/exec/kernels/support.h"
#include "lib/graph/model.h"

namespace narrow::exec {
namespace {

template <class T, class Field>
Tensor list_of(const Field& field) {
  std::vector<T> values(field.begin(), field.end());
  return Tensor::of<T>({static_cast<int64_t>(values.size())}, values);
}

Tensor constant_value(const KernelRequest& request) {
  for (const onnx::AttributeProto& attribute : request.node->attribute()) {
    const std::string& name = attribute.name();
    if (name == "value") {
      if (attribute.t().data_location() == onnx::TensorProto::EXTERNAL)
        refuse(request, "the value is in an external file");
      return graph::embedded_tensor(attribute.t());
    }
    if (name == "value_float") return Tensor::scalar(attribute.f());
    if (name == "value_int") return Tensor::scalar<int64_t>(attribute.i());
    if (name == "value_floats") return list_of<float>(attribute.floats());
    if (name == "value_ints") return list_of<int64_t>(attribute.ints());
    if (name == "value_string") return Tensor::of_strings({}, {attribute.s()});
    if (name == "value_strings") {
      return Tensor::of_strings({attribute.strings_size()}, {attribute.strings().begin(), attribute.strings().end()});
    }
  }
  refuse(request, "it has no dense value");
}

}  // namespace

KernelPtr make_constant(const KernelRequest& request) {
  return kernel_of([value = constant_value(request)](std::span<Tensor> /*inputs*/, std::span<Tensor> outputs,
                                                     Workspace& /*workspace*/) { outputs[0] = value; });
}

KernelPtr make_constant_of_shape(const KernelRequest& request) {
  Tensor value = Tensor::scalar(0.0F);
  if (const auto* attribute = graph::find_attribute(*request.node, "value"))
    value = graph::embedded_tensor(attribute->t());
  if (value.size() != 1) refuse(request, "value has not one element");
  return kernel_of([value](std::span<Tensor> inputs, std::span<Tensor> outputs, Workspace& workspace) {
    outputs[0] = workspace.allocate(value.type(), int_list(required(inputs, 0)));
    dispatch_width(value.type(), [&]<class U>() {
      U* to = mutable_elements<U>(outputs[0]);
      std::fill(to, to + outputs[0].size(), elements<U>(value)[0]);
    });
  });
}

KernelPtr make_range(const KernelRequest& /*request*/) {
  return kernel_of([](std::span<Tensor> inputs, std::span<Tensor> outputs, Workspace& workspace) {
    const double start = scalar_value(required(inputs, 0));
    const double limit = scalar_value(required(inputs, 1));
    const double delta = scalar_value(required(inputs, 2));
    if (delta == 0) throw Error(ErrorKind::kModel, "delta is 0");
    const auto count = static_cast<int64_t>(std::max(0.0, std::ceil((limit - start) / delta)));
    outputs[0] = workspace.allocate(inputs[0].type(), {count});
    dispatch_type(NumberTypes(), inputs[0].type(), [&]<class T>() {
      const T first = inputs[0].data<T>()[0];
      const T step = inputs[2].data<T>()[0];
      const auto to = outputs[0].mutable_data<T>();
      for (size_t i = 0; i < to.size(); ++i) to[i] = static_cast<T>(first + static_cast<T>(i) * step);
    });
  });
}

KernelPtr make_one_hot(const KernelRequest& request) {
  const int64_t wanted_axis = graph::int_attribute(*request.node, "axis", -1);
  return kernel_of([=](std::span<Tensor> inputs, std::span<Tensor> outputs, Workspace& workspace) {
    const Tensor& indices = required(inputs, 0);
    const auto depth = static_cast<int64_t>(scalar_value(required(inputs, 1)));
    const Tensor& values = required(inputs, 2);
    if (values.size() != 2) throw Error(ErrorKind::kModel, "{} values, expected 2", values.size());
    const auto axis = static_cast<size_t>(normalize_axis(wanted_axis, indices.rank() + 1));
    Shape shape = indices.shape();
    shape.insert(shape.begin() + static_cast<int64_t>(axis), depth);
    const int64_t inner = product(std::span(indices.shape()).subspan(axis));
    const std::vector<int64_t> hot = int_list(cast_tensor(indices, DataType::kInt64, workspace));
    outputs[0] = workspace.allocate(values.type(), shape);
    dispatch_width(values.type(), [&]<class U>() {
      U* to = mutable_elements<U>(outputs[0]);
      std::fill(to, to + outputs[0].size(), elements<U>(values)[0]);
      for (size_t i = 0; i < hot.size(); ++i) {
        if (hot[i] < -depth || hot[i] >= depth) continue;
        const int64_t at = hot[i] < 0 ? hot[i] + depth : hot[i];
        const auto index = static_cast<int64_t>(i);
        to[(index / inner * depth + at) * inner + index % inner] = elements<U>(values)[1];
      }
    });
  });
}

KernelPtr make_non_zero(const KernelRequest& /*request*/) {
  return kernel_of([](std::span<Tensor> inputs, std::span<Tensor> outputs, Workspace& workspace) {
    const Tensor& x = required(inputs, 0);
    std::vector<int64_t> found;
    dispatch_type(FixedTypes(), x.type(), [&]<class T>() {
      const auto values = x.data<T>();
      for (size_t i = 0; i < values.size(); ++i) {
        if (values[i] != T{0}) found.push_back(static_cast<int64_t>(i));
      }
    });
    const auto count = static_cast<int64_t>(found.size());
    const auto rank = static_cast<int64_t>(x.rank());
    outputs[0] = workspace.allocate(DataType::kInt64, {rank, count});
    const auto to = outputs[0].mutable_data<int64_t>();
    for (int64_t i = 0; i < count; ++i) {
      int64_t rest = found[static_cast<size_t>(i)];
      for (int64_t axis = rank; axis-- > 0;) {
        const int64_t size = x.shape()[static_cast<size_t>(axis)];
        to[static_cast<size_t>(axis * count + i)] = rest % size;
        rest /= size;
      }
    }
  });
}

KernelPtr make_trilu(const KernelRequest& request) {
  const bool upper = graph::int_attribute(*request.node, "upper", 1) != 0;
  return kernel_of(
      [=, operand = Operand(request, 1)](std::span<Tensor> inputs, std::span<Tensor> outputs, Workspace& workspace) {
        const Tensor& x = required(inputs, 0);
        if (x.rank() < 2) throw Error(ErrorKind::kModel, "rank {}, expected 2 or more", x.rank());
        const Tensor& offset = operand.in(inputs);
        const int64_t k = offset.defined() ? int_list(offset).at(0) : 0;
        const int64_t columns = x.shape().back();
        const int64_t rows = x.shape()[x.rank() - 2];
        outputs[0] = workspace.allocate(x.type(), x.shape());
        dispatch_width(x.type(), [&]<class U>() {
          const U* from = elements<U>(x);
          U* to = mutable_elements<U>(outputs[0]);
          for (int64_t i = 0; i < x.size(); ++i) {
            const int64_t diagonal = i % columns - i / columns % rows;
            to[i] = (upper ? diagonal >= k : diagonal <= k) ? from[i] : U{0};
          }
        });
      });
}

KernelPtr make_eye_like(const KernelRequest& request) {
  const int64_t k = graph::int_attribute(*request.node, "k", 0);
  const auto wanted = static_cast<DataType>(graph::int_attribute(*request.node, "dtype", 0));
  return kernel_of([=](std::span<Tensor> inputs, std::span<Tensor> outputs, Workspace& workspace) {
    const Tensor& x = required(inputs, 0);
    if (x.rank() != 2) throw Error(ErrorKind::kModel, "rank {}, expected 2", x.rank());
    Tensor ones = workspace.allocate(DataType::kUint8, x.shape());
    const auto to = ones.mutable_data<uint8_t>();
    const int64_t columns = x.shape()[1];
    for (int64_t i = 0; i < x.size(); ++i) {
      to[static_cast<size_t>(i)] = static_cast<uint8_t>(i % columns - i / columns == k ? 1 : 0);
    }
    outputs[0] = cast_tensor(ones, wanted == DataType::kUndefined ? x.type() : wanted, workspace);
  });
}

}  // namespace narrow::exec
