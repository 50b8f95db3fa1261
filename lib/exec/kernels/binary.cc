// Elementwise operators of two or more inputs, with broadcasting.
#include <cmath>
#include <type_traits>

#include "lib/exec/kernels/broadcast.h"
#include "lib/exec/kernels/cast.h"
#include "lib/exec/kernels/families.h"

namespace narrow::exec {
namespace {

// Integers wrap around, as they do in every runtime; C++ leaves that undefined for signed ones.
template <class T, class Function>
T wrapped(T x, T y, Function f) {
  if constexpr (std::is_integral_v<T>) {
    using Wide = std::common_type_t<std::make_unsigned_t<T>, unsigned>;
    return static_cast<T>(f(static_cast<Wide>(x), static_cast<Wide>(y)));
  } else {
    return f(x, y);
  }
}

struct AddOp {
  template <class T>
  T operator()(T x, T y) const {
    return wrapped(x, y, [](auto a, auto b) { return a + b; });
  }
};
struct SubOp {
  template <class T>
  T operator()(T x, T y) const {
    return wrapped(x, y, [](auto a, auto b) { return a - b; });
  }
};
struct MulOp {
  template <class T>
  T operator()(T x, T y) const {
    return wrapped(x, y, [](auto a, auto b) { return a * b; });
  }
};
struct DivOp {
  template <class T>
  T operator()(T x, T y) const {
    if constexpr (std::is_integral_v<T>) {
      if (y == 0) throw Error(ErrorKind::kModel, "division of integers by zero");
      if constexpr (std::is_signed_v<T>) {
        if (y == T{-1}) return SubOp()(T{0}, x);
      }
    }
    return static_cast<T>(x / y);
  }
};

// Integers never are.
template <class T>
bool is_nan(T x) {
  if constexpr (std::is_floating_point_v<T>) {
    return std::isnan(x);
  } else {
    return false;
  }
}

// A NaN on either side is the result.
struct MinOp {
  template <class T>
  T operator()(T x, T y) const {
    return is_nan(x) ? x : (y < x || is_nan(y) ? y : x);
  }
};
struct MaxOp {
  template <class T>
  T operator()(T x, T y) const {
    return is_nan(x) ? x : (y > x || is_nan(y) ? y : x);
  }
};
// The sign of the divisor, as Python's %.
struct ModOp {
  template <class T>
  T operator()(T x, T y) const {
    if constexpr (std::is_integral_v<T>) {
      if (y == 0) throw Error(ErrorKind::kModel, "remainder of a division by zero");
      if constexpr (std::is_signed_v<T>) {
        if (y == T{-1}) return 0;
      }
      const T rest = static_cast<T>(x % y);
      return rest != 0 && (rest < 0) != (y < 0) ? static_cast<T>(rest + y) : rest;
    } else {
      const T rest = std::fmod(x, y);
      return rest != 0 && (rest < 0) != (y < 0) ? rest + y : rest;
    }
  }
};
// The sign of the dividend, as C's fmod.
struct FmodOp {
  template <class T>
  T operator()(T x, T y) const {
    if constexpr (std::is_integral_v<T>) {
      if (y == 0) throw Error(ErrorKind::kModel, "remainder of a division by zero");
      if constexpr (std::is_signed_v<T>) {
        if (y == T{-1}) return 0;
      }
      return static_cast<T>(x % y);
    } else {
      return std::fmod(x, y);
    }
  }
};
struct PowOp {
  template <class T, class U>
  T operator()(T x, U y) const {
    if constexpr (std::is_integral_v<T> && std::is_integral_v<U>) {
      if (y < U{0}) return static_cast<T>(std::pow(static_cast<double>(x), static_cast<double>(y)));
      T result = 1;
      for (U rest = y; rest > 0; rest = static_cast<U>(rest / 2)) {
        if (rest % 2 != 0) result = MulOp()(result, x);
        x = MulOp()(x, x);
      }
      return result;
    } else if constexpr (std::is_same_v<T, U>) {
      return y == T{2} ? x * x : std::pow(x, y);
    } else {
      return static_cast<T>(std::pow(static_cast<double>(x), static_cast<double>(y)));
    }
  }
};

// Both inputs, constants aligned to the other's order, and what they broadcast to.
struct Pair {
  std::array<Tensor, 2> operands;
  Shape shape;
  Layout layout = Layout::kPlain;
  BroadcastLoops loops;
};

// A tensor is brought into the other's order by the program, but for one that a constant of higher rank broadcasts: the
// axes of channels-last memory count from the front.
void unpermute(const Operand& operand, size_t position, size_t rank, std::span<Tensor> inputs) {
  if (operand.constant().defined() || required(inputs, position).rank() == rank) return;
  inputs[position] = to_layout(inputs[position], Layout::kPlain);
}

Pair take_pair(const Operand& a, const Operand& b, std::span<Tensor> inputs) {
  Pair pair;
  const size_t rank = std::max(a.required_in(inputs).rank(), b.required_in(inputs).rank());
  unpermute(a, 0, rank, inputs);
  unpermute(b, 1, rank, inputs);
  const Layout layout = std::max(a.required_in(inputs).layout(), b.required_in(inputs).layout());
  pair.operands[0] = a.constant().defined() ? align_constant(a.constant(), rank, layout) : std::move(inputs[0]);
  pair.operands[1] = b.constant().defined() ? align_constant(b.constant(), rank, layout) : std::move(inputs[1]);
  const std::array<const Tensor*, 2> pointers{&pair.operands[0], &pair.operands[1]};
  pair.shape = broadcast_shape(pointers);
  pair.layout = broadcast_layout(pointers);
  pair.loops = broadcast_loops(pointers, pair.shape, pair.layout);
  return pair;
}

void check_same_type(const Pair& pair) {
  if (pair.operands[0].type() == pair.operands[1].type()) return;
  throw Error(ErrorKind::kModel, "operands of types {} and {}", data_type_name(pair.operands[0].type()),
              data_type_name(pair.operands[1].type()));
}

// Up to opset 6 the second operand's axes begin at `axis` of the first's: at axis 1 of four, [C] stands for [C, 1, 1].
class OperandAtAxis final : public Kernel {
 public:
  OperandAtAxis(KernelPtr kernel, int64_t axis) : kernel_(std::move(kernel)), axis_(axis) {}

