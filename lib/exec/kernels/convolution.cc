#include "lib/exec/kernels/convolution.h"

#include <map>
#include <mutex>
#include <tuple>

#include "lib/exec/kernels/broadcast.h"
#include "lib/exec/kernels/cache.h"
#include "lib/exec/kernels/families.h"
#include "lib/exec/kernels/support.h"
#include "lib/exec/ref/convolution.h"
#include "lib/exec/window.h"

namespace narrow::exec {
namespace {

// Pads that follow from auto_pad depend on the shape, and so does the primitive; there are only a few of them.
class OnednnConvolution final : public Kernel {
 public:
  OnednnConvolution(const onnx::NodeProto& node, Tensor weights, Tensor bias, const Epilogue& epilogue)
      : attributes_(window_attributes(node)),
        groups_(group_count(node)),
        weights_(std::move(weights)),
        bias_(std::move(bias)),
        epilogue_(epilogue) {}

  void run(std::span<Tensor> inputs, std::span<Tensor> outputs, Workspace& workspace) const override {
    const Tensor& source = required(inputs, 0);
    if (source.type() != DataType::kFloat32 || source.rank() != weights_.rank()) {
      throw Error(ErrorKind::kModel, "input {} {} does not fit the weight {}", data_type_name(source.type()),
                  shape_text(source.shape()), shape_text(weights_.shape()));
    }
    const Window window = window_of(source.shape());
    if (source.shape()[1] != weights_.shape()[1] * groups_) {
      throw Error(ErrorKind::kModel, "input {} has not the {} channels of the weight {}", shape_text(source.shape()),
                  weights_.shape()[1] * groups_, shape_text(weights_.shape()));
    }
    if (!epilogue_.add_residual) {
      outputs[0] = convolution(window, epilogue_).run(source, Tensor(), workspace);
      return;
    }
    Shape shape{source.shape()[0], weights_.shape()[0]};
    shape.insert(shape.end(), window.output.begin(), window.output.end());
    if (required(inputs, inputs.size() - 1).shape() == shape) {
      const Tensor residual = std::move(inputs.back());
      outputs[0] = convolution(window, epilogue_).run(source, residual, workspace);
    } else {
      const Tensor sum = convolution(window, {}).run(source, Tensor(), workspace);
      outputs[0] = add_and_clamp(sum, inputs.back(), epilogue_.clamp, workspace);
    }
  }
  void prepare(const Shape& source) const override {
    if (source.size() != weights_.rank()) return;
    try {
      convolution(window_of(source), epilogue_).prepare(source);
    } catch (const Error&) {
      return;  // run() says it
    }
  }
  LayoutUse layout_use() const override { return LayoutUse::kChannelsLast; }
  std::string implementation() const override {
    const std::lock_guard lock(mutex_);
    return convolutions_.empty() ? "onednn" : convolutions_.begin()->second->implementation();
  }

 private:
  Window window_of(const Shape& source) const {
    return resolve_window(attributes_, spatial_dimensions(source), spatial_dimensions(weights_.shape()));
  }

  const onednn::Convolution& convolution(const Window& window, const Epilogue& epilogue) const {
    const std::lock_guard lock(mutex_);
    return cached(convolutions_, {window.pads_begin, window.pads_end, epilogue.add_residual}, [&] {
      return std::make_unique<onednn::Convolution>(onednn::ConvolutionSpec{.strides = window.strides,
                                                                           .dilations = window.dilations,
                                                                           .pads_begin = window.pads_begin,
                                                                           .pads_end = window.pads_end,
                                                                           .groups = groups_,
                                                                           .clamp = epilogue.clamp,
                                                                           .add_residual = epilogue.add_residual,
                                                                           .activations = epilogue.activations,
                                                                           .requantize = std::nullopt},
                                                   weights_, bias_);
    });
  }

  WindowAttributes attributes_;
  int64_t groups_;
  Tensor weights_;
  Tensor bias_;
  Epilogue epilogue_;
  mutable std::mutex mutex_;
  using Key = std::tuple<std::vector<int64_t>, std::vector<int64_t>, bool>;  // pads, with residual
  mutable std::map<Key, std::unique_ptr<const onednn::Convolution>> convolutions_;
};

KernelPtr make_reference(const KernelRequest& request, Operand weight, Operand bias) {
  return kernel_of([attributes = window_attributes(*request.node), groups = group_count(*request.node),
                    weight = std::move(weight),
                    bias = std::move(bias)](std::span<Tensor> inputs, std::span<Tensor> outputs, Workspace& workspace) {
    const Tensor& x = required(inputs, 0);
    const Tensor& w = weight.required_in(inputs);
    if (x.rank() != w.rank()) throw Error(ErrorKind::kModel, "input and weight of different rank");
    const Window window = resolve_window(attributes, spatial_dimensions(x.shape()), spatial_dimensions(w.shape()));
    Shape shape{x.shape()[0], w.shape()[0]};
    shape.insert(shape.end(), window.output.begin(), window.output.end());
    outputs[0] = workspace.allocate(x.type(), shape);
    dispatch_type(FloatTypes(), x.type(), [&]<class T>() {
      const auto y = outputs[0].mutable_data<T>();
      convolve<T, T, T>(x, w, window, groups, T{}, {T{}}, y.data());
      const Tensor& b = bias.in(inputs);
      if (!b.defined()) return;
      if (b.size() != shape[1]) throw Error(ErrorKind::kModel, "bias of {} elements", b.size());
      const size_t spatial = static_cast<size_t>(element_count(window.output));
      for (size_t i = 0; i < y.size(); ++i) {
        y[i] += b.data<T>()[i / spatial % static_cast<size_t>(shape[1])];
      }
    });
  });
}

}  // namespace

Tensor add_and_clamp(const Tensor& sum, const Tensor& residual, const onednn::Clamp& clamp, Workspace& workspace) {
  const Tensor left = to_layout(sum, Layout::kPlain, workspace);
  const Tensor right = to_layout(residual, Layout::kPlain, workspace);
  const std::array<const Tensor*, 2> operands{&left, &right};
  Tensor result = workspace.allocate(DataType::kFloat32, broadcast_shape(operands));
  const BroadcastLoops loops = broadcast_loops(operands, result.shape(), Layout::kPlain);
  broadcast_binary(loops, left.data<float>().data(), right.data<float>().data(), result.mutable_data<float>().data(),
                   [&clamp](float x, float y) { return std::min(std::max(x + y, clamp.low), clamp.high); });
  return result;
}

bool convolution_takes_epilogue(const KernelRequest& request) {
  const Operand weight(request, 1);
  const Operand bias(request, 2);
  const Tensor& w = weight.constant();
  if (!w.defined() || w.type() != DataType::kFloat32 || w.rank() < 3 || w.rank() > 5) return false;
  const auto pads = graph::ints_attribute(*request.node, "pads");
  if (std::any_of(pads.begin(), pads.end(), [](int64_t pad) { return pad < 0; })) return false;
  return !bias.present() || bias.constant().defined();
}

KernelPtr make_convolution(const KernelRequest& request, const Epilogue& epilogue) {
  const Operand weight(request, 1);
  const Operand bias(request, 2);
  if (convolution_takes_epilogue(request)) {
    return std::make_unique<OnednnConvolution>(*request.node, weight.constant(), bias.constant(), epilogue);
  }
  ensure(epilogue == Epilogue(), "a reference convolution has no epilogue");
  return make_reference(request, weight, bias);
}

KernelPtr make_conv(const KernelRequest& request) {
  return make_convolution(request, {});
}

}  // namespace narrow::exec
