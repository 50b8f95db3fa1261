#include "lib/exec/kernels/recurrent_activation.h"

#include <cmath>

#include "lib/exec/kernels/activation_functions.h"
#include "lib/exec/kernels/curve_loops.h"
#include "lib/exec/kernels/support.h"

namespace narrow::exec {
namespace {

struct ActivationRow {
  std::string_view name;  // lower case: files spell them in several ways
  ActivationKind kind;
  bool has_alpha;
  bool has_beta;
  double alpha;  // where the node gives none: onnxruntime's defaults, which are those of the operators of these names
  double beta;
};

constexpr ActivationRow kActivations[] = {
    {"affine", ActivationKind::kAffine, true, true, 1, 0},
    {"elu", ActivationKind::kElu, true, false, 1, 0},
    {"hardsigmoid", ActivationKind::kHardSigmoid, true, true, 0.2, 0.5},
    {"leakyrelu", ActivationKind::kLeakyRelu, true, false, 0.01, 0},
    {"relu", ActivationKind::kRelu, false, false, 0, 0},
    {"scaledtanh", ActivationKind::kScaledTanh, true, true, 1, 1},
    {"sigmoid", ActivationKind::kSigmoid, false, false, 0, 0},
    {"softplus", ActivationKind::kSoftplus, false, false, 0, 0},
    {"softsign", ActivationKind::kSoftsign, false, false, 0, 0},
    {"tanh", ActivationKind::kTanh, false, false, 0, 0},
    {"thresholdedrelu", ActivationKind::kThresholdedRelu, true, false, 1, 0},
};

const ActivationRow& row_of(const KernelRequest& request, std::string name) {
  for (char& c : name) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  for (const ActivationRow& row : kActivations) {
    if (row.name == name) return row;
  }
  refuse(request, fmt::format("there is no activation '{}'", name));
}

template <class T, class Function>
void map(std::span<T> values, Function function) {
  for (T& value : values) value = function(value);
}

/// `function` where the type has no vector code of the curve.
template <class T, class Function>
void map_curve_or(Curve curve, std::span<T> values, Function function) {
  if constexpr (std::is_same_v<T, float>) {
    map_curve(curve, values.data(), values.data(), values.size());
  } else {
    map(values, function);
  }
}

}  // namespace

std::vector<Activation> read_activations(const KernelRequest& request, const std::vector<ActivationKind>& defaults,
                                         size_t directions) {
  std::vector<Activation> result;
  const onnx::AttributeProto* names = graph::find_attribute(*request.node, "activations");
  if (names == nullptr || names->strings_size() == 0) {
    for (size_t d = 0; d < directions; ++d) {
      for (const ActivationKind kind : defaults) result.push_back({.kind = kind});
    }
    return result;
  }
  const std::vector<float> alphas = graph::floats_attribute(*request.node, "activation_alpha");
  const std::vector<float> betas = graph::floats_attribute(*request.node, "activation_beta");
  auto alpha = alphas.begin();
  auto beta = betas.begin();
  for (const std::string& name : names->strings()) {
    const ActivationRow& row = row_of(request, name);
    Activation activation{.kind = row.kind, .alpha = row.alpha, .beta = row.beta};
    if (row.has_alpha && alpha != alphas.end()) activation.alpha = static_cast<double>(*alpha++);
    if (row.has_beta && beta != betas.end()) activation.beta = static_cast<double>(*beta++);
    result.push_back(activation);
  }
  if (result.size() != defaults.size() * directions) {
    refuse(request, fmt::format("{} activations, but {} are needed", result.size(), defaults.size() * directions));
  }
  return result;
}

template <class T>
void activate(const Activation& activation, std::span<T> values) {
  const T alpha = static_cast<T>(activation.alpha);
  const T beta = static_cast<T>(activation.beta);
  switch (activation.kind) {
    case ActivationKind::kAffine:
      return map(values, [=](T x) { return alpha * x + beta; });
    case ActivationKind::kElu:
      return map(values, [=](T x) { return x >= T{0} ? x : alpha * std::expm1(x); });
    case ActivationKind::kHardSigmoid:
      return map(values, [=](T x) { return std::min(std::max(alpha * x + beta, T{0}), T{1}); });
    case ActivationKind::kLeakyRelu:
      return map(values, [=](T x) { return x >= T{0} ? x : alpha * x; });
    case ActivationKind::kRelu:
      return map(values, [](T x) { return std::max(x, T{0}); });
    case ActivationKind::kScaledTanh:
      return map(values, [=](T x) { return alpha * std::tanh(beta * x); });
    case ActivationKind::kSigmoid:
      return map_curve_or(Curve::kSigmoid, values, [](T x) { return sigmoid(x); });
    case ActivationKind::kSoftplus:
      return map_curve_or(Curve::kSoftplus, values, [](T x) { return softplus(x); });
    case ActivationKind::kSoftsign:
      return map(values, [](T x) { return x / (T{1} + std::abs(x)); });
    case ActivationKind::kTanh:
      return map_curve_or(Curve::kTanh, values, [](T x) { return std::tanh(x); });
    case ActivationKind::kThresholdedRelu:
      return map(values, [=](T x) { return x >= alpha ? x : T{0}; });
  }
}

template void activate<float>(const Activation& activation, std::span<float> values);
template void activate<double>(const Activation& activation, std::span<double> values);

}  // namespace narrow::exec
