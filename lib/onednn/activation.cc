#include "lib/onednn/activation.h"

#include <algorithm>
#include <limits>

#include "lib/base/error.h"
#include "lib/onednn/post_ops.h"

namespace narrow::onednn {
namespace {

dnnl::algorithm algorithm_of(Activation::Kind kind) {
  switch (kind) {
    case Activation::Kind::kLinear:
      return dnnl::algorithm::eltwise_linear;
    case Activation::Kind::kClamp:
      return dnnl::algorithm::eltwise_clip;
    case Activation::Kind::kLeakyRelu:
      return dnnl::algorithm::eltwise_relu;
    case Activation::Kind::kSigmoid:
      return dnnl::algorithm::eltwise_logistic;
    case Activation::Kind::kTanh:
      return dnnl::algorithm::eltwise_tanh;
    case Activation::Kind::kSwish:
      return dnnl::algorithm::eltwise_swish;
    case Activation::Kind::kHardSigmoid:
      return dnnl::algorithm::eltwise_hardsigmoid;
    case Activation::Kind::kHardSwish:
      return dnnl::algorithm::eltwise_hardswish;
    case Activation::Kind::kGelu:
      return dnnl::algorithm::eltwise_gelu_erf;
    case Activation::Kind::kGeluTanh:
      return dnnl::algorithm::eltwise_gelu_tanh;
  }
  throw Error(ErrorKind::kInternal, "kind of activation");
}

}  // namespace

void append_activation(const Activation& activation, dnnl::post_ops& operations) {
  using Limits = std::numeric_limits<float>;  // oneDNN wants finite ends
  const bool one_sided =
      activation.kind == Activation::Kind::kClamp && activation.alpha == 0 && activation.beta >= Limits::max();
  if (one_sided) {
    operations.append_eltwise(dnnl::algorithm::eltwise_relu, 0.0F, 0.0F);
  } else {
    operations.append_eltwise(algorithm_of(activation.kind), std::max(activation.alpha, Limits::lowest()),
                              std::min(activation.beta, Limits::max()));
  }
}

}  // namespace narrow::onednn
