#include "lib/onednn/pooling.h"

#include <algorithm>
#include <array>

#include "lib/base/parallel.h"
#include "lib/onednn/bound_primitive.h"
#include "lib/onednn/primitive_cache.h"

namespace narrow::onednn {
namespace {

dnnl::algorithm algorithm_of(PoolingKind kind) {
  switch (kind) {
    case PoolingKind::kMax:
      return dnnl::algorithm::pooling_max;
    case PoolingKind::kAverage:
      return dnnl::algorithm::pooling_avg_exclude_padding;
    case PoolingKind::kAverageIncludingPad:
      return dnnl::algorithm::pooling_avg_include_padding;
  }
  throw Error(ErrorKind::kInternal, "kind of pooling");
}

struct TypedKey {
  PrimitiveKey shape;
  DataType type = DataType::kFloat32;
  bool operator==(const TypedKey&) const = default;
};

}  // namespace

class Pooling::State {
 public:
  explicit State(PoolingSpec spec) : spec_(std::move(spec)) {
    const size_t axes = spec_.kernel.size();
    if (axes < 1 || axes > 3) throw Error(ErrorKind::kUnsupported, "pooling over {} spatial axes", axes);
    ensure(spec_.strides.size() == axes && spec_.dilations.size() == axes && spec_.pads_begin.size() == axes &&
               spec_.pads_end.size() == axes,
           "strides, dilations and pads have one value per spatial axis");
  }

  Tensor run(const Tensor& source, Workspace& workspace) const {
    ensure(source.layout() == Layout::kChannelsLast, "the source is channels-last");
    if (source.rank() != spec_.kernel.size() + 2) {
      throw Error(ErrorKind::kModel, "input has rank {}, expected {}", source.rank(), spec_.kernel.size() + 2);
    }
    Tensor result = workspace.allocate(source.type(), result_shape(source.shape()), Layout::kChannelsLast);
    if (result.size() == 0) return result;
    const TypedKey key{.shape = {.source = source.shape(), .other = {}, .threads = thread_count()},
                       .type = source.type()};
    const auto primitive = cache_.get(key, [&] {
      const auto plan = [&] { return make(source.shape(), result.shape(), source.type()); };
      const double operations =
          static_cast<double>(result.size()) * static_cast<double>(std::max(element_count(spec_.kernel), kFewestTerms));
      return plan_threads(plan, {.operations = operations, .type = DataType::kUint8});
    });
    primitive->execute(std::array{source.bytes(), result.bytes()}, workspace);
    return result;
  }

  std::string implementation() const {
    const auto primitive = cache_.latest();
    return primitive ? primitive->implementation() : "onednn";
  }

 private:
  Shape result_shape(const Shape& source) const {
    Shape result{source[0], source[1]};
    for (size_t axis = 0; axis < spec_.kernel.size(); ++axis) {
      const int64_t room = source[axis + 2] + spec_.pads_begin[axis] + spec_.pads_end[axis] - extent(axis);
      if (room < 0) throw Error(ErrorKind::kModel, "window is larger than the padded input {}", shape_text(source));
      result.push_back(room / spec_.strides[axis] + 1);
    }
    return result;
  }

  int64_t extent(size_t axis) const { return (spec_.kernel[axis] - 1) * spec_.dilations[axis] + 1; }

  std::shared_ptr<const BoundPrimitive> make(const Shape& source, const Shape& result, DataType type) const {
    const dnnl::memory::desc source_desc = channels_last_desc(source, type);
    const dnnl::memory::desc result_desc = channels_last_desc(result, type);
    dnnl::memory::dims dilations = spec_.dilations;  // oneDNN counts the gaps, ONNX the steps
    for (auto& dilation : dilations) --dilation;
    dnnl::memory::dims pads_end(spec_.kernel.size());  // as much as the windows reach over the end
    for (size_t axis = 0; axis < pads_end.size(); ++axis) {
      pads_end[axis] =
          (result[axis + 2] - 1) * spec_.strides[axis] + extent(axis) - source[axis + 2] - spec_.pads_begin[axis];
    }
    const auto descriptor = translating_errors(ErrorKind::kUnsupported, "pooling", [&] {
      return dnnl::pooling_forward::primitive_desc(
          cpu_engine(), dnnl::prop_kind::forward_inference, algorithm_of(spec_.kind), source_desc, result_desc,
          spec_.strides, spec_.kernel, dilations, spec_.pads_begin, pads_end, base_attributes());
    });
    return translating_errors(ErrorKind::kInternal, "pooling", [&] {
      std::vector<BoundPrimitive::Argument> arguments{{DNNL_ARG_SRC, source_desc}, {DNNL_ARG_DST, result_desc}};
      return std::make_shared<const BoundPrimitive>(descriptor, dnnl::pooling_forward(descriptor),
                                                    BoundPrimitive::Constants{}, std::move(arguments));
    });
  }

  const PoolingSpec spec_;
  mutable PrimitiveCache<TypedKey, BoundPrimitive> cache_;
};

Pooling::Pooling(PoolingSpec spec) : state_(std::make_unique<State>(std::move(spec))) {}
Pooling::~Pooling() = default;

Tensor Pooling::run(const Tensor& source, Workspace& workspace) const {
  return state_->run(source, workspace);
}

std::string Pooling::implementation() const {
  return state_->implementation();
}

}  // namespace narrow::onednn
