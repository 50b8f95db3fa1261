#include "lib/exec/kernels/cast.h"

#include <bit>
#include <cmath>
#include <cstring>
#include <type_traits>

#include "lib/exec/kernels/families.h"
#include "lib/exec/kernels/support.h"

namespace narrow::exec {
namespace {

uint16_t to_bfloat16(float value) {
  const auto bits = std::bit_cast<uint32_t>(value);
  if (std::isnan(value)) return static_cast<uint16_t>((bits >> 16) | 0x40u);
  return static_cast<uint16_t>((bits + 0x7FFFu + ((bits >> 16) & 1u)) >> 16);
}

uint16_t to_float16(float value) {
  const auto bits = std::bit_cast<uint32_t>(value);
  const uint32_t sign = (bits >> 16) & 0x8000u;
  const float magnitude = std::abs(value);
  if (std::isnan(value)) return static_cast<uint16_t>(sign | 0x7E00u);
  if (magnitude >= 65520.0F) return static_cast<uint16_t>(sign | 0x7C00u);
  // Subnormal halves are multiples of 2^-24: the float addition rounds them half to even.
  if (magnitude < 0x1p-14F)
    return static_cast<uint16_t>(sign | static_cast<uint32_t>(std::nearbyint(magnitude * 0x1p24F)));
  const uint32_t absolute = bits & 0x7FFFFFFFu;
  return static_cast<uint16_t>(sign | ((absolute + 0xFFFu + ((absolute >> 13) & 1u) - 0x38000000u) >> 13));
}

template <class To, class From>
To convert(From value) {
  if constexpr (std::is_same_v<To, bool>) {
    return value != From{0};
  } else if constexpr (std::is_floating_point_v<From> && std::is_integral_v<To>) {
    // Out of range is undefined in ONNX and in C++ alike: saturate, so that it is the same everywhere.
    if (std::isnan(value)) return 0;
    const double wide = std::trunc(static_cast<double>(value));
    if (wide <= static_cast<double>(std::numeric_limits<To>::lowest())) return std::numeric_limits<To>::lowest();
    if (wide >= static_cast<double>(std::numeric_limits<To>::max())) return std::numeric_limits<To>::max();
    return static_cast<To>(wide);
  } else {
    return static_cast<To>(value);
  }
}

bool is_short_float(DataType type) {
  return type == DataType::kFloat16 || type == DataType::kBfloat16;
}

}  // namespace

Tensor cast_tensor(const Tensor& tensor, DataType type, Workspace& workspace) {
  if (tensor.type() == type) return tensor;
  if (is_short_float(tensor.type())) return cast_tensor(to_float32(tensor), type, workspace);
  Tensor result = workspace.allocate(type, tensor.shape(), tensor.layout());
  dispatch_type(FixedTypes(), tensor.type(), [&]<class From>() {
    const auto from = tensor.data<From>();
    if (is_short_float(type)) {
      uint16_t* to = mutable_elements<uint16_t>(result);
      const auto encode = type == DataType::kFloat16 ? to_float16 : to_bfloat16;
      for (size_t i = 0; i < from.size(); ++i) to[i] = encode(static_cast<float>(from[i]));
      return;
    }
    dispatch_type(FixedTypes(), type, [&]<class To>() {
      To* to = mutable_elements<To>(result);
      for (size_t i = 0; i < from.size(); ++i) to[i] = convert<To>(from[i]);
    });
  });
  return result;
}

KernelPtr make_cast(const KernelRequest& request) {
  const auto type = static_cast<DataType>(graph::int_attribute(*request.node, "to", 0));
  const bool like = request.node->op_type() == "CastLike";
  if (!like && data_type_bits(type) == 0) {
    refuse(request, fmt::format("no conversion to {}", data_type_name(type)));
  }
  return kernel_of(
      [type, like](std::span<Tensor> inputs, std::span<Tensor> outputs, Workspace& workspace) {
        outputs[0] = cast_tensor(required(inputs, 0), like ? required(inputs, 1).type() : type, workspace);
      },
      like ? LayoutUse::kPlain : LayoutUse::kAny);
}

}  // namespace narrow::exec
