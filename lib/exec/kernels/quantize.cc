// QuantizeLinear, DequantizeLinear and DynamicQuantizeLinear, by the formulas of their definitions.
#include <cmath>

#include "lib/exec/kernels/families.h"
#include "lib/exec/kernels/support.h"

namespace narrow::exec {
namespace {

using QuantizedTypes = TypeList<int8_t, uint8_t, int16_t, uint16_t>;

// Which scale belongs to an element: index / inner % count.
struct Granularity {
  int64_t count = 1;
  int64_t inner = 1;
};

Granularity granularity_of(const Tensor& x, const Tensor& scale, const Tensor& zero_point, int64_t wanted_axis) {
  if (zero_point.defined() && zero_point.size() != scale.size()) {
    throw Error(ErrorKind::kModel, "{} scales and {} zero points", scale.size(), zero_point.size());
  }
  if (scale.size() == 1) return {};
  if (scale.rank() != 1) throw Error(ErrorKind::kUnsupported, "scale of rank {} (blocks)", scale.rank());
  const auto axis = static_cast<size_t>(normalize_axis(wanted_axis, x.rank()));
  const std::span<const int64_t> dimensions(x.shape());
  if (dimensions[axis] != scale.size()) {
    throw Error(ErrorKind::kModel, "{} scales for an axis of {}", scale.size(), dimensions[axis]);
  }
  return {scale.size(), product(dimensions.subspan(axis + 1))};
}

// NaN becomes the zero point, as it does in lib/quant.
template <class Q>
Q quantized(float real, float scale, float zero_point) {
  const float rounded = std::nearbyint(real / scale);
  const float value = (std::isnan(rounded) ? 0.0F : rounded) + zero_point;
  constexpr float kLow = static_cast<float>(std::numeric_limits<Q>::lowest());
  constexpr float kHigh = static_cast<float>(std::numeric_limits<Q>::max());
  return static_cast<Q>(std::clamp(value, kLow, kHigh));
}

// One run of elements that share scale and zero point.
template <class Visit>
void for_each_run(const Granularity& granularity, int64_t size, Visit visit) {
  const int64_t inner = granularity.count == 1 ? std::max<int64_t>(1, size) : granularity.inner;
  if (size == 0) return;
  parallel_for(size / inner, std::max<int64_t>(1, kElementGrain / inner), [&](int64_t begin, int64_t end) {
    for (int64_t run = begin; run < end; ++run) {
      visit(static_cast<size_t>(run % granularity.count), run * inner, (run + 1) * inner);
    }
  });
}

DataType quantized_type(const KernelRequest& request) {
  const int64_t wanted = graph::int_attribute(*request.node, "output_dtype", 0);
  return wanted == 0 ? DataType::kUint8 : static_cast<DataType>(wanted);
}

void refuse_blocks(const KernelRequest& request) {
  if (graph::int_attribute(*request.node, "block_size", 0) != 0) refuse(request, "scales by block");
  const int64_t precision = graph::int_attribute(*request.node, "precision", 0);
  if (precision != 0 && precision != 1) refuse(request, "precision other than float32");
}

}  // namespace

KernelPtr make_quantize_linear(const KernelRequest& request) {
  refuse_blocks(request);
  const int64_t axis = graph::int_attribute(*request.node, "axis", 1);
  return kernel_of([=, otherwise = quantized_type(request), scale_operand = Operand(request, 1),
                    zero_operand = Operand(request, 2)](std::span<Tensor> inputs, std::span<Tensor> outputs,
                                                        Workspace& workspace) {
    const Tensor& x = required(inputs, 0);
    const Tensor& scale = scale_operand.required_in(inputs);
    const Tensor& zero = zero_operand.in(inputs);
    if (x.type() != DataType::kFloat32 || scale.type() != DataType::kFloat32) {
      throw Error(ErrorKind::kUnsupported, "quantization of {}", data_type_name(x.type()));
    }
    const Granularity granularity = granularity_of(x, scale, zero, axis);
    outputs[0] = workspace.allocate(zero.defined() ? zero.type() : otherwise, x.shape());
    dispatch_type(QuantizedTypes(), outputs[0].type(), [&]<class Q>() {
      const float* from = x.data<float>().data();
      Q* to = outputs[0].mutable_data<Q>().data();
      for_each_run(granularity, x.size(), [&](size_t group, int64_t begin, int64_t end) {
        const float s = scale.data<float>()[group];
        const float z = zero.defined() ? static_cast<float>(zero.data<Q>()[group]) : 0.0F;
        for (int64_t i = begin; i < end; ++i) to[i] = quantized<Q>(from[i], s, z);
      });
    });
  });
}

KernelPtr make_dequantize_linear(const KernelRequest& request) {
  refuse_blocks(request);
  const int64_t axis = graph::int_attribute(*request.node, "axis", 1);
  const int64_t wanted = graph::int_attribute(*request.node, "output_dtype", 0);
  if (wanted != 0 && wanted != 1) refuse(request, "output_dtype other than float32");
  return kernel_of([=, scale_operand = Operand(request, 1), zero_operand = Operand(request, 2)](
                       std::span<Tensor> inputs, std::span<Tensor> outputs, Workspace& workspace) {
    const Tensor& x = required(inputs, 0);
    const Tensor& scale = scale_operand.required_in(inputs);
    const Tensor& zero = zero_operand.in(inputs);
    if (scale.type() != DataType::kFloat32) {
      throw Error(ErrorKind::kUnsupported, "scale of type {}", data_type_name(scale.type()));
    }
    const Granularity granularity = granularity_of(x, scale, zero, axis);
    outputs[0] = workspace.allocate(DataType::kFloat32, x.shape());
    dispatch_type(TypeList<int8_t, uint8_t, int16_t, uint16_t, int32_t>(), x.type(), [&]<class Q>() {
      const Q* from = x.data<Q>().data();
      float* to = outputs[0].mutable_data<float>().data();
      for_each_run(granularity, x.size(), [&](size_t group, int64_t begin, int64_t end) {
        const float s = scale.data<float>()[group];
        const int64_t z = zero.defined() ? static_cast<int64_t>(zero.data<Q>()[group]) : 0;
        for (int64_t i = begin; i < end; ++i) to[i] = static_cast<float>(static_cast<int64_t>(from[i]) - z) * s;
      });
    });
  });
}

KernelPtr make_dynamic_quantize_linear(const KernelRequest& /*request*/) {
  return kernel_of([](std::span<Tensor> inputs, std::span<Tensor> outputs, Workspace& workspace) {
    const auto x = required(inputs, 0).data<float>();
    float low = 0;
    float high = 0;
    for (const float value : x) {
      low = std::min(low, value);
      high = std::max(high, value);
    }
    const float scale = (high - low) / 255.0F;
    const float zero = scale == 0 ? 0.0F : std::nearbyint(std::clamp(-low / scale, 0.0F, 255.0F));
    Tensor codes = workspace.allocate(DataType::kUint8, inputs[0].shape());
    const auto to = codes.mutable_data<uint8_t>();
    for (size_t i = 0; i < to.size(); ++i) {
      to[i] = scale == 0 ? 0 : quantized<uint8_t>(x[i], scale, zero);
    }
    const std::array<Tensor, 3> results{codes, Tensor::scalar(scale), Tensor::scalar(static_cast<uint8_t>(zero))};
    std::copy_n(results.begin(), std::min(outputs.size(), results.size()), outputs.begin());
  });
}

}  // namespace narrow::exec
