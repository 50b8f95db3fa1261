#include "lib/onednn/convolution.h"

#include <algorithm>
#include <array>

#include "lib/base/packing_scope.h"
#include "lib/onednn/bound_primitive.h"
#include "lib/onednn/dense32.h"
#include "lib/onednn/dense8.h"
#include "lib/onednn/dense_convolution.h"
#include "lib/onednn/depthwise8.h"
#include "lib/onednn/isa.h"
#include "lib/onednn/packed_weights.h"
#include "lib/onednn/post_ops.h"
#include "lib/onednn/primitive_cache.h"

namespace narrow::onednn {
namespace {

// [M, C/g, kernel...] as oneDNN sees it: with groups, [g, M/g, C/g, kernel...].
Shape grouped_shape(const Shape& weights, int64_t groups) {
  if (groups == 1) return weights;
  Shape shape = weights;
  shape[0] /= groups;
  shape.insert(shape.begin(), groups);
  return shape;
}

void check_spec(const ConvolutionSpec& spec, const Tensor& weights) {
  const size_t axes = spec.strides.size();
  if (axes < 1 || axes > 3) throw Error(ErrorKind::kUnsupported, "convolution over {} spatial axes", axes);
  ensure(spec.dilations.size() == axes && spec.pads_begin.size() == axes && spec.pads_end.size() == axes,
         "strides, dilations and pads have one value per spatial axis");
  if (weights.rank() != axes + 2) {
    throw Error(ErrorKind::kModel, "weight has rank {}, expected {}", weights.rank(), axes + 2);
  }
  if (spec.groups < 1 || weights.shape()[0] % spec.groups != 0) {
    throw Error(ErrorKind::kModel, "{} groups do not divide {} output channels", spec.groups, weights.shape()[0]);
  }
  const DataType wanted = spec.source == DataType::kFloat32 ? DataType::kFloat32 : DataType::kInt8;
  if (weights.type() != wanted) {
    throw Error(ErrorKind::kUnsupported, "{} weights with {} source", data_type_name(weights.type()),
                data_type_name(spec.source));
  }
  if (spec.add_residual && spec.source != DataType::kFloat32) {
    throw Error(ErrorKind::kUnsupported, "residual of an integer convolution");
  }
  ensure(spec.activations.empty() || spec.source == DataType::kFloat32, "activations go with float32");
}

bool is_byte(DataType type) {
  return type == DataType::kInt8 || type == DataType::kUint8;
}

// What Depthwise8 computes.
bool is_depthwise8(const ConvolutionSpec& spec, const Shape& weights) {
  const bool dense = std::all_of(spec.dilations.begin(), spec.dilations.end(), [](int64_t d) { return d == 1; });
  const bool pads = std::all_of(spec.pads_begin.begin(), spec.pads_begin.end(), [](int64_t p) { return p >= 0; });
  return pads && is_byte(spec.source) && is_byte(spec.destination) && weights.size() == 4 && dense && spec.groups > 1 &&
         spec.groups == weights[0] && weights[1] == 1;
}

// What DenseConvolution computes: windows whose rows lie in neighbouring elements.
bool is_dense(const ConvolutionSpec& spec, const Shape& weights) {
  const bool pads = std::all_of(spec.pads_begin.begin(), spec.pads_begin.end(), [](int64_t p) { return p >= 0; });
  const bool dense_rows = spec.dilations.back() == 1 || weights.back() == 1;
  return pads && weights.size() == 4 && spec.groups == 1 && dense_rows && element_count(weights) > 0;
}

// Where Dense32 is not slower than oneDNN: it has to copy windows that reach over the edges.
bool is_dense32(const ConvolutionSpec& spec, const Shape& weights) {
  const auto all = [](const std::vector<int64_t>& values, int64_t wanted) {
    return std::all_of(values.begin(), values.end(), [&](int64_t value) { return value == wanted; });
  };
  return spec.source == DataType::kFloat32 && weights[2] == 1 && weights[3] == 1 && all(spec.strides, 1) &&
         all(spec.pads_begin, 0) && all(spec.pads_end, 0) && Dense32::computes(spec.activations);
}

// Some output positions see nothing but padding.
bool pads_beyond_kernel(const ConvolutionSpec& spec, const Shape& weights) {
  for (size_t axis = 0; axis < spec.pads_begin.size(); ++axis) {
    const int64_t kernel = weights[axis + 2];
    if (spec.pads_begin[axis] >= kernel || spec.pads_end[axis] >= kernel) return true;
  }
  return false;
}

// oneDNN's kernels work on stretches of the last axis. A kernel that is 1 wide, over a source that is too (what is left
// of a convolution over time), is the same in memory with its two spatial axes exchanged, and an order of magnitude
// faster.
bool may_turn(const ConvolutionSpec& spec, const Shape& weights) {
  return spec.strides.size() == 2 && weights[2] > 1 && weights[3] == 1 && spec.pads_begin[1] == 0 &&
         spec.pads_end[1] == 0 && spec.strides[1] == 1;
}

Shape turned(Shape shape) {
  std::swap(shape[2], shape[3]);
  return shape;
}

ConvolutionSpec turned(ConvolutionSpec spec) {
  for (auto* values : {&spec.strides, &spec.dilations, &spec.pads_begin, &spec.pads_end}) {
    std::swap((*values)[0], (*values)[1]);
  }
  return spec;
}

// Why oneDNN 3.2's kernel for depthwise bytes may not be used; nullptr: it may.
const char* depthwise_fault(const ConvolutionSpec& spec, const Shape& weights) {
  // jit_uni_int8:avx2 leaves out bias and products of such positions' neighbours.
  if (pads_beyond_kernel(spec, weights)) return "padded by the size of its kernel";
  // And it gives zeros for all but one of the channels behind the last whole register.
  constexpr int64_t kRegister = 8;
  if (weights[0] % kRegister > 1 && !effective_isa().starts_with("avx512")) return "of a number of channels unlike 8 n";
  return nullptr;
}

}  // namespace

class Convolution::State {
 public:
  State(ConvolutionSpec spec, const Tensor& weights, const Tensor& bias);
  Tensor run(const Tensor& source, const Tensor& residual, Workspace& workspace) const;
  void prepare(const Shape& source) const;
  std::string implementation() const;

