#include "lib/tensor/convert.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <type_traits>

#include "lib/base/error.h"
#include "lib/base/parallel.h"
#include "lib/tensor/packed.h"
#include "lib/tensor/visit_type.h"

namespace narrow {
namespace {

constexpr int64_t kGrain = 32768;

[[noreturn]] void fail(DataType from, DataType to) {
  throw Error(ErrorKind::kUnsupported, "no conversion from {} to {}", data_type_name(from), data_type_name(to));
}

// Calls body.template operator()<format, Code>() for a type with a sign and a fraction; false for others.
template <class Body>
bool visit_small_float(DataType type, Body body) {
  switch (type) {
    case DataType::kFloat16:
      return body.template operator()<kSmallFloat<DataType::kFloat16>, uint16_t>(), true;
    case DataType::kBfloat16:
      return body.template operator()<kSmallFloat<DataType::kBfloat16>, uint16_t>(), true;
    case DataType::kFloat8e4m3fn:
      return body.template operator()<kSmallFloat<DataType::kFloat8e4m3fn>, uint8_t>(), true;
    case DataType::kFloat8e4m3fnuz:
      return body.template operator()<kSmallFloat<DataType::kFloat8e4m3fnuz>, uint8_t>(), true;
    case DataType::kFloat8e5m2:
      return body.template operator()<kSmallFloat<DataType::kFloat8e5m2>, uint8_t>(), true;
    case DataType::kFloat8e5m2fnuz:
      return body.template operator()<kSmallFloat<DataType::kFloat8e5m2fnuz>, uint8_t>(), true;
    case DataType::kFloat4e2m1:
      return body.template operator()<kSmallFloat<DataType::kFloat4e2m1>, uint8_t>(), true;
    default:
      return false;
  }
}

// Towards zero; the lowest number where the result does not fit, as x86's instructions have it.
template <class To>
To truncated(double value) {
  constexpr double kLimit = -static_cast<double>(std::numeric_limits<To>::lowest());  // a power of two
  return value > -kLimit - 1 && value < kLimit ? static_cast<To>(value) : std::numeric_limits<To>::lowest();
}

template <class To>
To float_to_integer(double value) {
  if constexpr (std::is_same_v<To, uint64_t>) {
    if (value >= 0x1p63) return value < 0x1p64 ? static_cast<To>(value) : 0;
    const int64_t whole = truncated<int64_t>(value);
    return whole == std::numeric_limits<int64_t>::lowest() ? 0 : static_cast<To>(whole);
  } else if constexpr (sizeof(To) == 8 || std::is_same_v<To, uint32_t>) {
    return static_cast<To>(truncated<int64_t>(value));
  } else {
    return static_cast<To>(truncated<int32_t>(value));
  }
}

template <class To, class From>
To convert_number(From value) {
  if constexpr (std::is_same_v<To, bool>) {
    return value != From{0};
  } else if constexpr (std::is_floating_point_v<From> && std::is_integral_v<To>) {
    return float_to_integer<To>(static_cast<double>(value));
  } else {
    return static_cast<To>(value);
  }
}

// What a small float is made from; see round_to_odd().
template <class From>
float widest_float(From value) {
  if constexpr (std::is_same_v<From, double>) {
    return round_to_odd(value);
  } else if constexpr (std::is_integral_v<From> && sizeof(From) >= 4) {
    return round_to_odd(static_cast<std::conditional_t<std::is_signed_v<From>, int64_t, uint64_t>>(value));
  } else {
    return static_cast<float>(value);
  }
}

template <class Function, class From, class To>
void convert_each(const From* from, To* to, int64_t count, Function function) {
  parallel_for(count, kGrain, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) to[i] = function(from[i]);
  });
}

Tensor native_to_native(const Tensor& tensor, DataType type, Workspace& workspace) {
  Tensor result = workspace.allocate(type, tensor.shape(), tensor.layout());
  const bool done = visit_type(FixedTypes(), tensor.type(), [&]<class From>() {
    if (!visit_type(FixedTypes(), type, [&]<class To>() {
          convert_each(tensor.data<From>().data(), result.mutable_data<To>().data(), tensor.size(),
                       [](From value) { return convert_number<To>(value); });
        })) {
      fail(tensor.type(), type);
    }
  });
  if (!done) fail(tensor.type(), type);
  return result;
}

Tensor to_wide_float(const Tensor& tensor, Workspace& workspace) {
  if (tensor.type() == DataType::kFloat32) return tensor;
  Tensor result = workspace.allocate(DataType::kFloat32, tensor.shape(), tensor.layout());
  const bool done = visit_type(FixedTypes(), tensor.type(), [&]<class From>() {
    convert_each(tensor.data<From>().data(), result.mutable_data<float>().data(), tensor.size(),
                 [](From value) { return widest_float(value); });
  });
  if (!done) fail(tensor.type(), DataType::kFloat32);
  return result;
}

Tensor to_packed_integer(const Tensor& tensor, DataType type, Workspace& workspace) {
  return packed(convert_elements(tensor, DataType::kInt8, workspace), type, workspace);
}

