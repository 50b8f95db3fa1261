#include "lib/rewrite/decoder.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "lib/graph/attributes.h"
#include "lib/rewrite/constant_writer.h"
#include "lib/tensor/packed.h"

namespace narrow::rewrite {
namespace {

constexpr int64_t kBytes = 256;

/// Row b: the codes that byte b holds.
template <class T, class Meaning>
Tensor unpacking_table(int bits, Meaning meaning) {
  const int64_t per_byte = 8 / bits;
  Tensor table(data_type_of<T>(), {kBytes, per_byte});
  const auto values = table.mutable_data<T>();
  const auto mask = (1U << static_cast<unsigned>(bits)) - 1;
  for (size_t i = 0; i < values.size(); ++i) {
    const size_t byte = i / static_cast<size_t>(per_byte);
    const size_t shift = i % static_cast<size_t>(per_byte) * static_cast<size_t>(bits);
    values[i] = meaning(static_cast<unsigned>(byte >> shift) & mask);
  }
  return table;
}

/// [C, 1, ...] with as many ones as there are axes behind `axis`: broadcasts along it.
Shape along(int64_t axis, const Shape& shape) {
  Shape result(shape.size() - static_cast<size_t>(axis), 1);
  result[0] = shape[static_cast<size_t>(axis)];
  return result;
}

/// Where each channel's codebook begins among the entries of all.
Tensor first_entries(const quant::Codebooks& books, const Shape& shape) {
  Tensor result(DataType::kInt32, along(*books.axis, shape));
  const auto values = result.mutable_data<int32_t>();
  for (size_t i = 0; i < values.size(); ++i) {
    values[i] = static_cast<int32_t>(static_cast<int64_t>(i) / books.channels * books.entries);
  }
  return result;
}

}  // namespace

Tensor packed_codes(const Tensor& codes, const quant::QuantParams& params) {
  const int bits = quant::stored_bits(params);
  if (bits == 8) return codes;
  std::vector<uint8_t> bytes(static_cast<size_t>(codes.size()));
  if (params.type == quant::QuantType::kBinary) {
    const auto signs = codes.data<int8_t>();
    std::transform(signs.begin(), signs.end(), bytes.begin(), [](int8_t sign) { return sign > 0 ? 1 : 0; });
  } else {
    std::copy(codes.data<uint8_t>().begin(), codes.data<uint8_t>().end(), bytes.begin());
  }
  const int64_t per_byte = 8 / bits;
  Tensor packed(DataType::kUint8, {(codes.size() + per_byte - 1) / per_byte});
  pack_codes(bits, bytes, packed.mutable_bytes());
  return packed;
}

Decoder::Decoder(ConstantWriter& constants, graph::GraphEditor& editor, onnx::GraphProto& graph, size_t number)
    : constants_(constants), editor_(editor), graph_(graph), prefix_(fmt::format("decode{}", number)) {}

std::string Decoder::add(std::string_view op_type, const std::vector<std::string>& inputs, const std::string& output) {
  // Short names: each is in the file three times, and there are many.
  std::string value = editor_.unique_name(output.empty() ? fmt::format("{}.{}", prefix_, made_++) : output);
  editor_.edit(graph_);
  editor_.add_node(op_type, fmt::format("{}.{}", prefix_, op_type), inputs, {value});
  return value;
}

std::string Decoder::cast(const std::string& value, onnx::TensorProto::DataType type) {
  std::string result = add("Cast", {value});
  graph::set_int_attribute(*graph_.mutable_node()->rbegin(), "to", type);
  return result;
}

std::string Decoder::scales(const std::string& name, const Shape& shape, const quant::QuantParams& params) {
  const auto initializer = [&](const Shape& of) {
    return constants_.shared_initializer(graph_, name + "_scale",
                                         Tensor::of<float>(of, std::span<const float>(params.scales)));
  };
  if (!params.axis) return initializer({});
  if (params.block == 0) return initializer(along(*params.axis, shape));
  // The scale of each element along the axis, whether blocks divide it or not.
  const int64_t size = shape[static_cast<size_t>(*params.axis)];
  Tensor block_of(DataType::kInt32, {size});
  for (int64_t i = 0; i < size; ++i) {
    block_of.mutable_data<int32_t>()[static_cast<size_t>(i)] = static_cast<int32_t>(i / params.block);
  }
  const std::string places = constants_.shared_initializer(editor_.main_graph(), "block_of", block_of);
  std::string result = add("Gather", {initializer(quant::scale_shape(shape, params.grouping())), places});
  graph::set_int_attribute(*graph_.mutable_node()->rbegin(), "axis", *params.axis);
  return result;
}

std::string Decoder::integers(const std::string& name, const std::vector<int64_t>& values) {
  const Tensor tensor = Tensor::of<int64_t>({static_cast<int64_t>(values.size())}, std::span<const int64_t>(values));
  return constants_.shared_initializer(editor_.main_graph(), name, tensor);
}

std::string Decoder::unpacked(const std::string& codes, const std::string& table, const Shape& shape,
                              int64_t codes_per_byte) {
  std::string value = add("Gather", {table, cast(codes, onnx::TensorProto::INT32)});
  const int64_t count = element_count(shape);
  if (count % codes_per_byte != 0) {  // the last byte holds codes of nothing
    value = add("Reshape", {value, integers("flat", {-1})});
    value = add("Slice", {value, integers("begin", {0}), integers("end", {count})});
  }
  return add("Reshape", {value, integers(fmt::format("shape_{}", fmt::join(shape, "x")), shape)});
}

std::string Decoder::binary(const std::string& name, const std::string& codes, const Shape& shape,
                            const quant::QuantParams& params) {
  const Tensor table = unpacking_table<int8_t>(1, [](unsigned bit) { return static_cast<int8_t>(bit == 0 ? -1 : 1); });
  const std::string signs = constants_.shared_initializer(editor_.main_graph(), "signs_of_bytes", table);
  const std::string real = cast(unpacked(codes, signs, shape, 8), onnx::TensorProto::FLOAT);
  return add("Mul", {real, scales(name, shape, params)}, name + "_decoded");
}

std::string Decoder::codebook(const std::string& name, const std::string& codes, const Shape& shape,
                              const quant::QuantParams& params) {
  const int bits = quant::stored_bits(params);
  std::string value;
  if (bits == 8) {
    value = cast(codes, onnx::TensorProto::INT32);
  } else {
    const Tensor table = unpacking_table<int32_t>(bits, [](unsigned code) { return static_cast<int32_t>(code); });
    const std::string table_name =
        constants_.shared_initializer(editor_.main_graph(), fmt::format("codes_of_bytes_{}", 8 / bits), table);
    value = unpacked(codes, table_name, shape, 8 / bits);
  }
  const quant::Codebooks& books = *params.codebooks;
  if (books.axis) {
    const std::string first = constants_.shared_initializer(graph_, name + "_first", first_entries(books, shape));
    value = add("Add", {value, first});
  }
  std::vector<float> entries = books.values;
  if (!params.axis) {
    for (float& entry : entries) entry *= params.scales[0];
  }
  const Tensor table = Tensor::of<float>({static_cast<int64_t>(entries.size())}, std::span<const float>(entries));
  const std::string table_name = constants_.shared_initializer(graph_, name + "_entries", table);
  const std::string result = name + "_decoded";
  if (!params.axis) return add("Gather", {table_name, value}, result);
  value = add("Gather", {table_name, value});
  return add("Mul", {value, scales(name, shape, params)}, result);
}

}  // namespace narrow::rewrite
