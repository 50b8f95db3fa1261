// What kernel files share: kernels from lambdas, operands that may be constants, dispatch over element types.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "lib/base/error.h"
#include "lib/base/parallel.h"
#include "lib/exec/float_program.h"
#include "lib/exec/kernel.h"
#include "lib/graph/attributes.h"
#include "lib/tensor/visit_type.h"

namespace narrow::exec {

/// Elements that one piece of parallel elementwise work has at least.
inline constexpr int64_t kElementGrain = 32768;

/// A kernel whose run() is body(inputs, outputs, workspace).
template <class Body>
class FunctionKernel final : public Kernel {
 public:
  FunctionKernel(Body body, LayoutUse use) : body_(std::move(body)), use_(use) {}
  void run(std::span<Tensor> inputs, std::span<Tensor> outputs, Workspace& workspace) const override {
    body_(inputs, outputs, workspace);
  }
  LayoutUse layout_use() const override { return use_; }

 private:
  Body body_;
  LayoutUse use_;
};

template <class Body>
KernelPtr kernel_of(Body body, LayoutUse use = LayoutUse::kPlain) {
  return std::make_unique<const FunctionKernel<Body>>(std::move(body), use);
}

/// Throws Error(kUnsupported): no kernel for this node, and why.
[[noreturn]] void refuse(const KernelRequest& request, const std::string& why);

/// Refuses a node with fewer inputs or outputs than its kernel reads. Run-time absence of an input is a model error.
const Tensor& required(std::span<Tensor> inputs, size_t index);

/// An input that the kernel holds itself when it is constant.
class Operand {
 public:
  Operand() = default;
  Operand(const KernelRequest& request, size_t index);

  /// The value; an undefined tensor if the input is absent.
  const Tensor& in(std::span<Tensor> inputs) const;
  /// Throws Error(kModel) if absent.
  const Tensor& required_in(std::span<Tensor> inputs) const;
  /// The constant, undefined if the value is only known at run time.
  const Tensor& constant() const { return constant_; }
  bool present() const { return present_; }

 private:
  Tensor constant_;
  size_t index_ = 0;
  bool present_ = false;
};

/// The elements of an integer tensor of any integer type. Throws Error(kModel) for other types.
std::vector<int64_t> int_list(const Tensor& tensor);
/// Axes of an attribute or, from `input_opset` on, of an input; empty if the node has neither.
std::vector<int64_t> axes_of(const Operand& operand, const std::vector<int64_t>& attribute, std::span<Tensor> inputs);
/// The only element of a tensor, converted. Throws Error(kModel) if there is not exactly one.
double scalar_value(const Tensor& tensor);

/// `candidate` itself, moved out, if it may be overwritten and fits; a new tensor otherwise.
Tensor reuse_or_allocate(Tensor& candidate, DataType type, const Shape& shape, Layout layout, Workspace& workspace);

int64_t product(std::span<const int64_t> dimensions);

/// Calls body.template operator()<T>() with the element type `type`. Throws Error(kUnsupported) if T is not listed.
template <class Body, class... Types>
void dispatch_type(TypeList<Types...> types, DataType type, Body body) {
  if (visit_type(types, type, body)) return;
  throw Error(ErrorKind::kUnsupported, "no kernel for elements of type {}", data_type_name(type));
}

/// 128 bits to move.
struct WideBits {
  uint64_t low = 0;
  uint64_t high = 0;
};

/// Calls body.template operator()<U>() with a type as wide as an element: for kernels that only move data.
template <class Body>
void dispatch_width(DataType type, Body body) {
  switch (data_type_bits(type)) {
    case 8:
      return body.template operator()<uint8_t>();
    case 16:
      return body.template operator()<uint16_t>();
    case 32:
      return body.template operator()<uint32_t>();
    case 64:
      return body.template operator()<uint64_t>();
    case 128:
      return body.template operator()<WideBits>();
    default:
      throw Error(ErrorKind::kUnsupported, "no kernel for elements of type {}", data_type_name(type));
  }
}

/// Elements in memory order as another type of the same width.
template <class T>
const T* elements(const Tensor& tensor) {
  return reinterpret_cast<const T*>(tensor.bytes());
}
template <class T>
T* mutable_elements(Tensor& tensor) {
  return reinterpret_cast<T*>(tensor.mutable_bytes());
}

}  // namespace narrow::exec
