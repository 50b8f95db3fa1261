#include "lib/plan/block_operators.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>

#include "lib/graph/attributes.h"

namespace narrow::plan {
namespace {

// Sizes that onnxruntime 1.31 takes; its schema allows larger powers of two.
constexpr std::array<int64_t, 5> kBlocks{16, 32, 64, 128, 256};
constexpr int64_t kSmallestGatherBlock = 16;

bool is_plain_gemm(const onnx::NodeProto& node) {
  return graph::int_attribute(node, "transA", 0) == 0 && graph::float_attribute(node, "alpha", 1) == 1 &&
         graph::float_attribute(node, "beta", 1) == 1;
}

bool has_other_bias(const graph::GraphIndex& index, const onnx::NodeProto& node, int64_t columns) {
  if (node.op_type() != "Gemm" || node.input_size() < 3 || node.input(2).empty()) return false;
  const auto shape = index.type(node.input(2)).shape;
  return !shape || *shape != Shape{columns};
}

std::optional<std::string> nbits_refusal(const graph::GraphIndex& index, const onnx::NodeProto& node,
                                         const WeightPlan& weight, const Shape& shape) {
  const quant::QuantTypeRow& type = quant::row(weight.params.type);
  if (type.is_float || type.bits > 8) return fmt::format("it has no {}", type.name);
  if (weight.input != 1 || shape.size() != 2) return "its weight is the second factor, of two dimensions";
  if (node.op_type() == "Gemm" && !is_plain_gemm(node)) return "it has no transA, alpha or beta";
  const size_t rows = node.op_type() == "Gemm" && graph::int_attribute(node, "transB", 0) != 0 ? 1 : 0;
  if (has_other_bias(index, node, shape[1 - rows])) return "its bias has an element for each column";
  const bool along_rows = weight.params.axis == static_cast<int64_t>(weight.params.block > 0 ? rows : 1 - rows);
  if (!along_rows) return "it has a scale for each block of a column";
  const int64_t block = nbits_block(weight.params, shape[rows]);
  if (std::find(kBlocks.begin(), kBlocks.end(), block) != kBlocks.end()) return std::nullopt;
  return fmt::format("its blocks have 16, 32, 64, 128 or 256 elements, not {}", block);
}

std::optional<std::string> gather_refusal(const WeightPlan& weight) {
  const quant::QuantTypeRow& type = quant::row(weight.params.type);
  if (type.is_float || type.bits != 4) return fmt::format("it looks up int4 and uint4, not {}", type.name);
  const int64_t block = weight.params.block;
  if (block >= kSmallestGatherBlock && std::has_single_bit(static_cast<uint64_t>(block))) return std::nullopt;
  return "its blocks have 16 elements or a larger power of two";
}

}  // namespace

std::string block_operator(const onnx::NodeProto& node) {
  if (node.op_type() == "Gather") return "GatherBlockQuantized";
  return node.op_type() == "MatMul" || node.op_type() == "Gemm" ? "MatMulNBits" : "";
}

std::optional<std::string> block_operator_refusal(const graph::GraphIndex& index, const onnx::NodeProto& node,
                                                  const WeightPlan& weight, const Shape& shape) {
  const std::string op_type = block_operator(node);
  if (op_type.empty()) return fmt::format("com.microsoft has no {} of stored weights", node.op_type());
  const auto why = op_type == "MatMulNBits" ? nbits_refusal(index, node, weight, shape) : gather_refusal(weight);
  return why ? std::optional(fmt::format("not {}: {}", op_type, *why)) : std::nullopt;
}

int64_t nbits_block(const quant::QuantParams& params, int64_t rows) {
  if (params.block > 0) return params.block;
  return std::max(kBlocks.front(), static_cast<int64_t>(std::bit_ceil(static_cast<uint64_t>(rows))));
}

}  // namespace narrow::plan
