#include "lib/exec/kernels/gemm.h"

#include "lib/exec/kernels/broadcast.h"
#include "lib/exec/kernels/families.h"
#include "lib/exec/kernels/strided.h"
#include "lib/exec/ref/matmul.h"

namespace narrow::exec {
namespace {

struct GemmAttributes {
  float alpha = 1;
  float beta = 1;
  bool transpose_a = false;
  bool transpose_b = false;
};

GemmAttributes gemm_attributes(const onnx::NodeProto& node) {
  return {.alpha = graph::float_attribute(node, "alpha", 1.0F),
          .beta = graph::float_attribute(node, "beta", 1.0F),
          .transpose_a = graph::int_attribute(node, "transA", 0) != 0,
          .transpose_b = graph::int_attribute(node, "transB", 0) != 0};
}

Tensor scaled(const Tensor& tensor, float factor) {
  if (factor == 1.0F) return tensor;
  Tensor result = tensor;
  for (float& value : result.mutable_data<float>()) value *= factor;
  return result;
}

bool is_float_matrix(const Tensor& tensor) {
  return tensor.defined() && tensor.type() == DataType::kFloat32 && tensor.rank() == 2 && tensor.size() > 0;
}

// C as one row of `columns` values, or undefined if it differs from row to row.
Tensor bias_row(const Tensor& c, int64_t columns, float beta) {
  const bool row = c.rank() <= 1 || (c.rank() == 2 && c.shape()[0] == 1);
  if (!row || c.type() != DataType::kFloat32 || (c.size() != 1 && c.size() != columns)) return {};
  Tensor result(DataType::kFloat32, {columns});
  const auto to = result.mutable_data<float>();
  for (size_t i = 0; i < to.size(); ++i) to[i] = beta * c.data<float>()[c.size() == 1 ? 0 : i];
  return result;
}

class DenseProduct final : public Kernel {
 public:
  DenseProduct(const DenseConstants& constants, const Epilogue& epilogue)
      : clamp_(epilogue.clamp),
        adds_(epilogue.add_residual),
        product_(spec(constants, epilogue), constants.weights, constants.bias) {
    Epilogue alone;
    if (adds_)
      bare_ = std::make_unique<const onednn::Matmul>(spec(constants, alone), constants.weights, constants.bias);
  }
  void run(std::span<Tensor> inputs, std::span<Tensor> outputs, Workspace& workspace) const override {
    const Tensor& a = required(inputs, 0);
    if (a.type() != DataType::kFloat32) {
      throw Error(ErrorKind::kModel, "operands of types {} and float32", data_type_name(a.type()));
    }
    if (!adds_) {
      outputs[0] = product_.run(a, Tensor(), workspace);
      return;
    }
    const Tensor& residual = required(inputs, inputs.size() - 1);
    if (residual.type() == DataType::kFloat32 && residual.shape() == product_.result_shape(a.shape())) {
      outputs[0] = product_.run(a, Tensor(), workspace, residual);
    } else {
      outputs[0] = add_and_clamp(bare_->run(a, Tensor(), workspace), residual, clamp_, workspace);
    }
  }
  std::string implementation() const override { return product_.implementation(); }

 private:
  static onednn::MatmulSpec spec(const DenseConstants& constants, const Epilogue& epilogue) {
    return {.transpose_a = constants.transpose_a,
            .transpose_b = constants.transpose_b,
            .clamp = epilogue.clamp,
            .add_residual = epilogue.add_residual,
            .activations = epilogue.activations,
            .requantize = std::nullopt};
  }

