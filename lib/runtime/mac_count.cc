#include "lib/runtime/mac_count.h"

#include "lib/graph/attributes.h"
#include "lib/ops/op_table.h"

namespace narrow::runtime {
namespace {

// Shape of a value if it is fully known.
std::optional<Shape> known_shape(const LowerContext& context, const std::string& value) {
  if (const Shape* constant = context.constant_shape(value)) return *constant;
  auto shape = context.quant.index().type(value).shape;
  if (!shape) return std::nullopt;
  for (const int64_t dimension : *shape) {
    if (dimension < 0) return std::nullopt;
  }
  return shape;
}

// The same, taking the batch for 1.
std::optional<Shape> sample_shape(const LowerContext& context, const std::string& value) {
  if (const Shape* constant = context.constant_shape(value)) return *constant;
  auto shape = context.quant.index().type(value).shape;
  if (!shape) return std::nullopt;
  for (size_t i = 0; i < shape->size(); ++i) {
    if ((*shape)[i] >= 0) continue;
    if (i > 0) return std::nullopt;
    (*shape)[i] = 1;
  }
  return shape;
}

/// Each step of each sequence multiplies all weights once: input X [steps, batch, size], W and R. `size_from_back`: of
/// the axis of W that is as long as X's last.
std::optional<MacCount> recurrent_count(const LowerContext& context, const onnx::NodeProto& node,
                                        size_t size_from_back) {
  if (node.input_size() < 3) return std::nullopt;
  const auto weights = known_shape(context, node.input(1));
  const auto recurrence = known_shape(context, node.input(2));
  if (!weights || !recurrence || weights->size() < size_from_back) return std::nullopt;
  const int64_t size = (*weights)[weights->size() - size_from_back];
  if (size == 0) return std::nullopt;
  return MacCount{.node = 0,
                  .value = node.input(0),
                  .per_element = element_count(*weights) + element_count(*recurrence),
                  .divisor = size,
                  .inner = {}};
}

}  // namespace

std::optional<MacCount> mac_count_of(const LowerContext& context, const onnx::NodeProto& node) {
  if (node.op_type() == "DynamicQuantizeLSTM") return recurrent_count(context, node, /*size_from_back=*/2);
  if (!graph::canonical_domain(node.domain()).empty() || node.input_size() < 2) return std::nullopt;
  if (ops::is_recurrent(node.op_type())) return recurrent_count(context, node, /*size_from_back=*/1);
  std::string op = node.op_type();
  if (op == "ConvInteger") op = "Conv";
  if (op == "MatMulInteger") op = "MatMul";
  if (op != "Conv" && op != "ConvTranspose" && op != "Gemm" && op != "MatMul") return std::nullopt;
  MacCount count{
      .node = 0, .value = op == "ConvTranspose" ? node.input(0) : node.output(0), .per_element = 1, .inner = {}};
  const std::optional<Shape> weights = known_shape(context, node.input(1));
  if (weights && !weights->empty() && (op == "Conv" || op == "ConvTranspose")) {
    count.per_element = element_count(Shape(weights->begin() + 1, weights->end()));
  } else if (weights && weights->size() == 2 && op == "Gemm") {
    count.per_element = (*weights)[graph::int_attribute(node, "transB", 0) != 0 ? 1 : 0];
  } else if (weights && !weights->empty()) {
    count.per_element = weights->size() == 1 ? weights->front() : (*weights)[weights->size() - 2];
  } else {
    count.inner = node.input(0);
  }
  return count;
}

int64_t macs_of(const MacCount& count, const Shape& shape, int64_t depth) {
  return element_count({element_count(shape) / count.divisor, count.per_element, depth});
}

std::optional<int64_t> static_macs(const LowerContext& context, const MacCount& count) {
  const auto shape = sample_shape(context, count.value);
  if (!shape) return std::nullopt;
  int64_t depth = 1;
  if (!count.inner.empty()) {
    const auto inner = sample_shape(context, count.inner);
    if (!inner || inner->empty()) return std::nullopt;
    depth = inner->back();
  }
  return macs_of(count, *shape, depth);
}

}  // namespace narrow::runtime
