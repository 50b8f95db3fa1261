// QuantizeLinear, DequantizeLinear and DynamicQuantizeLinear, by the formulas of their definitions.
#include <cmath>

#include "lib/exec/kernels/families.h"
#include "lib/exec/kernels/scale_groups.h"
#include "lib/exec/kernels/support.h"
#include "lib/tensor/convert.h"
#include "lib/tensor/packed.h"

namespace narrow::exec {
namespace {

using QuantizedTypes = TypeList<int8_t, uint8_t, int16_t, uint16_t>;

// Of an integer type with a sign or without.
struct Limits {
  float low;
  float high;
};

Limits limits_of(DataType type) {
  const int bits = data_type_bits(type);
  const bool is_signed = data_type_name(type).starts_with("int");
  const float span = std::ldexp(1.0F, bits);
  return is_signed ? Limits{-span / 2, span / 2 - 1} : Limits{0, span - 1};
}

// NaN becomes the zero point, as it does in lib/quant.
template <class Q>
Q quantized(float quotient, float zero_point, Limits limits) {
  const float rounded = std::nearbyint(quotient);
  return static_cast<Q>(std::clamp((std::isnan(rounded) ? 0.0F : rounded) + zero_point, limits.low, limits.high));
}

Tensor as_float32(const Tensor& tensor, Workspace& workspace) {
  return tensor.defined() ? convert_elements(tensor, DataType::kFloat32, workspace) : tensor;
}

// Values as the type `precision` holds them, in float32.
Tensor in_precision(const Tensor& tensor, DataType precision, Workspace& workspace) {
  return as_float32(precision == DataType::kFloat32 ? tensor : convert_elements(tensor, precision, workspace),
                    workspace);
}

template <SmallFloat format>
float rounded_to(float value) {
  return decode_float<format>(encode_float<format>(value, Overflow::kSpecial));
}

// x / scale, rounded to the precision: float32 has more than twice the digits of the others, so rounding twice is
// exact.
template <class Store>
void divide(const float* x, float scale, DataType precision, int64_t count, Store store) {
  const auto each = [&](auto round) {
    for (int64_t i = 0; i < count; ++i) store(i, round(x[i] / scale));
  };
  if (precision == DataType::kFloat16) {
    each(rounded_to<kSmallFloat<DataType::kFloat16>>);
  } else if (precision == DataType::kBfloat16) {
    each(rounded_to<kSmallFloat<DataType::kBfloat16>>);
  } else {
    each([](float value) { return value; });
  }
}

// What quantization needs beyond x: all in float32.
struct Quantizer {
  ScaleGroups groups;
  DataType precision = DataType::kFloat32;
  Tensor scale;
  Tensor zero;  // may be undefined

