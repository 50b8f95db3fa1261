#include "lib/runtime/kernels/dynamic_product.h"

#include <array>
#include <utility>

#include "lib/runtime/kernels/dynamic_quantize.h"
#include "lib/runtime/kernels/sums_kernels.h"

namespace narrow::runtime {
namespace {

class DynamicProductKernel final : public exec::Kernel {
 public:
  explicit DynamicProductKernel(DynamicProduct product)
      : scales_(std::move(product.weight_scales)), quantize_(make_dynamic_quantize()) {
    SumsProduct sums;
    sums.source = DataType::kUint8;
    sums.weights = std::move(product.weights);
    sums.weight_zero_points = std::move(product.weight_zero_points);
    sums.end.destination = DataType::kFloat32;
    product_ = make_sums_matmul(std::move(sums));
  }

  void run(std::span<Tensor> inputs, std::span<Tensor> outputs, Workspace& workspace) const override {
    std::array<Tensor, 3> quantized;  // integers, scale, zero point
    quantize_->run(inputs.first(1), quantized, workspace);
    const float scale = quantized[1].data<float>()[0];
    Tensor scales = workspace.allocate(DataType::kFloat32, {static_cast<int64_t>(scales_.size())});
    const auto to = scales.mutable_data<float>();
    for (size_t i = 0; i < scales_.size(); ++i) to[i] = scale * scales_[i];
    std::array<Tensor, 3> operands{std::move(quantized[0]), std::move(quantized[2]), std::move(scales)};
    product_->run(operands, outputs, workspace);
  }
  std::string implementation() const override { return product_->implementation(); }

 private:
  std::vector<float> scales_;
  exec::KernelPtr quantize_;
  exec::KernelPtr product_;
};

}  // namespace

exec::KernelPtr make_dynamic_product(DynamicProduct product) {
  return std::make_unique<DynamicProductKernel>(std::move(product));
}

}  // namespace narrow::runtime
