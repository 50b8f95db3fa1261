#include "lib/rewrite/block_operators.h"

#include <algorithm>

#include "lib/base/mapped_pages.h"
#include "lib/graph/attributes.h"
#include "lib/plan/block_operators.h"
#include "lib/rewrite/microsoft.h"
#include "lib/tensor/convert.h"
#include "lib/tensor/packed.h"

namespace narrow::rewrite {
namespace {

/// Codes of a matrix as MatMulNBits stores them: unsigned, column by column, whole blocks, the first code in a byte's
/// low bits. What fills a column's last block is never read.
class NbitsLayout {
 public:
  NbitsLayout(const quant::QuantParams& params, int64_t rows, int64_t columns, bool transposed)
      : type_(quant::row(params.type)), rows_(rows), columns_(columns), transposed_(transposed) {
    block_ = plan::nbits_block(params, rows);
    blocks_ = (rows + block_ - 1) / block_;
  }

  int64_t block() const { return block_; }

  /// uint8 [columns, blocks, bytes of a block] of codes [rows, columns], or [columns, rows] if transposed.
  Tensor codes(const Tensor& stored) const {
    Workspace workspace;
    const Tensor bytes = is_packed(stored.type()) ? unpacked(stored, workspace) : stored;
    const auto* from = reinterpret_cast<const uint8_t*>(bytes.bytes());
    Tensor result(DataType::kUint8, {columns_, blocks_, block_ * type_.bits / 8});
    const auto to = result.mutable_data<uint8_t>();
    std::fill(to.begin(), to.end(), uint8_t{0});
    const int64_t column_bytes = blocks_ * block_ * type_.bits / 8;
    for (int64_t column = 0; column < columns_; ++column) {
      for (int64_t row = 0; row < rows_; ++row) {
        const uint8_t code = from[transposed_ ? column * rows_ + row : row * columns_ + column];
        put(to, column * column_bytes, row, code);
      }
    }
    return result;
  }

  /// float32 [columns, blocks].
  Tensor scales(const std::vector<float>& values) const {
    Tensor result(DataType::kFloat32, {columns_, blocks_});
    for (int64_t i = 0; i < columns_ * blocks_; ++i) {
      result.mutable_data<float>()[static_cast<size_t>(i)] = values[group(i / blocks_, i % blocks_)];
    }
    return result;
  }

  /// uint8 [columns, bytes of a column's zero points]; undefined where all are the operator's own.
  Tensor zero_points(const std::vector<int32_t>& values) const {
    const int64_t own = type_.is_signed ? 0 : int64_t{1} << (type_.bits - 1);
    if (std::all_of(values.begin(), values.end(), [&](int32_t value) { return value == own; })) return {};
    const int64_t column_bytes = (blocks_ * type_.bits + 7) / 8;
    Tensor result(DataType::kUint8, {columns_, column_bytes});
    const auto to = result.mutable_data<uint8_t>();
    std::fill(to.begin(), to.end(), uint8_t{0});
    for (int64_t column = 0; column < columns_; ++column) {
      for (int64_t block = 0; block < blocks_; ++block) {
        put(to, column * column_bytes, block, static_cast<uint8_t>(values[group(column, block)]));
      }
    }
    return result;
  }

 private:
  /// Place of a block's parameters in the plan: [blocks, columns], or [columns, blocks] if transposed.
  size_t group(int64_t column, int64_t block) const {
    return static_cast<size_t>(transposed_ ? column * blocks_ + block : block * columns_ + column);
  }

  void put(std::span<uint8_t> to, int64_t begin, int64_t index, uint8_t code) const {
    const int64_t per_byte = 8 / type_.bits;
    const int offset = type_.is_signed ? 1 << (type_.bits - 1) : 0;
    const int low_bits = (code + offset) & ((1 << type_.bits) - 1);
    to[static_cast<size_t>(begin + index / per_byte)] |=
        static_cast<uint8_t>(low_bits << (index % per_byte * type_.bits));
  }