  void run(std::span<Tensor> inputs, std::span<Tensor> outputs, Workspace& workspace) const override {
    const size_t rank = required(inputs, 0).rank();
    const Tensor& second = required(inputs, 1);
    const auto end = static_cast<size_t>(normalize_axis(axis_, std::max<size_t>(rank, 1))) + second.rank();
    if (end > rank) {
      throw Error(ErrorKind::kModel, "{} does not broadcast from axis {} of {}", shape_text(second.shape()), axis_,
                  shape_text(inputs[0].shape()));
    }
    Shape shape = second.shape();
    shape.resize(shape.size() + rank - end, 1);
    inputs[1] = second.reshaped(std::move(shape));
    kernel_->run(inputs, outputs, workspace);
  }

 private:
  KernelPtr kernel_;
  int64_t axis_;
};

using Maker = KernelPtr (*)(const KernelRequest& request);

// nullptr: the node broadcasts as today's do.
KernelPtr legacy_kernel(const KernelRequest& request, Maker make) {
  const bool legacy = request.opset < 7 && graph::int_attribute(*request.node, "broadcast", 0) != 0;
  if (!legacy || graph::find_attribute(*request.node, "axis") == nullptr) return nullptr;
  KernelRequest modern = request;
  modern.opset = 7;
  modern.constant = nullptr;
  return std::make_unique<OperandAtAxis>(make(modern), graph::int_attribute(*request.node, "axis", 0));
}

// Result of the operands' type.
template <class Types, class Function>
KernelPtr arithmetic(const KernelRequest& request, Function function) {
  return kernel_of(
      [function, a = Operand(request, 0), b = Operand(request, 1)](std::span<Tensor> inputs, std::span<Tensor> outputs,
                                                                   Workspace& workspace) {
        Pair pair = take_pair(a, b, inputs);
        check_same_type(pair);
        const DataType type = pair.operands[0].type();
        const std::byte* x = pair.operands[0].bytes();
        const std::byte* y = pair.operands[1].bytes();
        const bool second_fits = pair.operands[1].shape() == pair.shape && pair.operands[1].exclusive() &&
                                 !(pair.operands[0].shape() == pair.shape && pair.operands[0].exclusive());
        outputs[0] = reuse_or_allocate(pair.operands[second_fits ? 1 : 0], type, pair.shape, pair.layout, workspace);
        dispatch_type(Types(), type, [&]<class T>() {
          broadcast_binary(pair.loops, reinterpret_cast<const T*>(x), reinterpret_cast<const T*>(y),
                           mutable_elements<T>(outputs[0]), [&](T p, T q) { return static_cast<T>(function(p, q)); });
        });
      },
      LayoutUse::kAny);
}

template <class Types, class Function>
KernelPtr comparison(const KernelRequest& request, Function function) {
  return kernel_of(
      [function, a = Operand(request, 0), b = Operand(request, 1)](std::span<Tensor> inputs, std::span<Tensor> outputs,
                                                                   Workspace& workspace) {
        const Pair pair = take_pair(a, b, inputs);
        check_same_type(pair);
        outputs[0] = workspace.allocate(DataType::kBool, pair.shape, pair.layout);
        dispatch_type(Types(), pair.operands[0].type(), [&]<class T>() {
          broadcast_binary(pair.loops, elements<T>(pair.operands[0]), elements<T>(pair.operands[1]),
                           mutable_elements<bool>(outputs[0]), [&](T p, T q) { return function(p, q); });
        });
      },
      LayoutUse::kAny);
}

}  // namespace

KernelPtr make_arithmetic(const KernelRequest& request) {
  if (KernelPtr legacy = legacy_kernel(request, make_arithmetic)) return legacy;
  const std::string& op = request.node->op_type();
  if (op == "Add") return arithmetic<NumberTypes>(request, AddOp());
  if (op == "Sub") return arithmetic<NumberTypes>(request, SubOp());
  if (op == "Mul") return arithmetic<NumberTypes>(request, MulOp());
  if (op == "Div") return arithmetic<NumberTypes>(request, DivOp());
  if (op == "BitwiseAnd") return arithmetic<IntegerTypes>(request, [](auto x, auto y) { return x & y; });
  if (op == "BitwiseOr") return arithmetic<IntegerTypes>(request, [](auto x, auto y) { return x | y; });
  if (op == "BitwiseXor") return arithmetic<IntegerTypes>(request, [](auto x, auto y) { return x ^ y; });
  if (op == "And") return arithmetic<TypeList<bool>>(request, [](bool x, bool y) { return x && y; });
  if (op == "Or") return arithmetic<TypeList<bool>>(request, [](bool x, bool y) { return x || y; });
  if (op == "Xor") return arithmetic<TypeList<bool>>(request, [](bool x, bool y) { return x != y; });
  if (graph::int_attribute(*request.node, "fmod", 0) != 0) return arithmetic<NumberTypes>(request, FmodOp());
  return arithmetic<NumberTypes>(request, ModOp());
}

KernelPtr make_comparison(const KernelRequest& request) {
  if (KernelPtr legacy = legacy_kernel(request, make_comparison)) return legacy;
  const std::string& op = request.node->op_type();
  if (op == "Equal") return comparison<FixedTypes>(request, [](auto x, auto y) { return x == y; });
  if (op == "Less") return comparison<NumberTypes>(request, [](auto x, auto y) { return x < y; });
  if (op == "LessOrEqual") return comparison<NumberTypes>(request, [](auto x, auto y) { return x <= y; });
  if (op == "Greater") return comparison<NumberTypes>(request, [](auto x, auto y) { return x > y; });
  return comparison<NumberTypes>(request, [](auto x, auto y) { return x >= y; });
}

KernelPtr make_pow(const KernelRequest& request) {
  if (KernelPtr legacy = legacy_kernel(request, make_pow)) return legacy;
  return kernel_of(
      [a = Operand(request, 0), b = Operand(request, 1)](std::span<Tensor> inputs, std::span<Tensor> outputs,
                                                         Workspace& workspace) {
        Pair pair = take_pair(a, b, inputs);
        const DataType type = pair.operands[0].type();
        if (pair.operands[1].type() != type && data_type_bits(type) >= 32) {
          const bool both_integer = type != DataType::kFloat32 && type != DataType::kFloat64 &&
                                    pair.operands[1].type() != DataType::kFloat32 &&
                                    pair.operands[1].type() != DataType::kFloat64;
          pair.operands[1] =
              cast_tensor(pair.operands[1], both_integer ? DataType::kInt64 : DataType::kFloat64, workspace);
        }
        outputs[0] = workspace.allocate(type, pair.shape, pair.layout);
        dispatch_type(TypeList<float, double, int32_t, int64_t>(), type, [&]<class T>() {
          dispatch_type(TypeList<float, double, int32_t, int64_t>(), pair.operands[1].type(), [&]<class U>() {
            broadcast_binary(pair.loops, elements<T>(pair.operands[0]), elements<U>(pair.operands[1]),
                             mutable_elements<T>(outputs[0]), PowOp());
          });
        });
      },
      LayoutUse::kAny);
}

namespace {

template <class Function>
KernelPtr variadic(Function function, bool mean) {
  return kernel_of(
      [function, mean](std::span<Tensor> inputs, std::span<Tensor> outputs, Workspace& workspace) {
        Tensor sum = std::move(const_cast<Tensor&>(required(inputs, 0)));
        for (size_t i = 1; i < inputs.size(); ++i) {
          const Tensor& next = required(inputs, i);
          const std::array<const Tensor*, 2> pointers{&sum, &next};
          if (sum.type() != next.type()) throw Error(ErrorKind::kModel, "operands of different types");
          const Shape shape = broadcast_shape(pointers);
          const Layout layout = broadcast_layout(pointers);
          const BroadcastLoops loops = broadcast_loops(pointers, shape, layout);
          const std::byte* bytes = sum.bytes();
          const Tensor keep = sum.shape() == shape && sum.exclusive() ? Tensor() : sum;
          Tensor result = keep.defined() ? workspace.allocate(sum.type(), shape, layout) : std::move(sum);
          dispatch_type(NumberTypes(), result.type(), [&]<class T>() {
            broadcast_binary(loops, reinterpret_cast<const T*>(bytes), elements<T>(next), mutable_elements<T>(result),
                             [&](T x, T y) { return static_cast<T>(function(x, y)); });
          });
          sum = std::move(result);
        }
        if (mean && inputs.size() > 1) {
          dispatch_type(FloatTypes(), sum.type(), [&]<class T>() {
            for (T& value : sum.mutable_data<T>()) value /= static_cast<T>(inputs.size());
          });
        }
        outputs[0] = std::move(sum);
      },
      LayoutUse::kAny);
}

}  // namespace

KernelPtr make_variadic(const KernelRequest& request) {
  const std::string& op = request.node->op_type();
  if (op == "Min") return variadic(MinOp(), false);
  if (op == "Max") return variadic(MaxOp(), false);
  return variadic(AddOp(), op == "Mean");
}

// Up to opset 6 a slope of several elements has one for each channel: [C] becomes [C, 1, ...].
Tensor slope_by_channel(const Tensor& slope, size_t rank) {
  if (slope.rank() != 1 || slope.size() == 1 || rank < 2) return slope;
  Shape shape(rank - 1, 1);
  shape[0] = slope.size();
  return slope.reshaped(std::move(shape));
}

KernelPtr make_prelu(const KernelRequest& request) {
  KernelRequest at_run_time = request;
  if (request.opset < 7) at_run_time.constant = nullptr;
  return kernel_of(
      [a = Operand(at_run_time, 0), b = Operand(at_run_time, 1), slope = Operand(request, 1), old = request.opset < 7](
          std::span<Tensor> inputs, std::span<Tensor> outputs, Workspace& workspace) {
        if (old) inputs[1] = slope_by_channel(slope.required_in(inputs), required(inputs, 0).rank());
        const Pair pair = take_pair(a, b, inputs);
        check_same_type(pair);
        outputs[0] = workspace.allocate(pair.operands[0].type(), pair.shape, pair.layout);
        dispatch_type(NumberTypes(), pair.operands[0].type(), [&]<class T>() {
          broadcast_binary(pair.loops, elements<T>(pair.operands[0]), elements<T>(pair.operands[1]),
                           mutable_elements<T>(outputs[0]),
                           [](T x, T factor) { return x < T{0} ? MulOp()(x, factor) : x; });
        });
      },
      LayoutUse::kAny);
}

KernelPtr make_bit_shift(const KernelRequest& request) {
  const bool left = graph::string_attribute(*request.node, "direction", "") == "LEFT";
  using Unsigned = TypeList<uint8_t, uint16_t, uint32_t, uint64_t>;
  return arithmetic<Unsigned>(request, [left](auto x, auto y) -> decltype(x) {
    using T = decltype(x);
    if (y >= sizeof(T) * 8) return 0;
    return static_cast<T>(left ? static_cast<uint64_t>(x) << y : static_cast<uint64_t>(x) >> y);
  });
}

KernelPtr make_where(const KernelRequest& /*request*/) {
  return kernel_of(
      [](std::span<Tensor> inputs, std::span<Tensor> outputs, Workspace& workspace) {
        const std::array<const Tensor*, 3> operands{&required(inputs, 0), &required(inputs, 1), &required(inputs, 2)};
        if (operands[1]->type() != operands[2]->type()) throw Error(ErrorKind::kModel, "branches of different types");
        const Shape shape = broadcast_shape(operands);
        const Layout layout = broadcast_layout(operands);
        const BroadcastLoops loops = broadcast_loops(operands, shape, layout);
        outputs[0] = workspace.allocate(operands[1]->type(), shape, layout);
        const bool* condition = operands[0]->data<bool>().data();
        dispatch_width(operands[1]->type(), [&]<class U>() {
          const U* yes = elements<U>(*operands[1]);
          const U* no = elements<U>(*operands[2]);
          U* to = mutable_elements<U>(outputs[0]);
          for_each_row<3>(loops, [&](int64_t start, const auto& offsets, const auto& steps, int64_t count) {
            for (int64_t i = 0; i < count; ++i) {
              to[start + i] =
                  condition[offsets[0] + i * steps[0]] ? yes[offsets[1] + i * steps[1]] : no[offsets[2] + i * steps[2]];
            }
          });
        });
      },
      LayoutUse::kAny);
}

}  // namespace narrow::exec
