#include "lib/runtime/kernels/product_kernels.h"

#include <algorithm>
#include <map>
#include <mutex>

#include "lib/base/error.h"
#include "lib/base/parallel.h"
#include "lib/onednn/matmul.h"
#include "lib/runtime/kernels/linear_kernels.h"
#include "lib/runtime/kernels/sums_kernels.h"
#include "lib/runtime/ref/products.h"

namespace narrow::runtime {
namespace {

class ReferenceConvolution : public exec::Kernel {
 public:
  explicit ReferenceConvolution(ConvolutionGroup group) : group_(std::move(group)) {}
  void run(std::span<Tensor> inputs, std::span<Tensor> outputs, Workspace&) const override {
    outputs[0] = ref::convolve(inputs[0], group_);
  }
  exec::LayoutUse layout_use() const override { return exec::LayoutUse::kAny; }

 private:
  ConvolutionGroup group_;
};

class FastConvolution : public exec::Kernel {
 public:
  explicit FastConvolution(ConvolutionGroup group) : group_(std::move(group)) {
    // Pads that the node gives are those of any size: the weights are packed now, and a refusal comes at compile time.
    if (group_.window.auto_pad == exec::AutoPad::kNotSet) primitive(exec::smallest_window(group_.window, kernel()));
  }

  void run(std::span<Tensor> inputs, std::span<Tensor> outputs, Workspace& workspace) const override {
    const Tensor& x = inputs[0];
    const exec::Window window = exec::resolve_window(group_.window, exec::spatial_dimensions(x.shape()), kernel());
    if (x.shape()[1] != group_.weights.shape()[1] * group_.groups) {
      throw Error(ErrorKind::kModel, "{} channels for weights {}", x.shape()[1], shape_text(group_.weights.shape()));
    }
    outputs[0] = primitive(window).run(x, Tensor(), workspace);
  }
  exec::LayoutUse layout_use() const override { return exec::LayoutUse::kChannelsLast; }
  std::string implementation() const override {
    const std::lock_guard lock(mutex_);
    return primitives_.empty() ? "onednn" : primitives_.begin()->second->implementation();
  }

 private:
  Shape kernel() const { return exec::spatial_dimensions(group_.weights.shape()); }

  const onednn::Convolution& primitive(const exec::Window& window) const {
    const std::lock_guard lock(mutex_);
    auto& kept = primitives_[{window.pads_begin, window.pads_end}];
    if (!kept) {
      kept = std::make_unique<onednn::Convolution>(onednn::ConvolutionSpec{.source = group_.source,
                                                                           .destination = group_.destination,
                                                                           .strides = window.strides,
                                                                           .dilations = window.dilations,
                                                                           .pads_begin = window.pads_begin,
                                                                           .pads_end = window.pads_end,
                                                                           .groups = group_.groups,
                                                                           .clamp = group_.clamp,
                                                                           .add_residual = false,
                                                                           .requantize = group_.requantize},
                                                   group_.weights, group_.bias);
    }
    return *kept;
  }

  ConvolutionGroup group_;
  mutable std::mutex mutex_;
  // By pads; few: only auto_pad depends on the size.
  mutable std::map<std::pair<std::vector<int64_t>, std::vector<int64_t>>, std::unique_ptr<onednn::Convolution>>
      primitives_;
};

class ReferenceMatmul : public exec::Kernel {
 public:
  explicit ReferenceMatmul(MatmulGroup group) : group_(std::move(group)) {}
  void run(std::span<Tensor> inputs, std::span<Tensor> outputs, Workspace&) const override {
    outputs[0] = ref::multiply(inputs[0], inputs.size() > 1 ? inputs[1] : Tensor(), group_);
  }

 private:
  MatmulGroup group_;
};

onednn::MatmulSpec matmul_spec(const MatmulGroup& group, int32_t weight_zero_point) {
  return {.source = group.source,
          .destination = group.destination,
          .transpose_a = group.transpose_a,
          .transpose_b = group.transpose_b,
          .clamp = group.clamp,
          .requantize = group.requantize,
          .weight_zero_point = weight_zero_point};
}

class FastMatmul : public exec::Kernel {
 public:
  // A second operand of uint8 becomes int8 by flipping its sign bits: its zero point moves by 128.
  explicit FastMatmul(const MatmulGroup& group)
      : flip_second_(!group.weights.defined() && group.second == DataType::kUint8),
        product_(make_product(group, flip_second_)) {}

