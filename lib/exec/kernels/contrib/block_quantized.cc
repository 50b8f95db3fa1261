// MatMulNBits and GatherBlockQuantized: a constant weight in codes of 2, 4 or 8 bits, unpacked to float32 once.
#include "lib/exec/kernels/contrib/composition.h"
#include "lib/exec/kernels/contrib/families.h"
#include "lib/tensor/convert.h"
#include "lib/tensor/packed.h"

namespace narrow::exec {
namespace {

struct BlockFormat {
  int64_t rows = 0;  // K: elements of one column
  int64_t columns = 0;
  int64_t bits = 4;
  int64_t block = 32;

  int64_t blocks() const { return (rows + block - 1) / block; }
};

// Codes lie in bytes from the low bits up.
int64_t code_at(const uint8_t* bytes, int64_t index, int64_t bits) {
  const int64_t per_byte = 8 / bits;
  return bytes[index / per_byte] >> (index % per_byte * bits) & ((1 << bits) - 1);
}

// B [N, blocks, block * bits / 8]; scales [N * blocks]; zero points packed like B, row by row, or float32, or absent.
Tensor unpacked(const BlockFormat& format, const Tensor& codes, const Tensor& scales, const Tensor& zeros) {
  const int64_t blocks = format.blocks();
  const int64_t block_bytes = format.block * format.bits / 8;
  const int64_t zero_bytes = (blocks * format.bits + 7) / 8;
  Tensor weights(DataType::kFloat32, {format.rows, format.columns});
  const auto to = weights.mutable_data<float>();
  for (int64_t n = 0; n < format.columns; ++n) {
    for (int64_t b = 0; b < blocks; ++b) {
      const float scale = scales.data<float>()[static_cast<size_t>(n * blocks + b)];
      auto zero = static_cast<float>(int64_t{1} << (format.bits - 1));
      if (zeros.defined()) {
        zero = zeros.type() == DataType::kFloat32
                   ? zeros.data<float>()[static_cast<size_t>(n * blocks + b)]
                   : static_cast<float>(code_at(zeros.data<uint8_t>().data() + n * zero_bytes, b, format.bits));
      }
      const uint8_t* bytes = codes.data<uint8_t>().data() + (n * blocks + b) * block_bytes;
      for (int64_t i = 0; i < format.block && b * format.block + i < format.rows; ++i) {
        const auto code = static_cast<float>(code_at(bytes, i, format.bits));
        to[static_cast<size_t>((b * format.block + i) * format.columns + n)] = (code - zero) * scale;
      }
    }
  }
  return weights;
}

}  // namespace

// A, B, scales, zero_points, g_idx, bias.
KernelPtr make_matmul_nbits(const KernelRequest& request) {
  const onnx::NodeProto& node = *request.node;
  const BlockFormat format{.rows = graph::int_attribute(node, "K", 0),
                           .columns = graph::int_attribute(node, "N", 0),
                           .bits = graph::int_attribute(node, "bits", 4),
                           .block = graph::int_attribute(node, "block_size", 0)};
  if (format.bits != 2 && format.bits != 4 && format.bits != 8) refuse(request, fmt::format("{} bits", format.bits));
  if (format.block < 8 || format.rows < 1 || format.columns < 1) refuse(request, "K, N or block_size is missing");
  const Tensor codes = Operand(request, 1).constant();
  const Tensor scales = Operand(request, 2).constant();
  const Operand zeros(request, 3);
  if (!codes.defined() || !scales.defined() || (zeros.present() && !zeros.constant().defined())) {
    refuse(request, "B that is not constant");
  }
  if (Operand(request, 4).present()) refuse(request, "g_idx");
  const int64_t groups = format.columns * format.blocks();
  const Tensor& zero = zeros.constant();
  const int64_t zero_count = !zero.defined() || zero.type() == DataType::kFloat32
                                 ? groups
                                 : format.columns * ((format.blocks() * format.bits + 7) / 8);
  const bool fits = codes.type() == DataType::kUint8 && codes.size() == groups * format.block * format.bits / 8 &&
                    scales.type() == DataType::kFloat32 && scales.size() == groups &&
                    (!zero.defined() || (zero.size() == zero_count &&
                                         (zero.type() == DataType::kUint8 || zero.type() == DataType::kFloat32)));
  if (!fits) refuse(request, "codes, scales or zero points do not fit K, N and block_size");
  Composition body(request);
  const ValueId y = body.add("MatMul", {body.input(0), body.constant(unpacked(format, codes, scales, zero))});
  return body.kernel({body.add_if_present(y, body.input(5))});
}

namespace {

/// Codes with a byte for each, and the parameters of the tensor around them.
struct LookupTable {
  Shape shape;
  size_t axis = 0;  // along which blocks lie
  int64_t block = 0;
  int64_t bits = 4;
  bool in_bytes = false;  // stored in uint8, bits of a byte from the low ones up
};

/// `stored` as numbers; of what is stored in bytes, the first `last` of each row.
std::vector<int32_t> codes_of(const Tensor& stored, const LookupTable& table, int64_t last) {
  std::vector<int32_t> codes;
  if (!table.in_bytes) {
    Workspace workspace;
    const Tensor bytes = unpacked(stored, workspace);
    const auto* from = reinterpret_cast<const uint8_t*>(bytes.bytes());
    const bool is_signed = stored.type() == DataType::kInt4;
    for (int64_t i = 0; i < stored.size(); ++i) {
      codes.push_back(is_signed ? static_cast<int8_t>(from[i]) : static_cast<int32_t>(from[i]));
    }
    return codes;
  }
  const int64_t row_bytes = stored.shape().back();
  for (int64_t row = 0; row * row_bytes < stored.size(); ++row) {
    for (int64_t i = 0; i < last; ++i) {
      codes.push_back(static_cast<int32_t>(code_at(stored.data<uint8_t>().data() + row * row_bytes, i, table.bits)));
    }
  }
  return codes;
}

Tensor dequantized(const LookupTable& table, const Tensor& codes, const Tensor& scales, const Tensor& zeros) {
  const int64_t size = table.shape[table.axis];
  const int64_t blocks = scales.shape()[table.axis];
  int64_t inner = 1;
  for (size_t i = table.axis + 1; i < table.shape.size(); ++i) inner *= table.shape[i];
  const std::vector<int32_t> numbers = codes_of(codes, table, table.shape.back());
  std::vector<int32_t> points(static_cast<size_t>(scales.size()), table.in_bytes ? int32_t{1} << (table.bits - 1) : 0);
  if (zeros.defined()) points = codes_of(zeros, table, scales.shape().back());
  Tensor result(DataType::kFloat32, table.shape);
  const auto to = result.mutable_data<float>();
  for (int64_t i = 0; i < result.size(); ++i) {
    const int64_t outer = i / inner / size;
    const int64_t block = i / inner % size / table.block;
    const auto group = static_cast<size_t>((outer * blocks + block) * inner + i % inner);
    to[static_cast<size_t>(i)] =
        static_cast<float>(numbers[static_cast<size_t>(i)] - points[group]) * scales.data<float>()[group];
  }
  return result;
}

/// [..., ceil(size / block), ...], and in the last axis of packed zero points as many bytes as that takes.
bool fit(const LookupTable& table, const Tensor& scales, const Tensor& codes, const Tensor& zeros) {
  Shape wanted = table.shape;
  wanted[table.axis] = (wanted[table.axis] + table.block - 1) / table.block;
  if (scales.type() != DataType::kFloat32 || scales.shape() != wanted) return false;
  if (!zeros.defined()) return true;
  if (table.in_bytes) wanted.back() = (wanted.back() * table.bits + 7) / 8;
  return zeros.type() == codes.type() && zeros.shape() == wanted;
}

}  // namespace

// data, indices, scales, zero_points. Indices outside the table are refused as those of Gather are.
KernelPtr make_gather_block_quantized(const KernelRequest& request) {
  const onnx::NodeProto& node = *request.node;
  const Tensor codes = Operand(request, 0).constant();
  const Tensor scales = Operand(request, 2).constant();
  const Operand zeros(request, 3);
  if (!codes.defined() || !scales.defined() || (zeros.present() && !zeros.constant().defined())) {
    refuse(request, "data that are not constant");
  }
  LookupTable table{.shape = codes.shape(), .block = graph::int_attribute(node, "block_size", 128)};
  const bool four_bits = codes.type() == DataType::kInt4 || codes.type() == DataType::kUint4;
  if (!four_bits && codes.type() != DataType::kUint8) {
    refuse(request, fmt::format("data of {}", data_type_name(codes.type())));
  }
  table.in_bytes = !four_bits;
  table.bits = four_bits ? 4 : graph::int_attribute(node, "bits", 4);
  if (table.bits != 2 && table.bits != 4 && table.bits != 8) refuse(request, fmt::format("{} bits", table.bits));
  if (table.shape.empty() || table.block < 1) refuse(request, "a table without axes, or blocks without elements");
  table.axis = static_cast<size_t>(normalize_axis(graph::int_attribute(node, "quantize_axis", 1), table.shape.size()));
  if (table.in_bytes) table.shape.back() *= 8 / table.bits;
  if (!fit(table, scales, codes, zeros.constant())) refuse(request, "scales or zero points do not fit the table");
  Composition body(request);
  const ValueId reals = body.constant(dequantized(table, codes, scales, zeros.constant()));
  return body.kernel({body.add("Gather", {reals, body.input(1)},
                               {attribute_of("axis", graph::int_attribute(node, "gather_axis", 0))})});
}

}  // namespace narrow::exec
