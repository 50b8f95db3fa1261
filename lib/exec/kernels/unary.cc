// Elementwise operators of one input, whose type the output has.
#include <cmath>
#include <numbers>
#include <type_traits>

#include "lib/exec/kernels/activation_functions.h"
#include "lib/exec/kernels/curve_loops.h"
#include "lib/exec/kernels/families.h"
#include "lib/exec/kernels/support.h"

namespace narrow::exec {
namespace {

/// `loop(from, to, count)` for every type of `Types`.
template <class Types, class Loop>
KernelPtr unary_loop(Loop loop) {
  return kernel_of(
      [loop](std::span<Tensor> inputs, std::span<Tensor> outputs, Workspace& workspace) {
        Tensor input = std::move(const_cast<Tensor&>(required(inputs, 0)));
        const DataType type = input.type();
        const std::byte* bytes = input.bytes();
        const int64_t count = input.size();
        const Shape shape = input.shape();
        const Layout layout = input.layout();
        outputs[0] = reuse_or_allocate(input, type, shape, layout, workspace);
        dispatch_type(Types(), type, [&]<class T>() {
          const T* from = reinterpret_cast<const T*>(bytes);
          T* to = mutable_elements<T>(outputs[0]);
          parallel_for(count, kElementGrain,
                       [&](int64_t begin, int64_t end) { loop(from + begin, to + begin, end - begin); });
        });
      },
      LayoutUse::kAny);
}

template <class Types, class Function>
KernelPtr unary(Function function) {
  return unary_loop<Types>([function]<class T>(const T* from, T* to, int64_t count) {
    for (int64_t i = 0; i < count; ++i) to[i] = static_cast<T>(function(from[i]));
  });
}

/// `function` for the types that have no vector code of the curve.
template <class Function>
KernelPtr curve(Curve curve, Function function) {
  return unary_loop<FloatTypes>([=]<class T>(const T* from, T* to, int64_t count) {
    if constexpr (std::is_same_v<T, float>) {
      map_curve(curve, from, to, static_cast<size_t>(count));
    } else {
      for (int64_t i = 0; i < count; ++i) to[i] = static_cast<T>(function(from[i]));
    }
  });
}

template <class T>
T absolute(T x) {
  if constexpr (std::is_unsigned_v<T>) {
    return x;
  } else if constexpr (std::is_integral_v<T>) {
    return x < 0 ? static_cast<T>(std::make_unsigned_t<T>{0} - static_cast<std::make_unsigned_t<T>>(x)) : x;
  } else {
    return std::abs(x);
  }
}

template <class T>
T negative(T x) {
  if constexpr (std::is_integral_v<T>) {
    return static_cast<T>(std::make_unsigned_t<T>{0} - static_cast<std::make_unsigned_t<T>>(x));
  } else {
    return -x;
  }
}

template <class T>
T sign(T x) {
  if constexpr (std::is_floating_point_v<T>) {
    if (std::isnan(x)) return x;
  }
  return static_cast<T>(static_cast<int>(x > T{0}) - static_cast<int>(x < T{0}));
}

template <class T>
T gelu_tanh(T x) {
  constexpr T kFactor = static_cast<T>(0.79788456080286535588);  // sqrt(2 / pi)
  return T{0.5} * x * (T{1} + std::tanh(kFactor * (x + static_cast<T>(0.044715) * x * x * x)));
}

template <class T>
T gelu_exact(T x) {
  return T{0.5} * x * (T{1} + std::erf(x * static_cast<T>(std::numbers::sqrt2 / 2)));
}

struct PlainRow {
  std::string_view op_type;
  KernelPtr (*make)();
};

// Operators without attributes.
const PlainRow kPlainRows[] = {
    {"Abs", [] { return unary<NumberTypes>([](auto x) { return absolute(x); }); }},
    {"Acos", [] { return unary<FloatTypes>([](auto x) { return std::acos(x); }); }},
    {"Acosh", [] { return unary<FloatTypes>([](auto x) { return std::acosh(x); }); }},
    {"Asin", [] { return unary<FloatTypes>([](auto x) { return std::asin(x); }); }},
    {"Asinh", [] { return unary<FloatTypes>([](auto x) { return std::asinh(x); }); }},
    {"Atan", [] { return unary<FloatTypes>([](auto x) { return std::atan(x); }); }},
    {"Atanh", [] { return unary<FloatTypes>([](auto x) { return std::atanh(x); }); }},
    {"BitwiseNot", [] { return unary<IntegerTypes>([](auto x) { return ~x; }); }},
    {"Ceil", [] { return unary<FloatTypes>([](auto x) { return std::ceil(x); }); }},
    {"Cos", [] { return unary<FloatTypes>([](auto x) { return std::cos(x); }); }},
    {"Cosh", [] { return unary<FloatTypes>([](auto x) { return std::cosh(x); }); }},
    {"Erf", [] { return curve(Curve::kErf, [](auto x) { return std::erf(x); }); }},
    {"Exp", [] { return curve(Curve::kExp, [](auto x) { return std::exp(x); }); }},
    {"Floor", [] { return unary<FloatTypes>([](auto x) { return std::floor(x); }); }},
    {"HardSwish",
     [] {
       return unary<FloatTypes>([](auto x) {
         using T = decltype(x);
         return x * std::clamp(x * (T{1} / T{6}) + T{0.5}, T{0}, T{1});
       });
     }},
    {"Log", [] { return curve(Curve::kLog, [](auto x) { return std::log(x); }); }},
    {"Mish", [] { return curve(Curve::kMish, [](auto x) { return x * std::tanh(softplus(x)); }); }},
    {"Neg", [] { return unary<SignedTypes>([](auto x) { return negative(x); }); }},
    {"Not", [] { return unary<TypeList<bool>>([](bool x) { return !x; }); }},
    {"Reciprocal", [] { return unary<FloatTypes>([](auto x) { return decltype(x){1} / x; }); }},
    {"Relu", [] { return unary<SignedTypes>([](auto x) { return x < decltype(x){0} ? decltype(x){0} : x; }); }},
    {"Round", [] { return unary<FloatTypes>([](auto x) { return std::nearbyint(x); }); }},
    {"Sigmoid", [] { return curve(Curve::kSigmoid, [](auto x) { return sigmoid(x); }); }},
    {"Sign", [] { return unary<NumberTypes>([](auto x) { return sign(x); }); }},
    {"Sin", [] { return unary<FloatTypes>([](auto x) { return std::sin(x); }); }},
    {"Sinh", [] { return unary<FloatTypes>([](auto x) { return std::sinh(x); }); }},
    {"Softplus", [] { return curve(Curve::kSoftplus, [](auto x) { return softplus(x); }); }},
    {"Softsign", [] { return unary<FloatTypes>([](auto x) { return x / (decltype(x){1} + std::abs(x)); }); }},
    {"Sqrt", [] { return unary<FloatTypes>([](auto x) { return std::sqrt(x); }); }},
    {"Tan", [] { return unary<FloatTypes>([](auto x) { return std::tan(x); }); }},
    {"Tanh", [] { return curve(Curve::kTanh, [](auto x) { return std::tanh(x); }); }},
};

}  // namespace

KernelPtr make_unary(const KernelRequest& request) {
  for (const PlainRow& row : kPlainRows) {
    if (row.op_type == request.node->op_type()) return row.make();
  }
  refuse(request, "no such elementwise operator");
}

KernelPtr make_parametric_unary(const KernelRequest& request) {
  const std::string& op = request.node->op_type();
  const auto number = [&](std::string_view name, float otherwise) {
    return graph::float_attribute(*request.node, name, otherwise);
  };
  // The defaults are those of the operators' definitions.
  if (op == "Elu") {
    return unary<FloatTypes>([alpha = number("alpha", 1.0F)](auto x) {
      using T = decltype(x);
      return x < T{0} ? static_cast<T>(alpha) * std::expm1(x) : x;
    });
  }
  if (op == "Celu") {
    return unary<FloatTypes>([alpha = number("alpha", 1.0F)](auto x) {
      using T = decltype(x);
      const T a = static_cast<T>(alpha);
      return std::max(x, T{0}) + std::min(T{0}, a * std::expm1(x / a));
    });
  }
  if (op == "LeakyRelu") {
    return unary<FloatTypes>([alpha = number("alpha", 0.01F)](auto x) {
      using T = decltype(x);
      return x < T{0} ? static_cast<T>(alpha) * x : x;
    });
  }
  if (op == "Selu") {
    const float alpha = number("alpha", 1.67326319217681884765625F);
    const float gamma = number("gamma", 1.05070102214813232421875F);
    return unary<FloatTypes>([alpha, gamma](auto x) {
      using T = decltype(x);
      return static_cast<T>(gamma) * (x > T{0} ? x : static_cast<T>(alpha) * std::expm1(x));
    });
  }
  if (op == "ThresholdedRelu") {
    return unary<FloatTypes>([alpha = number("alpha", 1.0F)](auto x) {
      using T = decltype(x);
      return x > static_cast<T>(alpha) ? x : T{0};
    });
  }
  if (op == "HardSigmoid") {
    return unary<FloatTypes>([alpha = number("alpha", 0.2F), beta = number("beta", 0.5F)](auto x) {
      using T = decltype(x);
      // The arguments' order lets NaN through.
      return std::max(std::min(static_cast<T>(alpha) * x + static_cast<T>(beta), T{1}), T{0});
    });
  }
  if (op == "Swish") {
    return unary<FloatTypes>(
        [alpha = number("alpha", 1.0F)](auto x) { return x * sigmoid(static_cast<decltype(x)>(alpha) * x); });
  }
  if (op == "Shrink") {
    return unary<NumberTypes>([bias = number("bias", 0.0F), lambd = number("lambd", 0.5F)](auto x) {
      const auto value = static_cast<double>(x);
      const double shrunk = value < -lambd ? value + bias : value > lambd ? value - bias : 0.0;
      return static_cast<decltype(x)>(shrunk);
    });
  }
  const std::string approximate = graph::string_attribute(*request.node, "approximate", "none");  // Gelu
  if (approximate == "tanh") return curve(Curve::kGeluTanh, [](auto x) { return gelu_tanh(x); });
  if (approximate != "none") refuse(request, "unknown approximation '" + approximate + "'");
  return curve(Curve::kGelu, [](auto x) { return gelu_exact(x); });
}

KernelPtr make_float_test(const KernelRequest& request) {
  const bool is_nan = request.node->op_type() == "IsNaN";
  const bool positive = graph::int_attribute(*request.node, "detect_positive", 1) != 0;
  const bool negative_too = graph::int_attribute(*request.node, "detect_negative", 1) != 0;
  return kernel_of(
      [=](std::span<Tensor> inputs, std::span<Tensor> outputs, Workspace& workspace) {
        const Tensor& input = required(inputs, 0);
        outputs[0] = workspace.allocate(DataType::kBool, input.shape(), input.layout());
        const auto to = outputs[0].mutable_data<bool>();
        dispatch_type(FloatTypes(), input.type(), [&]<class T>() {
          const auto from = input.data<T>();
          for (size_t i = 0; i < from.size(); ++i) {
            to[i] = is_nan ? std::isnan(from[i]) : std::isinf(from[i]) && (from[i] > 0 ? positive : negative_too);
          }
        });
      },
      LayoutUse::kAny);
}

KernelPtr make_clip(const KernelRequest& request) {
  const bool as_attributes = request.opset < 11;
  const float low =
      as_attributes ? graph::float_attribute(*request.node, "min", std::numeric_limits<float>::lowest()) : 0.0F;
  const float high =
      as_attributes ? graph::float_attribute(*request.node, "max", std::numeric_limits<float>::max()) : 0.0F;
  const Operand min = as_attributes ? Operand() : Operand(request, 1);
  const Operand max = as_attributes ? Operand() : Operand(request, 2);
  return kernel_of(
      [=](std::span<Tensor> inputs, std::span<Tensor> outputs, Workspace& workspace) {
        const Tensor& input = required(inputs, 0);
        const DataType type = input.type();
        dispatch_type(NumberTypes(), type, [&]<class T>() {
          const auto bound = [&](const Operand& operand, float attribute, T otherwise) {
            if (as_attributes) return static_cast<T>(attribute);
            const Tensor& tensor = operand.in(inputs);
            if (tensor.defined() && tensor.size() != 1) throw Error(ErrorKind::kModel, "a bound is no scalar");
            return tensor.defined() ? tensor.data<T>()[0] : otherwise;
          };
          const T lowest = bound(min, low, std::numeric_limits<T>::lowest());
          const T highest = bound(max, high, std::numeric_limits<T>::max());
          const bool has_low = as_attributes || min.present();
          const bool has_high = as_attributes || max.present();
          const T* from = elements<T>(input);
          const int64_t count = input.size();
          const Shape shape = input.shape();
          outputs[0] = reuse_or_allocate(inputs[0], type, shape, input.layout(), workspace);
          T* to = mutable_elements<T>(outputs[0]);
          parallel_for(count, kElementGrain, [&](int64_t begin, int64_t end) {
            for (int64_t i = begin; i < end; ++i) {
              const T raised = has_low && from[i] < lowest ? lowest : from[i];
              to[i] = has_high && raised > highest ? highest : raised;
            }
          });
        });
      },
      LayoutUse::kAny);
}

}  // namespace narrow::exec
