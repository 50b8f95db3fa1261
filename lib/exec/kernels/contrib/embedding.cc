// Sums that are normalized: SkipLayerNormalization, its form without a mean, and EmbedLayerNormalization.
#include "lib/exec/kernels/contrib/composition.h"
#include "lib/exec/kernels/contrib/families.h"

namespace narrow::exec {

// input, skip, gamma, then beta (not of the simplified form), bias -> output, mean, inverse deviation, sum.
KernelPtr make_skip_layer_normalization(const KernelRequest& request) {
  const onnx::NodeProto& node = *request.node;
  const bool centred = node.op_type() == "SkipLayerNormalization";
  const auto wants = [&](int output) { return output < node.output_size() && !node.output(output).empty(); };
  if (!centred && wants(1)) refuse(request, fmt::format("output '{}', a mean it does not compute", node.output(1)));
  Composition body(request);
  const ValueId sum = body.add_if_present(body.add("Add", {body.input(0), body.input(1)}), body.input(centred ? 4 : 3));
  const Attributes epsilon{attribute_of("epsilon", graph::float_attribute(node, "epsilon", 1e-12F))};
  const int made = wants(1) || wants(2) ? 3 : 1;
  if (centred) {
    auto results = body.add_outputs("LayerNormalization", {sum, body.input(2), body.input(3)}, made, epsilon);
    results.resize(3, kNoValue);
    return body.kernel({results[0], results[1], results[2], sum});
  }
  auto results = body.add_outputs("RMSNormalization", {sum, body.input(2)}, std::min(made, 2), epsilon, /*opset=*/23);
  results.resize(2, kNoValue);
  return body.kernel({results[0], kNoValue, results[1], sum});
}

// input_ids [B, S], segment_ids, word, position and segment embeddings, gamma, beta, mask [B, S], position_ids ->
// output [B, S, H], mask_index [B] (how many positions the mask keeps; 0 without a mask), sum.
KernelPtr make_embed_layer_normalization(const KernelRequest& request) {
  const onnx::NodeProto& node = *request.node;
  Composition body(request);
  const ValueId ids = body.input(0);
  ValueId positions = body.input(8);
  if (positions == kNoValue) {
    const auto scalar = [&](int64_t value) { return body.constant(Tensor::scalar(value)); };
    const ValueId length = body.add("Gather", {body.add("Shape", {ids}), scalar(1)});
    positions = body.add("Range", {scalar(0), length, scalar(1)});
  }
  ValueId sum =
      body.add("Add", {body.add("Gather", {body.input(2), ids}), body.add("Gather", {body.input(3), positions})});
  if (body.input(1) != kNoValue && body.input(4) != kNoValue) {
    sum = body.add("Add", {sum, body.add("Gather", {body.input(4), body.input(1)})});
  }
  const Attributes epsilon{attribute_of("epsilon", graph::float_attribute(node, "epsilon", 1e-12F))};
  const ValueId y = body.add("LayerNormalization", {sum, body.input(5), body.input(6)}, epsilon);
  ValueId counts = kNoValue;
  if (body.input(7) != kNoValue) {
    const Attributes keep{attribute_of("keepdims", int64_t{0})};
    counts = body.add("ReduceSum", {body.input(7), body.constant(Tensor::of<int64_t>({1}, {1}))}, keep);
  } else if (node.output_size() > 1 && !node.output(1).empty()) {
    const ValueId batch = body.add("Gather", {body.add("Shape", {ids}), body.constant(Tensor::of<int64_t>({1}, {0}))});
    counts = body.add("Expand", {body.constant(Tensor::scalar<int32_t>(0)), batch});
  }
  return body.kernel({y, counts, sum});
}

}  // namespace narrow::exec