Tensor to_small_float(const Tensor& tensor, DataType type, Workspace& workspace, const ConvertOptions& options) {
  const Tensor wide = to_wide_float(tensor, workspace);
  if (!is_packed(type)) {
    Tensor result = workspace.allocate(type, tensor.shape(), tensor.layout());
    encode_floats(type, wide.data<float>(), result.mutable_bytes(), options);
    return result;
  }
  Tensor codes = workspace.allocate(DataType::kUint8, tensor.shape(), tensor.layout());
  encode_floats(type, wide.data<float>(), codes.mutable_bytes(), options);
  return packed(codes, type, workspace);
}

}  // namespace

bool is_small_float(DataType type) {
  return type == DataType::kFloat8e8m0 || visit_small_float(type, []<SmallFloat, class>() {});
}

void decode_floats(DataType type, const std::byte* codes, std::span<float> to) {
  const auto count = static_cast<int64_t>(to.size());
  if (type == DataType::kFloat8e8m0) {
    convert_each(reinterpret_cast<const uint8_t*>(codes), to.data(), count, decode_e8m0);
    return;
  }
  const bool done = visit_small_float(type, [&]<SmallFloat format, class Code>() {
    if constexpr (sizeof(Code) == 1) {
      static const std::array<float, 256> table = [] {
        std::array<float, 256> values{};
        for (uint32_t code = 0; code < values.size(); ++code) values[code] = decode_float<format>(code);
        return values;
      }();
      convert_each(reinterpret_cast<const uint8_t*>(codes), to.data(), count, [](uint8_t code) { return table[code]; });
    } else {
      convert_each(reinterpret_cast<const Code*>(codes), to.data(), count,
                   [](Code code) { return decode_float<format>(code); });
    }
  });
  if (!done) fail(type, DataType::kFloat32);
}

std::vector<float> finite_numbers(DataType type) {
  std::vector<float> numbers;
  const bool done = visit_small_float(type, [&]<SmallFloat format, class Code>() {
    for (uint32_t code = 0; code < uint32_t{2} << format.magnitude_bits(); ++code) {
      const float number = decode_float<format>(code);
      if (std::isfinite(number)) numbers.push_back(number + 0.0F);  // -0 becomes 0
    }
  });
  if (!done) fail(type, DataType::kFloat32);
  std::sort(numbers.begin(), numbers.end());
  numbers.erase(std::unique(numbers.begin(), numbers.end()), numbers.end());
  return numbers;
}

void encode_floats(DataType type, std::span<const float> from, std::byte* codes, const ConvertOptions& options) {
  const auto count = static_cast<int64_t>(from.size());
  if (type == DataType::kFloat8e8m0) {
    convert_each(from.data(), reinterpret_cast<uint8_t*>(codes), count,
                 [&](float value) { return encode_e8m0(value, options.overflow, options.scale_rounding); });
    return;
  }
  const bool done = visit_small_float(type, [&]<SmallFloat format, class Code>() {
    const auto encode = [&](auto overflow) {
      convert_each(from.data(), reinterpret_cast<Code*>(codes), count, [](float value) {
        return static_cast<Code>(encode_float<format>(value, decltype(overflow)::value));
      });
    };
    if (sizeof(Code) == 1 && options.overflow == Overflow::kSaturate) {
      encode(std::integral_constant<Overflow, Overflow::kSaturate>());
    } else {
      encode(std::integral_constant<Overflow, Overflow::kSpecial>());
    }
  });
  if (!done) fail(DataType::kFloat32, type);
}

Tensor unpacked(const Tensor& tensor, Workspace& workspace) {
  ensure(is_packed(tensor.type()), "a packed tensor");
  const bool is_signed = tensor.type() == DataType::kInt4 || tensor.type() == DataType::kInt2;
  const DataType byte = is_signed ? DataType::kInt8 : DataType::kUint8;
  Tensor result = workspace.allocate(byte, tensor.shape(), tensor.layout());
  unpack(tensor.type(), tensor.bytes(),
         {reinterpret_cast<uint8_t*>(result.mutable_bytes()), static_cast<size_t>(result.size())});
  return result;
}

Tensor packed(const Tensor& bytes, DataType type, Workspace& workspace) {
  ensure(is_packed(type) && data_type_bits(bytes.type()) == 8, "bytes to pack");
  Tensor result = workspace.allocate(type, bytes.shape(), bytes.layout());
  pack(type, {reinterpret_cast<const uint8_t*>(bytes.bytes()), static_cast<size_t>(bytes.size())},
       result.mutable_bytes());
  return result;
}

Tensor convert_elements(const Tensor& tensor, DataType type, Workspace& workspace, const ConvertOptions& options) {
  const DataType from = tensor.type();
  if (from == type) return tensor;
  if (is_packed(from) && from != DataType::kFloat4e2m1) {
    return convert_elements(unpacked(tensor, workspace), type, workspace, options);
  }
  if (is_small_float(from)) {
    const Tensor codes = is_packed(from) ? unpacked(tensor, workspace) : tensor;
    Tensor wide = workspace.allocate(DataType::kFloat32, tensor.shape(), tensor.layout());
    decode_floats(from, codes.bytes(), wide.mutable_data<float>());
    return convert_elements(wide, type, workspace, options);
  }
  if (is_small_float(type)) return to_small_float(tensor, type, workspace, options);
  if (is_packed(type)) return to_packed_integer(tensor, type, workspace);
  return native_to_native(tensor, type, workspace);
}

Tensor to_float32(const Tensor& tensor) {
  Workspace workspace;
  return convert_elements(tensor, DataType::kFloat32, workspace);
}

}  // namespace narrow
