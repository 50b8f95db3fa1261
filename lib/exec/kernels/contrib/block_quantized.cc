// MatMulNBits: a constant second operand in packed codes of 2, 4 or 8 bits, unpacked to float32 once.
#include "lib/exec/kernels/contrib/composition.h"
#include "lib/exec/kernels/contrib/families.h"

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

}  // namespace narrow::exec
