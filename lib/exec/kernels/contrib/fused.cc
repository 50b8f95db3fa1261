// Operators that graph optimizers make of several: activations with a bias, products with a transposition, scaling or
// activation, and Pad of the domain com.microsoft.
#include <algorithm>
#include <numeric>

#include "lib/exec/kernels/contrib/composition.h"
#include "lib/exec/kernels/contrib/families.h"
#include "lib/exec/kernels/families.h"
#include "lib/exec/kernels/gemm.h"
#include "lib/exec/kernels/strided.h"

namespace narrow::exec {

// Gelu, BiasGelu (bias required) and FastGelu (bias optional, by tanh).
KernelPtr make_contrib_gelu(const KernelRequest& request) {
  Composition body(request);
  const std::string how = request.node->op_type() == "FastGelu" ? "tanh" : "none";
  const ValueId x = body.add_if_present(body.input(0), body.input(1));
  return body.kernel({body.add("Gelu", {x}, {attribute_of("approximate", how)})});
}

// x * sigmoid(alpha * x).
KernelPtr make_quick_gelu(const KernelRequest& request) {
  Composition body(request);
  const float alpha = graph::float_attribute(*request.node, "alpha", 1.702F);
  return body.kernel({body.add("Swish", {body.input(0)}, {attribute_of("alpha", alpha)}, /*opset=*/24)});
}

namespace {

// The axes of a matrix product's operand: all but the last two may go behind the first of these (transBatch).
Tensor turned(const Tensor& x, bool swaps, bool batch_last, Workspace& workspace) {
  if (x.rank() < 2 || (!swaps && !batch_last)) return x;
  std::vector<int64_t> order(x.rank());
  std::iota(order.begin(), order.end(), 0);
  // transBatch: [M, batch..., K] stands for [batch..., M, K].
  if (batch_last) std::rotate(order.begin(), order.begin() + 1, order.end() - 1);
  if (swaps) std::swap(order[order.size() - 1], order[order.size() - 2]);
  return permuted(x, order, workspace);
}

}  // namespace

// alpha * A' x B', where transA and transB swap the last two axes.
KernelPtr make_fused_matmul(const KernelRequest& request) {
  const auto flag = [&](const char* name) { return graph::int_attribute(*request.node, name, 0) != 0; };
  const float alpha = graph::float_attribute(*request.node, "alpha", 1.0F);
  const std::shared_ptr<const onednn::Matmul> fast = std::make_shared<onednn::Matmul>(onednn::MatmulSpec());
  return kernel_of([=, a = Operand(request, 0), b = Operand(request, 1), swap_a = flag("transA"),
                    swap_b = flag("transB"), batch_a = flag("transBatchA"), batch_b = flag("transBatchB")](
                       std::span<Tensor> inputs, std::span<Tensor> outputs, Workspace& workspace) {
    const Tensor left = turned(a.required_in(inputs), swap_a, batch_a, workspace);
    const Tensor right = turned(b.required_in(inputs), swap_b, batch_b, workspace);
    outputs[0] = matrix_product(left, right, *fast, workspace);
    if (alpha == 1.0F) return;
    dispatch_type(FloatTypes(), outputs[0].type(), [&]<class T>() {
      for (T& value : outputs[0].mutable_data<T>()) value *= static_cast<T>(alpha);
    });
  });
}

namespace {

// The activation that `name` and `parameters` ask for; "" is none.
ValueId activated(Composition& body, const KernelRequest& request, ValueId x, const std::string& name,
                  const std::vector<float>& parameters) {
  const auto parameter = [&](size_t index, float otherwise) {
    return index < parameters.size() ? parameters[index] : otherwise;
  };
  if (name.empty()) return x;
  if (name == "Relu" || name == "Tanh" || name == "Sigmoid") return body.add(name, {x});
  if (name == "LeakyRelu") return body.add(name, {x}, {attribute_of("alpha", parameter(0, 0.01F))});
  if (name == "HardSigmoid") {
    return body.add(name, {x}, {attribute_of("alpha", parameter(0, 0.2F)), attribute_of("beta", parameter(1, 0.5F))});
  }
  if (name == "Clip" && parameters.size() == 2) {
    return body.add(name,
                    {x, body.constant(Tensor::scalar(parameters[0])), body.constant(Tensor::scalar(parameters[1]))});
  }
  refuse(request, "no activation '" + name + "'");
}

}  // namespace

KernelPtr make_fused_gemm(const KernelRequest& request) {
  const onnx::NodeProto& node = *request.node;
  Composition body(request);
  const ValueId y = body.add("Gemm", {body.input(0), body.input(1), body.input(2)},
                             attributes_named(node, {"alpha", "beta", "transA", "transB"}));
  std::vector<float> parameters;
  for (const char* name : {"activation_alpha", "activation_beta", "activation_gamma"}) {
    if (graph::find_attribute(node, name) != nullptr) parameters.push_back(graph::float_attribute(node, name, 0.0F));
  }
  return body.kernel({activated(body, request, y, graph::string_attribute(node, "activation", ""), parameters)});
}

// X, W, B, Z: activation(Conv(X, W, B) + Z).
KernelPtr make_fused_conv(const KernelRequest& request) {
  const onnx::NodeProto& node = *request.node;
  Composition body(request);
  const ValueId y =
      body.add("Conv", {body.input(0), body.input(1), body.input(2)},
               attributes_named(node, {"auto_pad", "dilations", "group", "kernel_shape", "pads", "strides"}));
  return body.kernel(
      {activated(body, request, body.add_if_present(y, body.input(3)), graph::string_attribute(node, "activation", ""),
                 graph::floats_attribute(node, "activation_params"))});
}

// As Pad of ONNX since opset 11.
KernelPtr make_contrib_pad(const KernelRequest& request) {
  KernelRequest as_onnx = request;
  as_onnx.opset = 13;
  return make_pad(as_onnx);
}

// As Trilu of ONNX.
KernelPtr make_contrib_trilu(const KernelRequest& request) {
  KernelRequest as_onnx = request;
  as_onnx.opset = 14;
  return make_trilu(as_onnx);
}

// Unique of a vector, in order of appearance: values, the index of each element's value, counts.
KernelPtr make_contrib_unique(const KernelRequest& request) {
  Composition body(request);
  const std::vector<ValueId> found =
      body.add_outputs("Unique", {body.input(0)}, 4, {attribute_of("sorted", int64_t{0})});
  return body.kernel({found[0], found[2], found[3]});
}

}  // namespace narrow::exec