  const quant::QuantTypeRow& type_;
  int64_t rows_;
  int64_t columns_;
  bool transposed_;
  int64_t block_ = 0;
  int64_t blocks_ = 0;
};

}  // namespace

void BlockWriter::replace(onnx::GraphProto& graph, const plan::LayerPlan& layer, onnx::NodeProto& node) {
  const bool lookup = node.op_type() == "Gather";
  lookup ? make_lookup(graph, *layer.weight, node) : make_product(graph, *layer.weight, node);
  node.set_domain(std::string(kMicrosoftDomain));
  used_ = true;
}

const BlockWriter::Packed& BlockWriter::packed(onnx::GraphProto& graph, const plan::WeightPlan& weight,
                                               bool transposed) {
  std::list<Packed>& all = packed_[{&graph, weight.initializer, transposed}];
  const auto known = std::find_if(all.begin(), all.end(), [&](const auto& one) { return one.params == weight.params; });
  if (known != all.end()) return *known;
  Packed& made = all.emplace_back();
  made.params = weight.params;
  const Tensor real = constants_.float_constant(weight.initializer);
  made.rows = real.shape()[transposed ? 1 : 0];
  made.columns = real.shape()[transposed ? 0 : 1];
  const NbitsLayout layout(weight.params, made.rows, made.columns, transposed);
  editor_.edit(graph);
  const std::string& name = weight.initializer;
  const quant::Release release = [&] { release_pages(real.bytes(), real.byte_size()); };
  const Tensor codes = quant::quantize(real, weight.params, release);
  release();
  made.codes = editor_.add_initializer(name + "_quantized", layout.codes(codes));
  made.scales = editor_.add_initializer(name + "_scale", layout.scales(weight.params.scales));
  const Tensor zero_points = layout.zero_points(weight.params.zero_points);
  if (zero_points.defined()) made.zero_points = editor_.add_initializer(name + "_zero_point", zero_points);
  return made;
}

void BlockWriter::make_product(onnx::GraphProto& graph, const plan::WeightPlan& weight, onnx::NodeProto& node) {
  const bool transposed = node.op_type() == "Gemm" && graph::int_attribute(node, "transB", 0) != 0;
  const Packed& made = packed(graph, weight, transposed);
  const std::string a = node.input(0);
  const std::string bias = node.input_size() > 2 ? node.input(2) : "";
  node.set_op_type("MatMulNBits");
  node.clear_attribute();
  graph::set_int_attribute(node, "K", made.rows);
  graph::set_int_attribute(node, "N", made.columns);
  graph::set_int_attribute(node, "bits", quant::row(weight.params.type).bits);
  graph::set_int_attribute(node, "block_size", plan::nbits_block(weight.params, made.rows));
  node.clear_input();
  std::vector<std::string> inputs{a, made.codes, made.scales, made.zero_points, "", bias};
  while (inputs.back().empty()) inputs.pop_back();
  for (const std::string& input : inputs) node.add_input(input);
}

void BlockWriter::make_lookup(onnx::GraphProto& graph, const plan::WeightPlan& weight, onnx::NodeProto& node) {
  const auto [codes, names] = constants_.stored(graph, weight.initializer, weight.params, Zeros::kLeftOut);
  const int64_t axis = graph::int_attribute(node, "axis", 0);
  const std::string indices = node.input(1);
  node.set_op_type("GatherBlockQuantized");
  node.clear_attribute();
  graph::set_int_attribute(node, "gather_axis", axis);
  graph::set_int_attribute(node, "quantize_axis", *weight.params.axis);
  graph::set_int_attribute(node, "block_size", weight.params.block);
  node.clear_input();
  for (const std::string& input : {codes, indices, names.scale, names.zero_point}) {
    if (!input.empty()) node.add_input(input);
  }
}

}  // namespace narrow::rewrite
