#include "lib/exec/kernels/cast.h"

#include <charconv>
#include <cmath>
#include <type_traits>

#include "lib/exec/kernels/families.h"
#include "lib/exec/kernels/support.h"
#include "lib/tensor/packed.h"

namespace narrow::exec {
namespace {

template <class T>
std::string number_text(T value) {
  if constexpr (std::is_floating_point_v<T>) {
    if (std::isnan(value)) return "NaN";
    if (std::isinf(value)) return value > 0 ? "INF" : "-INF";
    return fmt::format("{:.{}g}", value, std::is_same_v<T, float> ? 8 : 17);
  } else {
    return fmt::format("{}", static_cast<std::conditional_t<std::is_signed_v<T>, int64_t, uint64_t>>(value));
  }
}

// False unless all of the text is a number of type T.
template <class T>
bool parse(std::string_view text, T& value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size();
}

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kBlank = " \t\r\n";
  const size_t begin = text.find_first_not_of(kBlank);
  if (begin == std::string_view::npos) return {};
  text = text.substr(begin, text.find_last_not_of(kBlank) + 1 - begin);
  if (text.front() == '+') text.remove_prefix(1);
  return text;
}

[[noreturn]] void fail_text(std::string_view text) {
  throw Error(ErrorKind::kData, "'{}' is no number", text);
}

double parse_real(std::string_view text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (end != text.data() + text.size()) fail_text(text);
  if (error == std::errc()) return value;
  if (error != std::errc::result_out_of_range) fail_text(text);
  return std::strtod(std::string(text).c_str(), nullptr);  // from_chars leaves overflow and underflow to us
}

bool is_integer(DataType type) {
  const std::string_view name = data_type_name(type);
  return name.starts_with("int") || name.starts_with("uint");
}

// Integers by way of (u)int64, so that none loses digits; the rest by way of float64.
Tensor from_strings(const Tensor& tensor, DataType type, Workspace& workspace, const ConvertOptions& options) {
  const std::vector<std::string>& texts = tensor.strings();
  const bool is_unsigned = type == DataType::kUint64;
  Tensor numbers = workspace.allocate(!is_integer(type) ? DataType::kFloat64
                                      : is_unsigned     ? DataType::kUint64
                                                        : DataType::kInt64,
                                      tensor.shape());
  dispatch_type(TypeList<double, int64_t, uint64_t>(), numbers.type(), [&]<class T>() {
    const auto to = numbers.mutable_data<T>();
    for (size_t i = 0; i < to.size(); ++i) {
      const std::string_view text = trimmed(texts[i]);
      if constexpr (std::is_integral_v<T>) {
        if (parse(text, to[i])) continue;
        const Tensor real = Tensor::scalar(parse_real(text));
        to[i] = convert_elements(real, numbers.type(), workspace).template data<T>()[0];
      } else {
        to[i] = parse_real(text);
      }
    }
  });
  return convert_elements(numbers, type, workspace, options);
}

Tensor to_strings(const Tensor& tensor, Workspace& workspace) {
  Tensor numbers = is_packed(tensor.type()) && is_integer(tensor.type()) ? unpacked(tensor, workspace) : tensor;
  if (is_small_float(tensor.type())) numbers = convert_elements(tensor, DataType::kFloat32, workspace);
  std::vector<std::string> texts;
  dispatch_type(FixedTypes(), numbers.type(), [&]<class T>() {
    for (const T value : numbers.data<T>()) texts.push_back(number_text(value));
  });
  return Tensor::of_strings(tensor.shape(), std::move(texts));
}

ConvertOptions convert_options(const KernelRequest& request) {
  const std::string rounding = graph::string_attribute(*request.node, "round_mode", "up");
  if (rounding != "up" && rounding != "down" && rounding != "nearest") {
    refuse(request, "unknown round_mode '" + rounding + "'");
  }
  return {
      .overflow = graph::int_attribute(*request.node, "saturate", 1) != 0 ? Overflow::kSaturate : Overflow::kSpecial,
      .scale_rounding = rounding == "up"     ? ScaleRounding::kUp
                        : rounding == "down" ? ScaleRounding::kDown
                                             : ScaleRounding::kNearest};
}

// Before opset 6 the attribute was the type's name.
DataType wanted_type(const KernelRequest& request) {
  const auto* attribute = graph::find_attribute(*request.node, "to");
  if (attribute == nullptr || attribute->type() != onnx::AttributeProto::STRING) {
    return static_cast<DataType>(graph::int_attribute(*request.node, "to", 0));
  }
  onnx::TensorProto::DataType type = onnx::TensorProto::UNDEFINED;
  if (!onnx::TensorProto::DataType_Parse(attribute->s(), &type))
    refuse(request, "unknown type '" + attribute->s() + "'");
  return static_cast<DataType>(type);
}

}  // namespace

Tensor cast_tensor(const Tensor& tensor, DataType type, Workspace& workspace, const ConvertOptions& options) {
  if (tensor.type() == type) return tensor;
  if (tensor.type() == DataType::kString) return from_strings(tensor, type, workspace, options);
  if (type == DataType::kString) return to_strings(tensor, workspace);
  return convert_elements(tensor, type, workspace, options);
}

KernelPtr make_cast(const KernelRequest& request) {
  const bool like = request.node->op_type() == "CastLike";
  const DataType type = like ? DataType::kUndefined : wanted_type(request);
  if (!like && type != DataType::kString && data_type_bits(type) == 0) {
    refuse(request, fmt::format("no conversion to {}", data_type_name(type)));
  }
  return kernel_of(
      [type, like, options = convert_options(request)](std::span<Tensor> inputs, std::span<Tensor> outputs,
                                                       Workspace& workspace) {
        const DataType wanted = like ? required(inputs, 1).type() : type;
        outputs[0] = cast_tensor(required(inputs, 0), wanted, workspace, options);
      },
      like ? LayoutUse::kPlain : LayoutUse::kAny);
}

KernelPtr make_bit_cast(const KernelRequest& request) {
  const auto type = static_cast<DataType>(graph::int_attribute(*request.node, "to", 0));
  if (data_type_bits(type) == 0) refuse(request, fmt::format("no bits of {}", data_type_name(type)));
  return kernel_of(
      [type](std::span<Tensor> inputs, std::span<Tensor> outputs, Workspace& workspace) {
        const Tensor& input = required(inputs, 0);
        if (data_type_bits(input.type()) != data_type_bits(type)) {
          throw Error(ErrorKind::kModel, "{} has not as many bits as {}", data_type_name(input.type()),
                      data_type_name(type));
        }
        outputs[0] = workspace.allocate(type, input.shape(), input.layout());
        std::copy_n(input.bytes(), input.byte_size(), outputs[0].mutable_bytes());
      },
      LayoutUse::kAny);
}

}  // namespace narrow::exec
