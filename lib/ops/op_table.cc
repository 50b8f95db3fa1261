#include "lib/ops/op_table.h"

#include <algorithm>
#include <array>

#include "lib/graph/attributes.h"
#include "lib/graph/model.h"

namespace narrow::ops {
namespace {

constexpr OpRow weighted(std::string_view op, int bias_input, bool float_output) {
  return {.op_type = op,
          .role = QuantRole::kWeighted,
          .activation_inputs = 1,
          .weight_input = 1,
          .bias_input = bias_input,
          .float_output = float_output};
}
constexpr OpRow elementwise(std::string_view op, int inputs) {
  return {.op_type = op, .role = QuantRole::kElementwise, .activation_inputs = inputs};
}
constexpr OpRow clamp(std::string_view op) {
  return {.op_type = op, .role = QuantRole::kClamp};
}
constexpr OpRow moves(std::string_view op) {
  return {.op_type = op, .role = QuantRole::kPassThrough};
}
constexpr OpRow bounded(std::string_view op, float rmin, float rmax) {
  return {.op_type = op, .role = QuantRole::kFixedRange, .range = {rmin, rmax}};
}
constexpr OpRow never(std::string_view op, std::string_view note) {
  return {.op_type = op, .role = QuantRole::kNever, .note = note};
}

constexpr auto kOps = std::to_array<OpRow>({
    elementwise("Add", 2),
    elementwise("AveragePool", 1),
    clamp("Clip"),
    {.op_type = "Concat", .role = QuantRole::kConcat, .activation_inputs = kAllInputs},
    weighted("Conv", 2, false),
    weighted("ConvTranspose", 2, false),
    moves("DepthToSpace"),
    moves("Flatten"),
    moves("Gather"),
    weighted("Gemm", 2, true),
    elementwise("GlobalAveragePool", 1),
    never("HardSigmoid", "no stock runtime has an integer kernel for it"),
    never("HardSwish", "no stock runtime has an integer kernel for it"),
    moves("Identity"),
    never("LayerNormalization", "its statistics need float32"),
    elementwise("LeakyRelu", 1),
    weighted("MatMul", -1, true),
    moves("MaxPool"),
    elementwise("Mul", 2),
    moves("Pad"),
    clamp("Relu"),
    moves("Reshape"),
    moves("Resize"),
    bounded("Sigmoid", 0, 1),
    moves("Slice"),
    never("Softmax", "its output needs more than 8 bits, and it costs little"),
    moves("SpaceToDepth"),
    moves("Split"),
    moves("Squeeze"),
    bounded("Tanh", -1, 1),
    moves("Transpose"),
    moves("Unsqueeze"),
});
static_assert(std::is_sorted(kOps.begin(), kOps.end(),
                             [](const OpRow& a, const OpRow& b) { return a.op_type < b.op_type; }));

}  // namespace

std::span<const OpRow> op_table() {
  return kOps;
}

const OpRow* find_op(const onnx::NodeProto& node) {
  if (!graph::canonical_domain(node.domain()).empty()) return nullptr;
  const auto found = std::lower_bound(kOps.begin(), kOps.end(), node.op_type(),
                                      [](const OpRow& row, const std::string& op) { return row.op_type < op; });
  return found == kOps.end() || found->op_type != node.op_type() ? nullptr : &*found;
}

bool is_recurrent(std::string_view op_type) {
  return op_type == "LSTM" || op_type == "GRU" || op_type == "RNN";
}

std::optional<int64_t> weight_channel_axis(const onnx::NodeProto& node, size_t weight_rank) {
  if (node.op_type() == "Conv") return 0;
  if (node.op_type() == "ConvTranspose") {
    // Grouped weights hold the groups' output channels on one axis: one scale would serve several channels.
    if (graph::int_attribute(node, "group", 1) == 1) return 1;
    return std::nullopt;
  }
  if (node.op_type() == "Gemm") return graph::int_attribute(node, "transB", 0) != 0 ? 0 : 1;
  // A stack of matrices would share the columns' scales; runtimes take only one scale for it.
  if (node.op_type() == "MatMul" && weight_rank == 2) return 1;
  return std::nullopt;
}

}  // namespace narrow::ops
