// ConvTranspose as an integer convolution: outputs at the same place within a stride meet the same weights, so each
// such phase is a convolution of its own. All phases are channels of one; DepthToSpace puts them in place, Slice takes
// off what the pads cut away.
//
//   y[s q + r] = sum over t of x[q - t] * w[r + s t]
//
// A dilated kernel is a longer one with zeros between its taps.
#include <algorithm>
#include <limits>
#include <numeric>

#include "lib/base/error.h"
#include "lib/graph/attributes.h"
#include "lib/runtime/kernels/phase_kernel.h"
#include "lib/runtime/kernels/product_kernels.h"
#include "lib/runtime/product_channels.h"
#include "lib/runtime/product_operands.h"
#include "lib/runtime/signed_weights.h"

namespace narrow::runtime {
namespace {

/// One entry for each spatial axis.
struct Transposed {
  int64_t groups = 1;
  std::vector<int64_t> strides;
  std::vector<int64_t> dilations;
  std::vector<int64_t> kernel;  // as stored
  std::vector<int64_t> taps;    // of one phase
  std::vector<int64_t> begin;   // cut off in front
  std::vector<int64_t> cut;     // and behind

  int64_t phases() const { return std::accumulate(strides.begin(), strides.end(), int64_t{1}, std::multiplies<>()); }
};

/// What is cut off in front and behind, as ONNX says; `more` is made behind the last window.
struct Cut {
  int64_t begin = 0;
  int64_t end = 0;
  int64_t more = 0;
};

/// Of one axis whose output has `wanted` elements of `full`.
Cut cut_to(int64_t wanted, int64_t full, exec::AutoPad auto_pad) {
  const int64_t total = std::max<int64_t>(0, full - wanted);
  const int64_t begin = auto_pad == exec::AutoPad::kSameUpper ? total / 2 : total - total / 2;
  return {.begin = begin, .end = total - begin, .more = std::max<int64_t>(0, wanted - full)};
}

std::variant<Transposed, Reason> transposed_of(const LowerContext& context, const onnx::NodeProto& node,
                                               const Shape& weights) {
  const auto refuse = [](const char* why) { return Reason{ReasonCode::kNoIntegerKernel, why}; };
  if (weights.size() < 3 || weights.size() > 5) return refuse("it has not one to three spatial axes");
  const size_t axes = weights.size() - 2;
  const exec::WindowAttributes window = exec::window_attributes(node);
  const auto list = [&](std::string_view name, int64_t fill, size_t size) {
    std::vector<int64_t> values = graph::ints_attribute(node, name);
    values.resize(size, fill);
    return values;
  };
  std::vector<int64_t> wanted = graph::ints_attribute(node, "output_shape");
  if (wanted.size() == axes + 2) wanted.erase(wanted.begin(), wanted.begin() + 2);
  const auto input = context.quant.index().type(node.input(0)).shape;
  const bool known = input && input->size() == weights.size() &&
                     std::all_of(input->begin() + 2, input->end(), [](int64_t size) { return size > 0; });
  if (!wanted.empty() && (!known || wanted.size() != axes)) return refuse("its pads depend on its size");
  const bool same = window.auto_pad == exec::AutoPad::kSameUpper || window.auto_pad == exec::AutoPad::kSameLower;
  const auto pads = list("pads", 0, 2 * axes);
  const auto more = list("output_padding", 0, axes);
  Transposed result{.groups = exec::group_count(node, weights),
                    .strides = list("strides", 1, axes),
                    .dilations = list("dilations", 1, axes),
                    .kernel = Shape(weights.begin() + 2, weights.end())};
  for (size_t axis = 0; axis < axes; ++axis) {
    const int64_t stride = result.strides[axis];
    if (stride < 1 || result.dilations[axis] < 1) return refuse("its strides or dilations are not positive");
    const int64_t reach = (result.kernel[axis] - 1) * result.dilations[axis] + 1;
    const int64_t windows = known ? (*input)[axis + 2] : 1;
    const int64_t full = stride * (windows - 1) + reach + more[axis];
    Cut cut{.begin = pads[axis], .end = pads[axes + axis]};
    if (!wanted.empty()) cut = cut_to(wanted[axis], full, window.auto_pad);
    if (wanted.empty() && same) cut = cut_to(stride * windows, full, window.auto_pad);
    if (wanted.empty() && window.auto_pad == exec::AutoPad::kValid) cut = {};
    if (cut.begin < 0) return refuse("its pads are negative");
    // What lies behind the last window is bias alone, as taps of zeros make it.
    const int64_t length = reach + more[axis] + cut.more - cut.end;
    result.taps.push_back(std::max((reach + stride - 1) / stride, (length + stride - 1) / stride));
    result.begin.push_back(cut.begin);
    result.cut.push_back(stride * result.taps[axis] - length);
  }
  return result;
}

/// Element `index` of the nest of `sizes`, innermost last.
std::vector<int64_t> place_in(const std::vector<int64_t>& sizes, int64_t index) {
  std::vector<int64_t> place(sizes.size());
  for (size_t i = sizes.size(); i-- > 0;) {
    place[i] = index % sizes[i];
    index /= sizes[i];
  }
  return place;
}

/// [C, M/g, kernel] -> [M phases, C/g, taps]: channel m * phases + r, taps from the last to the first. Taps that a
/// phase has not are real zeros.
Tensor phases_of(const SignedWeights& weights, const Transposed& shape) {
  const Shape& from = weights.integers.shape();
  const int64_t inputs = from[0] / shape.groups;
  const int64_t outputs = from[1];  // of one group
  const int64_t phases = shape.phases();
  const int64_t kernel_size = element_count(shape.kernel);
  const int64_t tap_count = element_count(shape.taps);
  Shape to{outputs * shape.groups * phases, inputs};
  to.insert(to.end(), shape.taps.begin(), shape.taps.end());
  Tensor result(DataType::kInt8, to);
  const auto source = weights.integers.data<int8_t>();
  const auto target = result.mutable_data<int8_t>();
  for (int64_t phase = 0; phase < phases; ++phase) {
    const std::vector<int64_t> offset = place_in(shape.strides, phase);
    for (int64_t tap = 0; tap < tap_count; ++tap) {
      const std::vector<int64_t> at = place_in(shape.taps, tap);
      int64_t element = 0;
      bool there = true;
      for (size_t axis = 0; axis < at.size(); ++axis) {
        const int64_t row = offset[axis] + shape.strides[axis] * (shape.taps[axis] - 1 - at[axis]);
        const int64_t stored = row / shape.dilations[axis];
        there = there && row % shape.dilations[axis] == 0 && stored < shape.kernel[axis];
        element = element * shape.kernel[axis] + stored;
      }
      for (int64_t m = 0; m < outputs * shape.groups; ++m) {
        const int64_t zero = weights.zero_points[weights.zero_points.size() == 1 ? 0 : static_cast<size_t>(m)];
        for (int64_t c = 0; c < inputs; ++c) {
          const int64_t plane = (m / outputs * inputs + c) * outputs + m % outputs;
          target[static_cast<size_t>(((m * phases + phase) * inputs + c) * tap_count + tap)] =
              there ? source[static_cast<size_t>(plane * kernel_size + element)] : static_cast<int8_t>(zero);
        }
      }
    }
  }
  return result;
}

/// Each element so many times.
template <class Value>
std::vector<Value> repeated(const std::vector<Value>& values, int64_t times) {
  if (values.size() == 1) return values;
  std::vector<Value> result;
  for (const Value value : values) result.insert(result.end(), static_cast<size_t>(times), value);
  return result;
}

Tensor repeated(const Tensor& bias, int64_t times) {
  if (!bias.defined()) return bias;
  Tensor result(DataType::kFloat32, {bias.size() * times});
  for (int64_t i = 0; i < result.size(); ++i) {
    result.mutable_data<float>()[static_cast<size_t>(i)] = bias.data<float>()[static_cast<size_t>(i / times)];
  }
  return result;
}

exec::KernelPtr kernel_of(const onnx::NodeProto& node, int opset) {
  exec::KernelRequest request;
  request.node = &node;
  request.opset = opset;
  request.constant = [](int) -> const Tensor* { return nullptr; };
  return exec::make_kernel(request);
}

exec::KernelPtr make_depth_to_space(int64_t block) {
  onnx::NodeProto node;
  node.set_op_type("DepthToSpace");
  node.add_input("x");
  node.add_output("y");
  graph::set_int_attribute(node, "blocksize", block);
  onnx::AttributeProto& mode = *node.add_attribute();
  mode.set_name("mode");
  mode.set_type(onnx::AttributeProto::STRING);
  mode.set_s("CRD");  // so that the phases of a channel lie together, and channels of a group too
  return kernel_of(node, 13);
}

exec::KernelPtr make_crop(const Transposed& shape) {
  onnx::NodeProto node;
  node.set_op_type("Slice");
  node.add_input("x");
  node.add_output("y");
  std::vector<int64_t> ends;
  std::vector<int64_t> axes;
  for (const int64_t cut : shape.cut) {
    ends.push_back(cut == 0 ? std::numeric_limits<int64_t>::max() : -cut);
    axes.push_back(static_cast<int64_t>(axes.size()) + 2);
  }
  graph::set_ints_attribute(node, "starts", shape.begin);
  graph::set_ints_attribute(node, "ends", ends);
  graph::set_ints_attribute(node, "axes", axes);
  return kernel_of(node, 9);  // the last one with attributes
}

exec::KernelPtr make_interleaving(const Transposed& shape) {
  const bool square = shape.strides.size() == 2 && shape.strides[0] == shape.strides[1];
  return square ? make_depth_to_space(shape.strides[0]) : make_phase_kernel(shape.strides);
}

bool is_all_zero(const std::vector<int64_t>& values) {
  return std::all_of(values.begin(), values.end(), [](int64_t value) { return value == 0; });
}

/// The convolution of all phases.
ConvolutionGroup phase_convolution(ConvolutionGroup group, const SignedWeights& own, const Transposed& shape) {
  const int64_t phases = shape.phases();
  group.weights = phases_of(own, shape);
  group.weight_zero_points = repeated(own.zero_points, phases);
  group.requantize.weight_scales = repeated(group.requantize.weight_scales, phases);
  group.bias = repeated(group.bias, phases);
  group.groups = shape.groups;
  const size_t axes = shape.taps.size();
  group.window = {.kernel = shape.taps,
                  .strides = std::vector<int64_t>(axes, 1),
                  .dilations = std::vector<int64_t>(axes, 1),
                  .pads = std::vector<int64_t>(2 * axes)};
  for (size_t i = 0; i < 2 * axes; ++i) group.window.pads[i] = shape.taps[i % axes] - 1;
  return group;
}

/// Convolution, interleaving and crop; the last two where they do something.
IntegerGroup steps_of(const LowerContext& context, const onnx::NodeProto& node, ConvolutionGroup group,
                      const Transposed& shape, const Quantized& x, const std::string& output) {
  const bool interleaves = shape.phases() > 1;
  const bool crops = !is_all_zero(shape.begin) || !is_all_zero(shape.cut);
  const std::string phased = interleaves || crops ? node.output(0) + "/phases" : output;
  const std::string whole = !interleaves ? phased : crops ? node.output(0) + "/whole" : output;
  IntegerGroup result;
  result.steps.push_back({make_convolution(std::move(group), context.choice), {x.integer}, {phased}});
  if (interleaves) result.steps.push_back({make_interleaving(shape), {phased}, {whole}});
  if (crops) result.steps.push_back({make_crop(shape), {whole}, {output}});
  return result;
}

/// One for each channel of a group -> one for each channel.
template <class Value>
void spread_over_groups(std::vector<Value>& values, int64_t groups) {
  if (values.size() == 1) return;
  const std::vector<Value> own = values;
  for (int64_t group = 1; group < groups; ++group) values.insert(values.end(), own.begin(), own.end());
}

}  // namespace

GroupOrReason lower_deconvolution(const LowerContext& context, const onnx::NodeProto& node) {
  const Quantized* x = activation(context, node, 0);
  if (x == nullptr) return no_activation(context, node, 0);
  const std::optional<Tensor> weights = weight_integers(context, node);
  if (!weights) return not_constant_weights(context, node);
  auto shape_or_reason = transposed_of(context, node, weights->shape());
  if (auto* reason = std::get_if<Reason>(&shape_or_reason)) return std::move(*reason);
  const Transposed& shape = std::get<Transposed>(shape_or_reason);
  const int64_t channels = weights->shape()[1] * shape.groups;
  const quant::QuantParams& params = context.quant.source(node.input(1))->params;
  if (params.axis && *params.axis != 1) {
    return Reason{ReasonCode::kNoIntegerKernel, fmt::format("weights have scales along axis {}", *params.axis)};
  }
  ConvolutionGroup group;
  set_source(group, *x);
  if (node.input_size() > 2 && !node.input(2).empty()) {
    const Tensor* bias = context.constant(node.input(2));
    if (bias == nullptr || bias->type() != DataType::kFloat32 || bias->size() != channels) {
      return Reason{ReasonCode::kBiasNotConstant, node.input(2)};
    }
    group.bias = *bias;
  }
  SignedWeights own = sign_weights(*weights, params.zero_points, params.axis);
  group.requantize.weight_scales = params.scales;
  spread_over_groups(own.zero_points, shape.groups);
  spread_over_groups(group.requantize.weight_scales, shape.groups);
  const exec::ProductChannels by_channel{.count = channels, .rank = weights->rank(), .from_back = weights->rank() - 1};
  const GroupEnd end = find_end(context, node, &by_channel);
  fold_linear(context, end, channels, group);
  const std::string output = set_destination(group, end);
  IntegerGroup result = steps_of(context, node, phase_convolution(std::move(group), own, shape), shape, *x, output);
  result.nodes = end.nodes;
  return result;
}

}  // namespace narrow::runtime
