#include "lib/analyze/stored_weight.h"

#include <algorithm>
#include <cmath>

#include "lib/graph/attributes.h"
#include "lib/graph/tensor_shape.h"
#include "lib/graph/viewed_data.h"

namespace narrow::analyze {
namespace {

struct Axes {
  std::optional<int64_t> channel;
  std::optional<int64_t> block;
  SumAxes sums = {};
};

/// The kernel's axes, and those with `axis` before them.
SumAxes kernel_sums(int64_t rank, int64_t axis) {
  SumAxes sums(2);
  sums[1].push_back(axis);
  for (int64_t spatial = 2; spatial < rank; ++spatial) {
    for (auto& list : sums) list.push_back(spatial);
  }
  return sums;
}

Axes convolution(const onnx::NodeProto& /*node*/, int64_t rank) {
  return {.channel = 0, .block = 1, .sums = kernel_sums(rank, 1)};
}

/// With groups, a scale serves one output channel of each.
Axes deconvolution(const onnx::NodeProto& node, int64_t rank) {
  SumAxes sums = kernel_sums(rank, 0);
  if (graph::int_attribute(node, "group", 1) != 1) sums.pop_back();  // an output sums over a part of axis 0
  return {.channel = 1, .block = 0, .sums = std::move(sums)};
}

Axes gemm(const onnx::NodeProto& node, int64_t /*rank*/) {
  const bool transposed = graph::int_attribute(node, "transB", 0) != 0;
  return {.channel = transposed ? 0 : 1, .block = transposed ? 1 : 0, .sums = {{transposed ? 1 : 0}}};
}

Axes right_factor(const onnx::NodeProto& /*node*/, int64_t rank) {
  return {.channel = rank - 1, .block = rank - 2, .sums = {{rank - 2}}};
}

Axes left_factor(const onnx::NodeProto& /*node*/, int64_t rank) {
  return {.channel = rank - 2, .block = rank - 1, .sums = {{rank - 1}}};
}

/// A scale for each feature, not for each entry: embeddings have a few features far larger than the others, in all
/// entries alike (of a BERT encoder with 4 bits in blocks, cosine 0.995 this way, 0.967 the other). Blocks join
/// entries.
Axes lookup(const onnx::NodeProto& node, int64_t rank) {
  const int64_t axis = normalize_axis(graph::int_attribute(node, "axis", 0), static_cast<size_t>(rank));
  return {.channel = axis == rank - 1 ? rank - 2 : rank - 1, .block = axis};
}

/// [directions, gates of every hidden unit, what they sum over]: a scale for each gate's row, which directions share.
Axes recurrent(const onnx::NodeProto& /*node*/, int64_t rank) {
  return {.channel = rank - 2, .block = rank - 1, .sums = {{rank - 1}}};
}

struct WeightRow {
  std::string_view op_type;
  int input;
  Axes (*axes)(const onnx::NodeProto& node, int64_t rank);
};

constexpr WeightRow kWeights[] = {
    {"Conv", 1, convolution},    {"ConvTranspose", 1, deconvolution},
    {"Gather", 0, lookup},       {"Gemm", 1, gemm},
    {"GRU", 1, recurrent},       {"GRU", 2, recurrent},
    {"LSTM", 1, recurrent},      {"LSTM", 2, recurrent},
    {"MatMul", 1, right_factor}, {"MatMul", 0, left_factor},
    {"RNN", 1, recurrent},       {"RNN", 2, recurrent},
};

}  // namespace

bool all_finite(const Tensor& tensor) {
  const auto values = tensor.data<float>();
  return std::all_of(values.begin(), values.end(), [](float value) { return std::isfinite(value); });
}

namespace {

/// The same of a weight of the model, of which little is in memory at a time.
bool is_finite(const graph::Model& model, const onnx::TensorProto& weight) {
  constexpr size_t kPiece = size_t{1} << 20;
  const Tensor tensor = model.tensor(graph::as_stored(weight));
  const auto values = tensor.data<float>();
  for (size_t begin = 0; begin < values.size(); begin += kPiece) {
    const auto piece = values.subspan(begin, std::min(kPiece, values.size() - begin));
    if (!std::all_of(piece.begin(), piece.end(), [](float value) { return std::isfinite(value); })) return false;
    if (values.size() > kPiece) model.release_weights();
  }
  return true;
}

}  // namespace

std::vector<ConstantSlot> find_stored_weights(const graph::Model& model, const graph::GraphIndex& index,
                                              const onnx::NodeProto& node) {
  std::vector<ConstantSlot> slots;
  if (!graph::canonical_domain(node.domain()).empty()) return slots;
  for (const WeightRow& row : kWeights) {
    if (row.op_type != node.op_type() || node.input_size() <= row.input) continue;
    const onnx::TensorProto* initializer = index.initializer(node.input(row.input));
    if (initializer == nullptr || static_cast<DataType>(initializer->data_type()) != DataType::kFloat32) continue;
    const Shape shape = graph::shape_of(*initializer);
    if (shape.size() < 2 || element_count(shape) == 0 || !is_finite(model, *initializer)) continue;
    Axes axes = row.axes(node, initializer->dims_size());
    slots.push_back({row.input, node.input(row.input), axes.channel, axes.block, std::move(axes.sums)});
  }
  return slots;
}

}  // namespace narrow::analyze
