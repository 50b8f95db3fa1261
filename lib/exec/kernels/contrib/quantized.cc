// The QLinear operators and integer matrix products of com.microsoft: dequantize, compute in float32, quantize.
#include "lib/exec/kernels/contrib/composition.h"
#include "lib/exec/kernels/contrib/families.h"

namespace narrow::exec {

// A, A_scale, A_zero_point, B, B_scale, B_zero_point, C_scale, C_zero_point.
KernelPtr make_qlinear_binary(const KernelRequest& request) {
  Composition body(request);
  const std::string op_type = request.node->op_type() == "QLinearAdd" ? "Add" : "Mul";
  return body.kernel({body.quantized(body.add(op_type, {body.dequantized(0), body.dequantized(3)}), 6)});
}

// X, X_scale, X_zero_point, Y_scale, Y_zero_point; the attributes are those of the float operator.
KernelPtr make_qlinear_unary(const KernelRequest& request) {
  constexpr std::string_view kPrefix = "QLinear";
  const onnx::NodeProto& node = *request.node;
  const std::string op_type = node.op_type().substr(kPrefix.size());
  if (graph::int_attribute(node, "channels_last", 0) != 0) refuse(request, "channels_last");
  Composition body(request);
  const ValueId x = body.dequantized(0);
  ValueId y = kNoValue;
  if (op_type == "Softmax") {
    // The attribute "opset" says whether Softmax flattens, as it did before opset 13.
    const auto opset = static_cast<int>(graph::int_attribute(node, "opset", 13));
    y = body.add(op_type, {x}, attributes_named(node, {"axis"}), opset < 13 ? 11 : Composition::kOpset);
  } else {
    y = body.add(op_type, {x},
                 attributes_named(
                     node, {"alpha", "auto_pad", "ceil_mode", "count_include_pad", "kernel_shape", "pads", "strides"}));
  }
  return body.kernel({body.quantized(y, 3)});
}

// Y_scale, Y_zero_point, then value, scale and zero point of each part.
KernelPtr make_qlinear_concat(const KernelRequest& request) {
  Composition body(request);
  std::vector<ValueId> parts;
  for (size_t i = 2; i + 1 < static_cast<size_t>(request.node->input_size()); i += 3)
    parts.push_back(body.dequantized(i));
  return body.kernel({body.quantized(body.add("Concat", parts, attributes_named(*request.node, {"axis"})), 0)});
}

// condition, X, X_scale, X_zero_point, Y, Y_scale, Y_zero_point, Z_scale, Z_zero_point.
KernelPtr make_qlinear_where(const KernelRequest& request) {
  Composition body(request);
  const ValueId chosen = body.add("Where", {body.input(0), body.dequantized(1), body.dequantized(4)});
  return body.kernel({body.quantized(chosen, 7)});
}

// A, a_scale, a_zero_point, B, b_scale, b_zero_point, C (int32 in steps of alpha's operands), y_scale, y_zero_point.
KernelPtr make_qgemm(const KernelRequest& request) {
  const onnx::NodeProto& node = *request.node;
  Composition body(request);
  const bool transposes = graph::int_attribute(node, "transB", 0) != 0;
  const ValueId a = body.dequantized(0);
  const ValueId b = body.dequantized(3, {attribute_of("axis", int64_t{transposes ? 0 : 1})});
  ValueId y = body.add("Gemm", {a, b}, attributes_named(node, {"transA", "transB"}));
  if (body.input(6) != kNoValue) {
    const ValueId counts = body.add("Cast", {body.input(6)}, {attribute_of("to", int64_t{1})});
    y = body.add("Add", {y, body.add("Mul", {counts, body.add("Mul", {body.input(1), body.input(4)})})});
  }
  const float alpha = graph::float_attribute(node, "alpha", 1.0F);
  if (alpha != 1.0F) y = body.add("Mul", {y, body.constant(Tensor::scalar(alpha))});
  return body.kernel({body.input(7) == kNoValue ? y : body.quantized(y, 7)});
}

namespace {

// sums * (a_scale * b_scale) + bias.
ValueId scaled_sums(Composition& body, ValueId sums, ValueId a_scale, ValueId b_scale, ValueId bias) {
  const ValueId reals = body.add("Cast", {sums}, {attribute_of("to", int64_t{1})});
  return body.add_if_present(body.add("Mul", {reals, body.add("Mul", {a_scale, b_scale})}), bias);
}

}  // namespace

// A, B, a_scale, b_scale, a_zero_point, b_zero_point, bias.
KernelPtr make_matmul_integer_to_float(const KernelRequest& request) {
  Composition body(request);
  const ValueId sums = body.add("MatMulInteger", {body.input(0), body.input(1), body.input(4), body.input(5)});
  return body.kernel({scaled_sums(body, sums, body.input(2), body.input(3), body.input(6))});
}

// A (float32), B, b_scale, b_zero_point, bias.
KernelPtr make_dynamic_quantize_matmul(const KernelRequest& request) {
  Composition body(request);
  const std::vector<ValueId> a = body.add_outputs("DynamicQuantizeLinear", {body.input(0)}, 3);
  const ValueId sums = body.add("MatMulInteger", {a[0], body.input(1), a[2], body.input(3)});
  return body.kernel({scaled_sums(body, sums, a[1], body.input(2), body.input(4))});
}

}  // namespace narrow::exec