  // Calls store(i, quotient, zero_point) for each element.
  template <class Store>
  void run(const Tensor& x, Store store) const {
    const float* from = x.data<float>().data();
    const float* scales = scale.data<float>().data();
    const float* zeros = zero.defined() ? zero.data<float>().data() : nullptr;
    for_each_scale_run(groups, [&](int64_t group, int64_t step, int64_t begin, int64_t end) {
      const int64_t width = step == 0 ? end - begin : 1;
      for (int64_t i = begin; i < end; i += width, group += step) {
        const float z = zeros == nullptr ? 0.0F : zeros[group];
        divide(from + i, scales[group], precision, width,
               [&](int64_t k, float quotient) { store(i + k, quotient, z); });
      }
    });
  }
};

Tensor quantize_to_integers(const Quantizer& quantizer, const Tensor& x, DataType type, Workspace& workspace) {
  const bool is_signed = type == DataType::kInt4 || type == DataType::kInt2;
  const DataType stored = !is_packed(type) ? type : is_signed ? DataType::kInt8 : DataType::kUint8;
  Tensor codes = workspace.allocate(stored, x.shape());
  dispatch_type(QuantizedTypes(), stored, [&, limits = limits_of(type)]<class Q>() {
    Q* to = codes.mutable_data<Q>().data();
    quantizer.run(x, [=](int64_t i, float quotient, float z) { to[i] = quantized<Q>(quotient, z, limits); });
  });
  return is_packed(type) ? packed(codes, type, workspace) : codes;
}

Tensor quantize_to_floats(const Quantizer& quantizer, const Tensor& x, DataType type, Overflow overflow,
                          Workspace& workspace) {
  Tensor reals = workspace.allocate(DataType::kFloat32, x.shape());
  float* to = reals.mutable_data<float>().data();
  quantizer.run(x, [=](int64_t i, float quotient, float z) { to[i] = quotient + z; });
  return convert_elements(reals, type, workspace, {.overflow = overflow});
}

DataType type_attribute(const KernelRequest& request, std::string_view name) {
  return static_cast<DataType>(graph::int_attribute(*request.node, name, 0));
}

DataType quantized_type(const Tensor& zero, DataType wanted) {
  if (!zero.defined()) return wanted == DataType::kUndefined ? DataType::kUint8 : wanted;
  if (wanted == DataType::kUndefined || wanted == zero.type()) return zero.type();
  throw Error(ErrorKind::kModel, "output_dtype is {}, the zero point {}", data_type_name(wanted),
              data_type_name(zero.type()));
}

int64_t block_size_of(const KernelRequest& request) {
  const int64_t block = graph::int_attribute(*request.node, "block_size", 0);
  if (block < 0) refuse(request, fmt::format("block_size {}", block));
  return block;
}

template <class Q>
void dequantize(const ScaleGroups& groups, const Tensor& x, const Tensor& scale, const Tensor& zero, Tensor& y) {
  using Difference = std::conditional_t<std::is_integral_v<Q>, int64_t, float>;
  const Q* from = x.data<Q>().data();
  float* to = y.mutable_data<float>().data();
  const float* scales = scale.data<float>().data();
  const Q* zeros = zero.defined() ? zero.data<Q>().data() : nullptr;
  for_each_scale_run(groups, [&](int64_t group, int64_t step, int64_t begin, int64_t end) {
    const auto value = [&](int64_t i, float s, Difference z) {
      return static_cast<float>(static_cast<Difference>(from[i]) - z) * s;
    };
    if (step == 0) {
      const float s = scales[group];
      const Difference z = zeros == nullptr ? Difference{0} : static_cast<Difference>(zeros[group]);
      for (int64_t i = begin; i < end; ++i) to[i] = value(i, s, z);
      return;
    }
    for (int64_t i = begin; i < end; ++i, ++group) {
      to[i] = value(i, scales[group], zeros == nullptr ? Difference{0} : static_cast<Difference>(zeros[group]));
    }
  });
}

// Codes in a type that arithmetic knows: bytes for packed integers, float32 for small floats.
Tensor readable_codes(const Tensor& codes, Workspace& workspace) {
  if (!codes.defined()) return codes;
  if (is_small_float(codes.type())) return convert_elements(codes, DataType::kFloat32, workspace);
  return is_packed(codes.type()) ? unpacked(codes, workspace) : codes;
}

}  // namespace

KernelPtr make_quantize_linear(const KernelRequest& request) {
  const int64_t axis = graph::int_attribute(*request.node, "axis", 1);
  const Overflow overflow =
      graph::int_attribute(*request.node, "saturate", 1) != 0 ? Overflow::kSaturate : Overflow::kSpecial;
  return kernel_of(
      [=, block = block_size_of(request), wanted = type_attribute(request, "output_dtype"),
       precision_attribute = type_attribute(request, "precision"), scale_operand = Operand(request, 1),
       zero_operand = Operand(request, 2)](std::span<Tensor> inputs, std::span<Tensor> outputs, Workspace& workspace) {
        const Tensor& x = required(inputs, 0);
        const Tensor& scale = scale_operand.required_in(inputs);
        const Tensor& zero = zero_operand.in(inputs);
        DataType precision = precision_attribute == DataType::kUndefined ? scale.type() : precision_attribute;
        if (precision != DataType::kFloat16 && precision != DataType::kBfloat16) precision = DataType::kFloat32;
        const DataType type = quantized_type(zero, wanted);
        const Quantizer quantizer{.groups = scale_groups(x, scale, zero, axis, block),
                                  .precision = precision,
                                  .scale = in_precision(scale, precision, workspace),
                                  .zero = as_float32(zero, workspace)};
        const Tensor real = in_precision(x, precision, workspace);
        outputs[0] = is_small_float(type) ? quantize_to_floats(quantizer, real, type, overflow, workspace)
                                          : quantize_to_integers(quantizer, real, type, workspace);
      });
}

KernelPtr make_dequantize_linear(const KernelRequest& request) {
  const int64_t axis = graph::int_attribute(*request.node, "axis", 1);
  return kernel_of([=, block = block_size_of(request), wanted = type_attribute(request, "output_dtype"),
                    scale_operand = Operand(request, 1), zero_operand = Operand(request, 2)](
                       std::span<Tensor> inputs, std::span<Tensor> outputs, Workspace& workspace) {
    const Tensor& x = required(inputs, 0);
    const Tensor& scale = scale_operand.required_in(inputs);
    const Tensor& zero = zero_operand.in(inputs);
    if (zero.defined() && zero.type() != x.type()) {
      throw Error(ErrorKind::kModel, "codes of {}, zero point of {}", data_type_name(x.type()),
                  data_type_name(zero.type()));
    }
    const ScaleGroups groups = scale_groups(x, scale, zero, axis, block);
    const Tensor codes = readable_codes(x, workspace);
    Tensor real = workspace.allocate(DataType::kFloat32, x.shape());
    dispatch_type(TypeList<int8_t, uint8_t, int16_t, uint16_t, int32_t, float>(), codes.type(), [&]<class Q>() {
      dequantize<Q>(groups, codes, as_float32(scale, workspace), readable_codes(zero, workspace), real);
    });
    const bool is_power_of_two = scale.type() == DataType::kFloat8e8m0;
    const DataType otherwise = is_power_of_two ? DataType::kFloat32 : scale.type();
    outputs[0] = convert_elements(real, wanted == DataType::kUndefined ? otherwise : wanted, workspace);
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
      to[i] = scale == 0 ? 0 : quantized<uint8_t>(x[i] / scale, zero, limits_of(DataType::kUint8));
    }
    const std::array<Tensor, 3> results{codes, Tensor::scalar(scale), Tensor::scalar(static_cast<uint8_t>(zero))};
    std::copy_n(results.begin(), std::min(outputs.size(), results.size()), outputs.begin());
  });
}

}  // namespace narrow::exec