  onednn::Clamp clamp_;
  bool adds_;
  onednn::Matmul product_;
  std::unique_ptr<const onednn::Matmul> bare_;  // for a residual that broadcasts
};

Tensor transposed(const Tensor& tensor, bool wanted, Workspace& workspace) {
  if (tensor.rank() != 2) throw Error(ErrorKind::kModel, "expected a matrix, got {}", shape_text(tensor.shape()));
  return wanted ? permuted(tensor, {1, 0}, workspace) : tensor;
}

template <class T>
void scale_and_add(const GemmAttributes& attributes, const Tensor& c, Tensor& y) {
  if (attributes.alpha != 1.0F) {
    for (T& value : y.mutable_data<T>()) value = static_cast<T>(static_cast<T>(attributes.alpha) * value);
  }
  if (!c.defined()) return;
  const std::array<const Tensor*, 2> operands{&y, &c};
  if (broadcast_shape(operands) != y.shape()) {
    throw Error(ErrorKind::kModel, "C {} does not broadcast to {}", shape_text(c.shape()), shape_text(y.shape()));
  }
  const BroadcastLoops loops = broadcast_loops(operands, y.shape(), Layout::kPlain);
  T* to = y.mutable_data<T>().data();
  const T beta = static_cast<T>(attributes.beta);
  broadcast_binary(loops, static_cast<const T*>(to), c.data<T>().data(), to,
                   [beta](T x, T addend) { return static_cast<T>(x + beta * addend); });
}

// Any type, any of the operands known only at run time.
KernelPtr make_general_gemm(const KernelRequest& request) {
  return kernel_of([attributes = gemm_attributes(*request.node), b = Operand(request, 1), c = Operand(request, 2)](
                       std::span<Tensor> inputs, std::span<Tensor> outputs, Workspace& workspace) {
    const Tensor left = transposed(required(inputs, 0), attributes.transpose_a, workspace);
    const Tensor right = transposed(b.required_in(inputs), attributes.transpose_b, workspace);
    if (left.type() != right.type()) throw Error(ErrorKind::kModel, "operands of different types");
    const MatmulGeometry geometry = matmul_geometry(left.shape(), right.shape());
    outputs[0] = workspace.allocate(left.type(), geometry.result);
    dispatch_type(TypeList<float, double, int32_t, int64_t, uint32_t, uint64_t>(), left.type(), [&]<class T>() {
      multiply<T, T, T>(geometry, left.data<T>().data(), right.data<T>().data(), {T{}}, {T{}},
                        outputs[0].mutable_data<T>().data());
      scale_and_add<T>(attributes, c.in(inputs), outputs[0]);
    });
  });
}

}  // namespace

Tensor matrix_product(const Tensor& a, const Tensor& b, const onednn::Matmul& fast, Workspace& workspace) {
  if (a.type() != b.type()) throw Error(ErrorKind::kModel, "operands of different types");
  const MatmulGeometry geometry = matmul_geometry(a.shape(), b.shape());
  if (a.type() == DataType::kFloat32 && a.size() > 0 && b.size() > 0) return fast.run(a, b, workspace);
  Tensor result = workspace.allocate(a.type(), geometry.result);
  dispatch_type(TypeList<float, double, int32_t, int64_t, uint32_t, uint64_t>(), a.type(), [&]<class T>() {
    multiply<T, T, T>(geometry, a.data<T>().data(), b.data<T>().data(), {T{}}, {T{}}, result.mutable_data<T>().data());
  });
  return result;
}

bool dense_takes_epilogue(const KernelRequest& request) {
  const Operand b(request, 1);
  if (!is_float_matrix(b.constant())) return false;
  if (request.node->op_type() == "MatMul") return true;
  const Operand c(request, 2);
  if (!c.present()) return true;
  const GemmAttributes attributes = gemm_attributes(*request.node);
  const int64_t columns = b.constant().shape()[attributes.transpose_b ? 0 : 1];
  return c.constant().defined() && bias_row(c.constant(), columns, attributes.beta).defined();
}

DenseConstants dense_constants(const KernelRequest& request) {
  const Operand b(request, 1);
  if (request.node->op_type() == "MatMul") return {.weights = b.constant(), .bias = {}};
  const GemmAttributes attributes = gemm_attributes(*request.node);
  const Operand c(request, 2);
  const int64_t columns = b.constant().shape()[attributes.transpose_b ? 0 : 1];
  return {.weights = scaled(b.constant(), attributes.alpha),
          .bias = c.present() ? bias_row(c.constant(), columns, attributes.beta) : Tensor(),
          .transpose_a = attributes.transpose_a,
          .transpose_b = attributes.transpose_b};
}

KernelPtr make_dense(const DenseConstants& constants, const Epilogue& epilogue) {
  return std::make_unique<DenseProduct>(constants, epilogue);
}

KernelPtr make_gemm(const KernelRequest& request) {
  if (request.opset < 7 && graph::int_attribute(*request.node, "broadcast", 0) == 0 && request.node->input_size() > 2) {
    refuse(request, "C of opset 6 and older without the broadcast attribute");
  }
  return dense_takes_epilogue(request) ? make_dense(dense_constants(request), {}) : make_general_gemm(request);
}

KernelPtr make_matmul(const KernelRequest& request) {
  const Operand b(request, 1);
  if (const Tensor& weights = b.constant();
      weights.defined() && weights.type() == DataType::kFloat32 && weights.rank() >= 2 && weights.size() > 0) {
    return make_dense({.weights = weights, .bias = {}}, {});
  }
  const std::shared_ptr<const onednn::Matmul> fast = std::make_shared<onednn::Matmul>(onednn::MatmulSpec());
  return kernel_of([a_operand = Operand(request, 0), b, fast](std::span<Tensor> inputs, std::span<Tensor> outputs,
                                                              Workspace& workspace) {
    outputs[0] = matrix_product(a_operand.required_in(inputs), b.required_in(inputs), *fast, workspace);
  });
}

}  // namespace narrow::exec
