#include "lib/plan/half_kernels.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <vector>

#include "lib/graph/attributes.h"
#include "lib/graph/tensor_shape.h"

namespace narrow::plan {
namespace {

std::optional<Reason> scatter_refusal(const TargetRow& target, const onnx::NodeProto& node) {
  const std::string reduction = graph::string_attribute(node, "reduction", "none");
  const bool sums = reduction == "add" || reduction == "mul";
  if (!sums && (reduction == "none" || node.op_type() != "ScatterND")) return std::nullopt;
  return Reason{ReasonCode::kNotHalf, fmt::format("{} has no float16 kernel for {} with reduction '{}'", target.name,
                                                  node.op_type(), reduction)};
}

/// [1, 2, ..., 0, last] or [1, 2, ..., last, 0]
bool moves_batch_inwards(const std::vector<int64_t>& perm) {
  const size_t rank = perm.size();
  if (rank < 3 || (perm[rank - 2] != 0 && perm[rank - 1] != 0)) return false;
  std::vector<int64_t> others;
  std::copy_if(perm.begin(), perm.end(), std::back_inserter(others), [](int64_t axis) { return axis != 0; });
  return std::is_sorted(others.begin(), others.end());
}

bool is_scaled(const graph::GraphIndex& index, const onnx::NodeProto& node) {
  if (node.op_type() != "Mul" && node.op_type() != "Div") return false;
  return std::any_of(node.input().begin(), node.input().end(), [&](const std::string& input) {
    const onnx::TensorProto* constant = index.initializer(input);
    return constant != nullptr && element_count(graph::shape_of(*constant)) == 1;
  });
}

bool product_reads(const graph::GraphIndex& index, const std::string& value) {
  const auto uses = index.uses(value);
  return std::any_of(uses.begin(), uses.end(), [&](const graph::Use& use) {
    if (use.node->op_type() == "MatMul") return true;
    return is_scaled(index, *use.node) && product_reads(index, use.node->output(0));
  });
}

std::optional<Reason> transpose_refusal(const TargetRow& target, const graph::GraphIndex& index,
                                        const onnx::NodeProto& node) {
  const bool crashes =
      moves_batch_inwards(graph::ints_attribute(node, "perm", {})) && product_reads(index, node.output(0));
  if (!crashes) return std::nullopt;
  return Reason{ReasonCode::kNotHalf,
                fmt::format("{} crashes where it fuses such a Transpose with a MatMul in float16", target.name)};
}

}  // namespace

std::optional<Reason> half_kernel_refusal(const TargetRow& target, const graph::GraphIndex& index,
                                          const onnx::NodeProto& node, DataType type) {
  if (!target.fails_in_float16 || type != DataType::kFloat16) return std::nullopt;
  if (node.op_type() == "ScatterND" || node.op_type() == "ScatterElements") return scatter_refusal(target, node);
  return node.op_type() == "Transpose" ? transpose_refusal(target, index, node) : std::nullopt;
}

}  // namespace narrow::plan