  void run(std::span<Tensor> inputs, std::span<Tensor> outputs, Workspace& workspace) const override {
    if (inputs.size() < 2) {
      outputs[0] = product_.run(inputs[0], Tensor(), workspace);
    } else {
      outputs[0] = product_.run(inputs[0], flip_second_ ? flipped(inputs[1], workspace) : inputs[1], workspace);
    }
  }
  std::string implementation() const override { return product_.implementation(); }

 private:
  static onednn::Matmul make_product(const MatmulGroup& group, bool flip) {
    const int32_t zero_point = group.weight_zero_points.empty() ? 0 : group.weight_zero_points[0];
    const onednn::MatmulSpec spec = matmul_spec(group, zero_point - (flip ? 128 : 0));
    if (group.weights.defined()) return onednn::Matmul(spec, group.weights, group.bias);
    return onednn::Matmul(spec);
  }

  static Tensor flipped(const Tensor& b, Workspace& workspace) {
    Tensor result = workspace.allocate(DataType::kInt8, b.shape());
    const Byte* from = bytes_of(b);
    Byte* to = bytes_of(result);
    for (int64_t i = 0; i < b.size(); ++i) to[i] = static_cast<Byte>(from[i] ^ 0x80);
    return result;
  }

  bool flip_second_;
  onednn::Matmul product_;
};

bool all_equal(const std::vector<int32_t>& values) {
  return std::adjacent_find(values.begin(), values.end(), std::not_equal_to<>()) == values.end();
}

void set_sums(const ProductGroup& group, SumsProduct& product) {
  product.source = group.source;
  product.source_zero_point = group.requantize.source_zero_point;
  product.weight_zero_points = group.weight_zero_points;
  product.end = {.destination = group.destination,
                 .scales = group.requantize.weight_scales,
                 .bias = group.bias,
                 .clamp = group.clamp,
                 .destination_scale = group.requantize.destination_scale,
                 .destination_zero_point = group.requantize.destination_zero_point};
  for (float& scale : product.end.scales) scale *= group.requantize.source_scale;
}

// Constant weights [K, N] or [N, K], each column with a zero point of its own.
bool has_sums_form(const MatmulGroup& group) {
  return group.weights.defined() && group.weights.rank() == 2 && !group.transpose_a;
}

Tensor transposed(const Tensor& weights) {
  const int64_t rows = weights.shape()[1];
  const int64_t columns = weights.shape()[0];
  Tensor result(DataType::kInt8, {rows, columns});
  const auto from = weights.data<int8_t>();
  const auto to = result.mutable_data<int8_t>();
  for (int64_t i = 0; i < rows; ++i) {
    for (int64_t j = 0; j < columns; ++j) {
      to[static_cast<size_t>(i * columns + j)] = from[static_cast<size_t>(j * rows + i)];
    }
  }
  return result;
}

}  // namespace

bool ProductGroup::symmetric_weights() const {
  return std::all_of(weight_zero_points.begin(), weight_zero_points.end(), [](int32_t z) { return z == 0; });
}

exec::KernelPtr make_convolution(ConvolutionGroup group, KernelChoice choice) {
  if (choice == KernelChoice::kReference) return std::make_unique<ReferenceConvolution>(std::move(group));
  if (group.symmetric_weights()) return std::make_unique<FastConvolution>(std::move(group));
  SumsConvolution convolution;
  set_sums(group, convolution);
  convolution.weights = std::move(group.weights);
  convolution.window = std::move(group.window);
  convolution.groups = group.groups;
  return make_sums_convolution(std::move(convolution));
}

exec::KernelPtr make_matmul(MatmulGroup group, KernelChoice choice) {
  const bool fast = choice == KernelChoice::kFast;
  if (fast && all_equal(group.weight_zero_points)) return std::make_unique<FastMatmul>(group);
  if (!fast || !has_sums_form(group)) return std::make_unique<ReferenceMatmul>(std::move(group));
  SumsProduct product;
  set_sums(group, product);
  product.weights = group.transpose_b ? transposed(group.weights) : std::move(group.weights);
  return make_sums_matmul(std::move(product));
}

}  // namespace narrow::runtime
