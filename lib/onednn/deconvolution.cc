#include <array>

#include "lib/base/parallel.h"
#include "lib/onednn/bound_primitive.h"
#include "lib/onednn/convolution.h"
#include "lib/onednn/packed_weights.h"
#include "lib/onednn/primitive_cache.h"

namespace narrow::onednn {
namespace {

void check_spec(const DeconvolutionSpec& spec, const Tensor& weights) {
  const size_t axes = spec.strides.size();
  if (axes < 1 || axes > 3) throw Error(ErrorKind::kUnsupported, "transposed convolution over {} spatial axes", axes);
  ensure(spec.dilations.size() == axes && spec.pads_begin.size() == axes && spec.pads_end.size() == axes &&
             spec.output_padding.size() == axes,
         "strides, dilations and pads have one value per spatial axis");
  if (weights.type() != DataType::kFloat32) {
    throw Error(ErrorKind::kUnsupported, "transposed convolution of {}", data_type_name(weights.type()));
  }
  if (weights.rank() != axes + 2) {
    throw Error(ErrorKind::kModel, "weight has rank {}, expected {}", weights.rank(), axes + 2);
  }
  if (spec.groups < 1 || weights.shape()[0] % spec.groups != 0) {
    throw Error(ErrorKind::kModel, "{} groups do not divide {} input channels", spec.groups, weights.shape()[0]);
  }
}

// ONNX stores [C, M/g, kernel...]; oneDNN wants the output channels first: [M, C, kernel...] or, with groups,
// [g, M/g, C/g, kernel...]. The same memory, seen with two axes swapped.
dnnl::memory::desc weights_desc(const Shape& stored, int64_t groups) {
  Shape shape = stored;
  size_t input = 0;  // axis of the input channels
  if (groups > 1) {
    shape[0] /= groups;
    shape.insert(shape.begin(), groups);
    input = 1;
  }
  dnnl::memory::dims strides = plain_desc(shape, DataType::kFloat32).get_strides();
  std::swap(shape[input], shape[input + 1]);
  std::swap(strides[input], strides[input + 1]);
  return {shape, dnnl::memory::data_type::f32, strides};
}

}  // namespace

class Deconvolution::State {
 public:
  State(DeconvolutionSpec spec, const Tensor& weights, const Tensor& bias)
      : spec_((check_spec(spec, weights), std::move(spec))),
        weights_shape_(weights.shape()),
        weights_(to_layout(weights, Layout::kPlain), weights_desc(weights_shape_, spec_.groups)) {
    if (!bias.defined()) return;
    if (bias.size() != weights_shape_[1] * spec_.groups) {
      throw Error(ErrorKind::kModel, "bias has {} elements for {} channels", bias.size(),
                  weights_shape_[1] * spec_.groups);
    }
    bias_ = constant_memory<float>(bias.data<float>());
  }

  Tensor run(const Tensor& source, Workspace& workspace) const {
    check_source(source);
    const Shape shape = result_shape(source.shape());
    Tensor result = workspace.allocate(DataType::kFloat32, shape, Layout::kChannelsLast);
    if (result.size() == 0) return result;
    const PrimitiveKey key{.source = source.shape(), .other = {}, .threads = thread_count()};
    const auto primitive = cache_.get(key, [&] {
      const double products = static_cast<double>(source.size()) * static_cast<double>(element_count(weights_shape_)) /
                              static_cast<double>(weights_shape_[0]);
      return plan_threads([&] { return make(source.shape(), shape); }, {.operations = products});
    });
    primitive->execute(std::array{source.bytes(), result.bytes()}, workspace);
    return result;
  }

  std::string implementation() const {
    const auto primitive = cache_.latest();
    return primitive ? primitive->implementation() : "onednn";
  }

 private:
  void check_source(const Tensor& source) const {
    ensure(source.layout() == Layout::kChannelsLast, "the source is channels-last");
    ensure(source.type() == DataType::kFloat32, "the source is float32");
    if (source.rank() != weights_shape_.size()) {
      throw Error(ErrorKind::kModel, "input has rank {}, expected {}", source.rank(), weights_shape_.size());
    }
    if (source.shape()[1] != weights_shape_[0]) {
      throw Error(ErrorKind::kModel, "input has {} channels, expected {}", source.shape()[1], weights_shape_[0]);
    }
  }

  Shape result_shape(const Shape& source) const {
    Shape result{source[0], weights_shape_[1] * spec_.groups};
    for (size_t axis = 0; axis < spec_.strides.size(); ++axis) {
      const int64_t extent = (weights_shape_[axis + 2] - 1) * spec_.dilations[axis] + 1;
      const int64_t size = (source[axis + 2] - 1) * spec_.strides[axis] + extent + spec_.output_padding[axis] -
                           spec_.pads_begin[axis] - spec_.pads_end[axis];
      if (size < 1) throw Error(ErrorKind::kModel, "pads leave nothing of input {}", shape_text(source));
      result.push_back(size);
    }
    return result;
  }

  std::shared_ptr<const BoundPrimitive> make(const Shape& source, const Shape& result) const {
    const auto source_desc = channels_last_desc(source, DataType::kFloat32);
    const auto result_desc = channels_last_desc(result, DataType::kFloat32);
    dnnl::memory::dims dilations = spec_.dilations;  // oneDNN counts the gaps, ONNX the steps
    for (auto& dilation : dilations) --dilation;
    dnnl::memory::dims pads_end = spec_.pads_end;
    for (size_t axis = 0; axis < pads_end.size(); ++axis) pads_end[axis] -= spec_.output_padding[axis];
    const auto descriptor = translating_errors(ErrorKind::kUnsupported, "transposed convolution", [&] {
      return dnnl::deconvolution_forward::primitive_desc(
          cpu_engine(), dnnl::prop_kind::forward_inference, dnnl::algorithm::deconvolution_direct, source_desc,
          weights_.any_desc(), bias_ ? bias_.get_desc() : dnnl::memory::desc(), result_desc, spec_.strides, dilations,
          spec_.pads_begin, pads_end, base_attributes());
    });
    return translating_errors(ErrorKind::kInternal, "transposed convolution", [&] {
      BoundPrimitive::Constants constants{{DNNL_ARG_WEIGHTS, weights_.get(descriptor.weights_desc())}};
      if (bias_) constants.emplace_back(DNNL_ARG_BIAS, bias_);
      std::vector<BoundPrimitive::Argument> arguments{{DNNL_ARG_SRC, source_desc}, {DNNL_ARG_DST, result_desc}};
      return std::make_shared<const BoundPrimitive>(descriptor, dnnl::deconvolution_forward(descriptor),
                                                    std::move(constants), std::move(arguments));
    });
  }

  const DeconvolutionSpec spec_;
  const Shape weights_shape_;
  const PackedWeights weights_;
  dnnl::memory bias_;
  mutable PrimitiveCache<PrimitiveKey, BoundPrimitive> cache_;
};

Deconvolution::Deconvolution(DeconvolutionSpec spec, const Tensor& weights, const Tensor& bias)
    : state_(std::make_unique<State>(std::move(spec), weights, bias)) {}
Deconvolution::~Deconvolution() = default;

Tensor Deconvolution::run(const Tensor& source, Workspace& workspace) const {
  return state_->run(source, workspace);
}

std::string Deconvolution::implementation() const {
  return state_->implementation();
}

}  // namespace narrow::onednn
