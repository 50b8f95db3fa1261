// Adagrad, Adam and Momentum of ai.onnx.preview.training: one step of an optimizer over any number of tensors.
// Inputs: learning rate R, step count T, then for each group of the operator's tensors one tensor a parameter: all X,
// all gradients, then the states; outputs in the same order, without the gradients.
#include <cmath>

#include "lib/exec/kernels/families.h"
#include "lib/exec/kernels/support.h"

namespace narrow::exec {
namespace {

struct Step {
  double rate = 0;
  int64_t count = 0;
};

// What one element has: its value, its gradient, and one or two states.
struct Element {
  double x = 0;
  double gradient = 0;
  double first = 0;
  double second = 0;
};

// `states` per parameter; update(step, element) changes the element in place.
template <class Update>
KernelPtr optimizer(size_t states, Update update) {
  return kernel_of([states, update](std::span<Tensor> inputs, std::span<Tensor> outputs, Workspace& workspace) {
    const Step step{.rate = scalar_value(required(inputs, 0)),
                    .count = static_cast<int64_t>(scalar_value(required(inputs, 1)))};
    const size_t groups = 2 + states;
    if ((inputs.size() - 2) % groups != 0) throw Error(ErrorKind::kModel, "{} tensors to update", inputs.size() - 2);
    const size_t count = (inputs.size() - 2) / groups;
    for (size_t k = 0; k < count; ++k) {
      const auto input = [&](size_t group) -> const Tensor& { return required(inputs, 2 + group * count + k); };
      const Tensor& x = input(0);
      for (size_t group = 1; group < groups; ++group) {
        if (input(group).shape() == x.shape() && input(group).type() == x.type()) continue;
        throw Error(ErrorKind::kModel, "tensor {} does not fit its parameter", 2 + group * count + k);
      }
      std::vector<Tensor> results;
      for (size_t i = 0; i <= states; ++i) results.push_back(workspace.allocate(x.type(), x.shape()));
      dispatch_type(FloatTypes(), x.type(), [&]<class T>() {
        std::vector<T*> to;
        for (Tensor& result : results) to.push_back(result.mutable_data<T>().data());
        const auto at = [&](size_t group, size_t i) { return static_cast<double>(elements<T>(input(group))[i]); };
        for (size_t i = 0; i < static_cast<size_t>(x.size()); ++i) {
          Element element{at(0, i), at(1, i), at(2, i), states > 1 ? at(3, i) : 0.0};
          update(step, element);
          to[0][i] = static_cast<T>(element.x);
          to[1][i] = static_cast<T>(element.first);
          if (states > 1) to[2][i] = static_cast<T>(element.second);
        }
      });
      for (size_t i = 0; i <= states && i * count + k < outputs.size(); ++i) {
        outputs[i * count + k] = std::move(results[i]);
      }
    }
  });
}

double attribute(const KernelRequest& request, const char* name, float otherwise) {
  return static_cast<double>(graph::float_attribute(*request.node, name, otherwise));
}

}  // namespace

KernelPtr make_adagrad(const KernelRequest& request) {
  const double decay = attribute(request, "decay_factor", 0.0F);
  const double epsilon = attribute(request, "epsilon", 1e-6F);
  const double penalty = attribute(request, "norm_coefficient", 0.0F);
  return optimizer(1, [=](const Step& step, Element& e) {
    const double rate = step.rate / (1 + static_cast<double>(step.count) * decay);
    const double gradient = e.gradient + penalty * e.x;
    e.first += gradient * gradient;
    e.x -= rate * gradient / (std::sqrt(e.first) + epsilon);
  });
}

KernelPtr make_adam(const KernelRequest& request) {
  const double alpha = attribute(request, "alpha", 0.9F);
  const double beta = attribute(request, "beta", 0.999F);
  const double epsilon = attribute(request, "epsilon", 1e-6F);
  const double penalty = attribute(request, "norm_coefficient", 0.0F);
  const double penalty_after = attribute(request, "norm_coefficient_post", 0.0F);
  return optimizer(2, [=](const Step& step, Element& e) {
    const auto count = static_cast<double>(step.count);
    const double gradient = e.gradient + penalty * e.x;
    e.first = alpha * e.first + (1 - alpha) * gradient;
    e.second = beta * e.second + (1 - beta) * gradient * gradient;
    const double correction = std::sqrt(1 - std::pow(beta, count)) / (1 - std::pow(alpha, count));
    const double rate = step.count > 0 ? step.rate * correction : step.rate;
    e.x -= rate * e.first / (std::sqrt(e.second) + epsilon);
    e.x *= 1 - penalty_after;
  });
}

KernelPtr make_momentum(const KernelRequest& request) {
  const double alpha = attribute(request, "alpha", 0.0F);
  const double beta = attribute(request, "beta", 0.0F);
  const double penalty = attribute(request, "norm_coefficient", 0.0F);
  const std::string mode = graph::string_attribute(*request.node, "mode", "standard");
  if (mode != "standard" && mode != "nesterov") refuse(request, "unknown mode '" + mode + "'");
  return optimizer(1, [=, looks_ahead = mode == "nesterov"](const Step& step, Element& e) {
    const double gradient = e.gradient + penalty * e.x;
    e.first = alpha * e.first + (step.count > 0 ? beta : 1.0) * gradient;
    e.x -= step.rate * (looks_ahead ? gradient + alpha * e.first : e.first);
  });
}

}  // namespace narrow::exec
