#include "lib/exec/kernels/support.h"

#include "lib/graph/model.h"

namespace narrow::exec {
namespace {

const Tensor kAbsent;

}  // namespace

void refuse(const KernelRequest& request, const std::string& why) {
  throw Error(ErrorKind::kUnsupported, "node '{}' ({}): {}", graph::node_label(*request.node), request.node->op_type(),
              why);
}

const Tensor& required(std::span<Tensor> inputs, size_t index) {
  if (index >= inputs.size() || !inputs[index].defined()) throw Error(ErrorKind::kModel, "input {} is absent", index);
  return inputs[index];
}

Operand::Operand(const KernelRequest& request, size_t index) : index_(index) {
  const auto signed_index = static_cast<int>(index);
  present_ = signed_index < request.node->input_size() && !request.node->input(signed_index).empty();
  if (!present_ || !request.constant) return;
  if (const Tensor* constant = request.constant(signed_index)) constant_ = *constant;
}

const Tensor& Operand::in(std::span<Tensor> inputs) const {
  if (constant_.defined()) return constant_;
  return present_ && index_ < inputs.size() ? inputs[index_] : kAbsent;
}

const Tensor& Operand::required_in(std::span<Tensor> inputs) const {
  const Tensor& tensor = in(inputs);
  if (!tensor.defined()) throw Error(ErrorKind::kModel, "input {} is absent", index_);
  return tensor;
}

std::vector<int64_t> int_list(const Tensor& tensor) {
  std::vector<int64_t> result;
  result.reserve(static_cast<size_t>(tensor.size()));
  try {
    dispatch_type(IntegerTypes(), tensor.type(), [&]<class T>() {
      for (const T value : tensor.data<T>()) result.push_back(static_cast<int64_t>(value));
    });
  } catch (const Error&) {
    throw Error(ErrorKind::kModel, "expected integers, got {}", data_type_name(tensor.type()));
  }
  return result;
}

std::vector<int64_t> axes_of(const Operand& operand, const std::vector<int64_t>& attribute, std::span<Tensor> inputs) {
  const Tensor& tensor = operand.in(inputs);
  return tensor.defined() ? int_list(tensor) : attribute;
}

double scalar_value(const Tensor& tensor) {
  if (tensor.size() != 1) throw Error(ErrorKind::kModel, "expected one element, got {}", shape_text(tensor.shape()));
  double value = 0;
  dispatch_type(FixedTypes(), tensor.type(), [&]<class T>() { value = static_cast<double>(tensor.data<T>()[0]); });
  return value;
}

Tensor reuse_or_allocate(Tensor& candidate, DataType type, const Shape& shape, Layout layout, Workspace& workspace) {
  if (candidate.type() == type && candidate.layout() == layout && candidate.shape() == shape &&
      type != DataType::kString && candidate.exclusive()) {
    return std::move(candidate);
  }
  return workspace.allocate(type, shape, layout);
}

int64_t product(std::span<const int64_t> dimensions) {
  int64_t result = 1;
  for (const int64_t dimension : dimensions) result *= dimension;
  return result;
}

}  // namespace narrow::exec