 private:
  void check_source(const Tensor& source) const;
  void check_shape(const Shape& source) const;
  std::shared_ptr<const BoundPrimitive> primitive(const Shape& source, const Shape& result) const;
  Shape result_shape(const Shape& source) const;
  double operations(const Shape& result) const;
  dnnl::primitive_attr attributes(const dnnl::memory::desc& result) const;
  dnnl::convolution_forward::primitive_desc describe(const dnnl::memory::desc& source,
                                                     const dnnl::memory::desc& result) const;
  BoundPrimitive::Constants constants(const dnnl::convolution_forward::primitive_desc& descriptor) const;
  void make_own_kernel(const Tensor& weights);
  void make_dense(const Tensor& weights);
  std::shared_ptr<const BoundPrimitive> make(const Shape& source, const Shape& result) const;

  const ConvolutionSpec spec_;
  const Shape weights_shape_;
  const OutputTransform transform_;
  const PackedWeights weights_;
  dnnl::memory multipliers_;
  dnnl::memory bias_;
  dnnl::memory source_zero_point_;
  mutable PrimitiveCache<PrimitiveKey, BoundPrimitive> cache_;
  // In oneDNN's place.
  std::unique_ptr<const Depthwise8> depthwise_;
  std::unique_ptr<const DenseConvolution<Dense8>> dense8_;
  std::unique_ptr<const DenseConvolution<Dense32>> dense32_;
  std::unique_ptr<const State> turned_;  // for sources that are 1 wide; see may_turn()
};

Convolution::State::State(ConvolutionSpec spec, const Tensor& weights, const Tensor& bias)
    : spec_((check_spec(spec, weights), std::move(spec))),
      weights_shape_(weights.shape()),
      transform_(make_output_transform({.source = spec_.source, .destination = spec_.destination}, spec_.requantize,
                                       spec_.clamp, bias, weights_shape_[0])),
      weights_(to_layout(weights, Layout::kPlain),
               plain_desc(grouped_shape(weights_shape_, spec_.groups), weights.type())) {
  if (!transform_.multipliers.empty()) multipliers_ = constant_memory<float>(transform_.multipliers);
  if (!transform_.bias.empty()) bias_ = constant_memory<float>(transform_.bias);
  if (transform_.source_zero_point != 0) {
    source_zero_point_ = constant_memory<int32_t>(std::array{transform_.source_zero_point});
  }
  if (may_turn(spec_, weights_shape_)) {
    turned_ = std::make_unique<const State>(turned(spec_),
                                            to_layout(weights, Layout::kPlain).reshaped(turned(weights_shape_)), bias);
  }
  make_own_kernel(to_layout(weights, Layout::kPlain));
}

void Convolution::State::make_dense(const Tensor& weights) {
  const Shape& shape = weights_shape_;
  const DenseWindow window{.kernel = {shape[2], shape[3]},
                           .strides = {spec_.strides[0], spec_.strides[1]},
                           .pads_begin = {spec_.pads_begin[0], spec_.pads_begin[1]},
                           .row_dilation = spec_.dilations[0]};
  if (is_byte(spec_.source) && Dense8::available()) {
    const Dense8Spec own{.columns = shape[0],
                         .runs = shape[2],
                         .run_bytes = shape[3] * shape[1],
                         .signed_source = spec_.source == DataType::kInt8,
                         .destination = spec_.destination};
    dense8_ = std::make_unique<DenseConvolution<Dense8>>(
        window, Dense8(own, by_rows_of_window(weights).data<int8_t>().data(), transform_));
  }
  if (is_dense32(spec_, shape) && Dense32::available()) {
    const Dense32Spec own{.columns = shape[0],
                          .runs = shape[2],
                          .terms = shape[3] * shape[1],
                          .clamp = spec_.clamp,
                          .activations = spec_.activations};
    dense32_ = std::make_unique<DenseConvolution<Dense32>>(
        window, Dense32(own, {.data = by_rows_of_window(weights).data<float>().data()}, transform_.bias));
  }
}

void Convolution::State::make_own_kernel(const Tensor& weights) {
  if (is_dense(spec_, weights_shape_)) make_dense(weights);
  if (!is_depthwise8(spec_, weights_shape_)) return;
  const char* fault = Depthwise8::available() ? nullptr : depthwise_fault(spec_, weights_shape_);
  if (fault != nullptr) throw Error(ErrorKind::kUnsupported, "depthwise convolution of bytes {}", fault);
  if (Depthwise8::available()) {
    const Depthwise8Spec own{.channels = weights_shape_[0],
                             .kernel = {weights_shape_[2], weights_shape_[3]},
                             .strides = {spec_.strides[0], spec_.strides[1]},
                             .pads_begin = {spec_.pads_begin[0], spec_.pads_begin[1]},
                             .signed_source = spec_.source == DataType::kInt8,
                             .signed_destination = spec_.destination == DataType::kInt8};
    depthwise_ = std::make_unique<Depthwise8>(own, weights.data<int8_t>().data(), transform_);
  }
}

void Convolution::State::check_source(const Tensor& source) const {
  ensure(source.type() == spec_.source, "the source has the type of the specification");
  ensure(source.layout() == Layout::kChannelsLast, "the source is channels-last");
  check_shape(source.shape());
}

void Convolution::State::check_shape(const Shape& source) const {
  if (source.size() != weights_shape_.size()) {
    throw Error(ErrorKind::kModel, "input has rank {}, expected {}", source.size(), weights_shape_.size());
  }
  if (source[1] != weights_shape_[1] * spec_.groups) {
    throw Error(ErrorKind::kModel, "input has {} channels, expected {}", source[1], weights_shape_[1] * spec_.groups);
  }
}

Shape Convolution::State::result_shape(const Shape& source) const {
  Shape result{source[0], weights_shape_[0]};
  for (size_t axis = 0; axis < spec_.strides.size(); ++axis) {
    const int64_t extent = (weights_shape_[axis + 2] - 1) * spec_.dilations[axis] + 1;
    const int64_t room = source[axis + 2] + spec_.pads_begin[axis] + spec_.pads_end[axis] - extent;
    if (room < 0) throw Error(ErrorKind::kModel, "kernel is larger than the padded input {}", shape_text(source));
    result.push_back(room / spec_.strides[axis] + 1);
  }
  return result;
}

double Convolution::State::operations(const Shape& result) const {
  const int64_t terms = element_count(weights_shape_) / std::max<int64_t>(weights_shape_[0], 1);
  return static_cast<double>(element_count(result)) * static_cast<double>(std::max(terms, kFewestTerms));
}

dnnl::primitive_attr Convolution::State::attributes(const dnnl::memory::desc& result) const {
  dnnl::primitive_attr attributes = base_attributes();
  if (!transform_.multipliers.empty() && !transform_.bias_first) {
    // Bit i stands for axis i of the weights: the output channels are axis 0, or axes 0 (group) and 1.
    const int per_channel = spec_.groups == 1 ? 1 : 3;
    attributes.set_scales_mask(DNNL_ARG_WEIGHTS, transform_.multipliers.size() == 1 ? 0 : per_channel);
  }
  if (transform_.source_zero_point != 0) attributes.set_zero_points_mask(DNNL_ARG_SRC, 0);
  if (spec_.source == DataType::kFloat32) {
    attributes.set_post_ops(
        make_float_post_ops(spec_.add_residual ? &result : nullptr, spec_.clamp, spec_.activations));
  } else {
    Shape channels(weights_shape_.size(), 1);
    channels[1] = static_cast<int64_t>(transform_.multipliers.size());
    attributes.set_post_ops(make_post_ops(transform_, channels_last_desc(channels, DataType::kFloat32)));
  }
  return attributes;
}

dnnl::convolution_forward::primitive_desc Convolution::State::describe(const dnnl::memory::desc& source,
                                                                       const dnnl::memory::desc& result) const {
  dnnl::memory::dims dilations = spec_.dilations;  // oneDNN counts the gaps, ONNX the steps
  for (auto& dilation : dilations) --dilation;
  // A kernel that overhangs the last step leaves input unused; oneDNN wants pads that fit exactly, down to negative.
  dnnl::memory::dims pads_end = spec_.pads_end;
  for (size_t axis = 0; axis < pads_end.size(); ++axis) {
    const int64_t extent = (weights_shape_[axis + 2] - 1) * spec_.dilations[axis] + 1;
    pads_end[axis] = (result.get_dims()[axis + 2] - 1) * spec_.strides[axis] + extent - source.get_dims()[axis + 2] -
                     spec_.pads_begin[axis];
  }
  const auto bias = transform_.bias.empty() ? dnnl::memory::desc() : bias_.get_desc();
  return translating_errors(ErrorKind::kUnsupported, "convolution", [&] {
    return dnnl::convolution_forward::primitive_desc(
        cpu_engine(), dnnl::prop_kind::forward_inference, dnnl::algorithm::convolution_direct, source,
        weights_.any_desc(), bias, result, spec_.strides, dilations, spec_.pads_begin, pads_end, attributes(result));
  });
}

BoundPrimitive::Constants Convolution::State::constants(
    const dnnl::convolution_forward::primitive_desc& descriptor) const {
  BoundPrimitive::Constants constants{{DNNL_ARG_WEIGHTS, weights_.get(descriptor.weights_desc())}};
  if (bias_) constants.emplace_back(DNNL_ARG_BIAS, bias_);
  if (multipliers_) {
    constants.emplace_back(transform_.bias_first ? kFirstPostOperand : DNNL_ARG_ATTR_SCALES | DNNL_ARG_WEIGHTS,
                           multipliers_);
  }
  if (source_zero_point_) constants.emplace_back(DNNL_ARG_ATTR_ZERO_POINTS | DNNL_ARG_SRC, source_zero_point_);
  return constants;
}

std::shared_ptr<const BoundPrimitive> Convolution::State::make(const Shape& source, const Shape& result) const {
  const dnnl::memory::desc source_desc = channels_last_desc(source, spec_.source);
  const dnnl::memory::desc result_desc = channels_last_desc(result, spec_.destination);
  const auto descriptor = describe(source_desc, result_desc);
  std::vector<BoundPrimitive::Argument> arguments{{DNNL_ARG_SRC, source_desc}, {DNNL_ARG_DST, result_desc}};
  if (spec_.add_residual) arguments.push_back({kFirstPostOperand, result_desc});
  return translating_errors(ErrorKind::kInternal, "convolution", [&] {
    return std::make_shared<const BoundPrimitive>(descriptor, dnnl::convolution_forward(descriptor),
                                                  constants(descriptor), std::move(arguments));
  });
}

Tensor Convolution::State::run(const Tensor& source, const Tensor& residual, Workspace& workspace) const {
  check_source(source);
  if (turned_ && source.shape()[3] == 1) {
    const Tensor beside = residual.defined() ? residual.reshaped(turned(residual.shape())) : Tensor();
    const Tensor result = turned_->run(source.reshaped(turned(source.shape())), beside, workspace);
    return result.reshaped(turned(result.shape()));
  }
  Tensor result = workspace.allocate(spec_.destination, result_shape(source.shape()), Layout::kChannelsLast);
  if (result.size() == 0) return result;
  if (depthwise_) {
    depthwise_->run(reinterpret_cast<const uint8_t*>(source.bytes()), source.shape(),
                    reinterpret_cast<uint8_t*>(result.mutable_bytes()), result.shape());
    return result;
  }
  if (spec_.add_residual) {
    ensure(
        residual.shape() == result.shape() && residual.layout() == result.layout() && residual.type() == result.type(),
        "the residual is like the result");
  }
  if (dense8_) {
    dense8_->run(source, Tensor(), result);
    return result;
  }
  if (dense32_) {
    dense32_->run(source, spec_.add_residual ? residual : Tensor(), result);
    return result;
  }
  const std::array data{source.bytes(), result.bytes(), spec_.add_residual ? residual.bytes() : nullptr};
  primitive(source.shape(), result.shape())->execute(std::span(data).first(spec_.add_residual ? 3 : 2), workspace);
  return result;
}

std::shared_ptr<const BoundPrimitive> Convolution::State::primitive(const Shape& source, const Shape& result) const {
  const PrimitiveKey key{.source = source, .other = {}, .threads = thread_count()};
  return cache_.get(key, [&] {
    const auto plan = [&] { return make(source, result); };
    return plan_threads(plan, {.operations = operations(result),
                               .type = spec_.source,
                               .window_slides = element_count(result) > result[0] * result[1]});
  });
}

void Convolution::State::prepare(const Shape& source) const {
  check_shape(source);
  if (turned_ && source[3] == 1) return turned_->prepare(turned(source));
  if (depthwise_ || dense8_ || dense32_) return;
  const Shape result = result_shape(source);
  if (element_count(result) > 0) primitive(source, result);
}

std::string Convolution::State::implementation() const {
  if (depthwise_) return "narrow:depthwise:avx512_vnni";
  if (dense8_) return "narrow:dense:avx512_vnni";
  if (dense32_) return "narrow:dense:avx512";
  const auto primitive = cache_.latest();
  if (!primitive && turned_) return turned_->implementation();
  return primitive ? primitive->implementation() : "onednn";
}

Convolution::Convolution(ConvolutionSpec spec, const Tensor& weights, const Tensor& bias) {
  const PackingScope threads(weights.byte_size());
  state_ = std::make_unique<State>(std::move(spec), weights, bias);
}
Convolution::~Convolution() = default;

Tensor Convolution::run(const Tensor& source, const Tensor& residual, Workspace& workspace) const {
  return state_->run(source, residual, workspace);
}

void Convolution::prepare(const Shape& source) const {
  state_->prepare(source);
}

std::string Convolution::implementation() const {
  return state_->implementation();
}

}  // namespace narrow::onednn
