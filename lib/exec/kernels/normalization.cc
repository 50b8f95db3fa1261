// Normalizations over channels or features.
#include <array>
#include <cmath>

#include "lib/exec/kernels/broadcast.h"
#include "lib/exec/kernels/families.h"
#include "lib/exec/kernels/row_loops.h"
#include "lib/exec/kernels/support.h"
#include "lib/exec/window.h"

namespace narrow::exec {
namespace {

template <class T>
void scale_channels(const Tensor& x, const std::vector<T>& scale, const std::vector<T>& shift, Tensor& y) {
  const int64_t channels = x.rank() > 1 ? x.shape()[1] : 1;
  const int64_t batch = x.rank() > 0 ? x.shape()[0] : 1;
  const int64_t spatial = x.size() / std::max<int64_t>(1, batch * channels);
  const T* from = x.data<T>().data();
  T* to = y.mutable_data<T>().data();
  if (x.layout() == Layout::kChannelsLast || spatial == 1) {
    parallel_for(batch * spatial, std::max<int64_t>(1, kElementGrain / channels), [&](int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; ++row) {
        for (int64_t c = 0; c < channels; ++c) {
          to[row * channels + c] =
              from[row * channels + c] * scale[static_cast<size_t>(c)] + shift[static_cast<size_t>(c)];
        }
      }
    });
    return;
  }
  parallel_for(batch * channels, std::max<int64_t>(1, kElementGrain / spatial), [&](int64_t begin, int64_t end) {
    for (int64_t plane = begin; plane < end; ++plane) {
      const T a = scale[static_cast<size_t>(plane % channels)];
      const T b = shift[static_cast<size_t>(plane % channels)];
      for (int64_t i = plane * spatial; i < (plane + 1) * spatial; ++i) to[i] = from[i] * a + b;
    }
  });
}

// Mean and variance of one row, in float64.
template <class T>
std::pair<double, double> moments(const T* x, int64_t count) {
  double sum = 0;
  for (int64_t i = 0; i < count; ++i) sum += static_cast<double>(x[i]);
  const double mean = sum / static_cast<double>(count);
  double squares = 0;
  for (int64_t i = 0; i < count; ++i) {
    const double difference = static_cast<double>(x[i]) - mean;
    squares += difference * difference;
  }
  return {mean, squares / static_cast<double>(count)};
}

struct GroupSpec {
  int64_t groups = 1;
  bool scale_by_group = false;  // else by channel
  double epsilon = 0;
};

// `x` and `y` plain [N, C, spatial...]: each group of channels of an image becomes 0 +- 1, then scaled and shifted.
template <class T>
void normalize_groups(const GroupSpec& spec, const Tensor& x, const Tensor& scale, const Tensor& bias, Tensor& y) {
  const int64_t spatial = element_count(spatial_dimensions(x.shape()));
  const int64_t width = x.shape()[1] / spec.groups;
  const T* from = x.data<T>().data();
  T* to = y.mutable_data<T>().data();
  parallel_for(x.shape()[0] * spec.groups, 1, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      const auto [mean, variance] = moments(from + row * width * spatial, width * spatial);
      const double factor = 1 / std::sqrt(variance + spec.epsilon);
      for (int64_t c = 0; c < width; ++c) {
        const int64_t group = row % spec.groups;
        const auto at = static_cast<size_t>(spec.scale_by_group ? group : group * width + c);
        const double a = factor * static_cast<double>(scale.data<T>()[at]);
        const double b = static_cast<double>(bias.data<T>()[at]) - mean * a;
        for (int64_t i = (row * width + c) * spatial; i < (row * width + c + 1) * spatial; ++i) {
          to[i] = static_cast<T>(static_cast<double>(from[i]) * a + b);
        }
      }
    }
  });
}

struct RowSpec {
  int64_t rows = 0;
  int64_t width = 0;
  bool centred = true;  // subtracts the mean
  double epsilon = 0;
};

// y = (x - mean) / deviation * scale + shift for each row; outputs: y and, if wanted, means (when
// centred) and inverse deviations.
// `scale` and `shift` (which may be undefined) have one element or one for each of a row.
template <class T>
void normalize_rows(const RowSpec& spec, const Tensor& x, const Tensor& scale, const Tensor& shift,
                    std::span<Tensor> outputs) {
  const T* from = x.data<T>().data();
  const T* a = scale.data<T>().data();
  const T* b = shift.defined() ? shift.data<T>().data() : nullptr;
  const int64_t a_step = scale.size() == 1 ? 0 : 1;
  const int64_t b_step = b == nullptr || shift.size() == 1 ? 0 : 1;
  T* to = outputs[0].mutable_data<T>().data();
  const auto statistics = [&](size_t output) {
    return outputs.size() > output ? outputs[output].mutable_data<float>().data() : nullptr;
  };
  float* means = spec.centred ? statistics(1) : nullptr;
  float* inverses = statistics(spec.centred ? 2 : 1);
  const int64_t width = spec.width;
  const int64_t grain = std::max<int64_t>(1, kElementGrain / std::max<int64_t>(1, width));
  parallel_for(spec.rows, grain, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      const T* line = from + row * width;
      if constexpr (std::is_same_v<T, float>) {
        if (a_step == 1 && (b == nullptr || b_step == 1)) {
          const RowMoments found = row_moments(line, static_cast<size_t>(width), spec.centred);
          const double inverse = 1 / std::sqrt(found.variance + spec.epsilon);
          normalize_row(line, found.mean, inverse, a, b, to + row * width, static_cast<size_t>(width));
          if (means != nullptr) means[row] = static_cast<float>(found.mean);
          if (inverses != nullptr) inverses[row] = static_cast<float>(inverse);
          continue;
        }
      }
      auto [mean, variance] = moments(line, width);
      if (!spec.centred) variance += mean * mean;
      if (!spec.centred) mean = 0;
      const double inverse = 1 / std::sqrt(variance + spec.epsilon);
      for (int64_t i = 0; i < width; ++i) {
        const T normal = static_cast<T>((static_cast<double>(line[i]) - mean) * inverse);
        to[row * width + i] = normal * a[i * a_step] + (b == nullptr ? T{0} : b[i * b_step]);
      }
      if (means != nullptr) means[row] = static_cast<float>(mean);
      if (inverses != nullptr) inverses[row] = static_cast<float>(inverse);
    }
  });
}

}  // namespace

KernelPtr make_batch_normalization(const KernelRequest& request) {
  const double epsilon = static_cast<double>(graph::float_attribute(*request.node, "epsilon", 1e-5F));
  if (graph::int_attribute(*request.node, "training_mode", 0) != 0) return make_training_normalization(request);
  if (request.opset < 7 && graph::int_attribute(*request.node, "is_test", 0) == 0) refuse(request, "training mode");
  if (request.opset < 9 && graph::int_attribute(*request.node, "spatial", 1) == 0) refuse(request, "spatial = 0");
  for (int i = 1; i < request.node->output_size(); ++i) {
    if (!request.node->output(i).empty()) refuse(request, "outputs of training mode");
  }
  return kernel_of(
      [=, scale = Operand(request, 1), bias = Operand(request, 2), mean = Operand(request, 3),
       variance = Operand(request, 4)](std::span<Tensor> inputs, std::span<Tensor> outputs, Workspace& workspace) {
        const Tensor& x = required(inputs, 0);
        const int64_t channels = x.rank() > 1 ? x.shape()[1] : 1;
        for (const Operand* operand : {&scale, &bias, &mean, &variance}) {
          if (operand->required_in(inputs).size() != channels) {
            throw Error(ErrorKind::kModel, "{} parameters for {} channels", operand->in(inputs).size(), channels);
          }
        }
        outputs[0] = workspace.allocate(x.type(), x.shape(), x.layout());
        if (x.size() == 0) return;
        dispatch_type(FloatTypes(), x.type(), [&]<class T>() {
          std::vector<T> factors;
          std::vector<T> shifts;
          for (size_t c = 0; c < static_cast<size_t>(channels); ++c) {
            const double root = std::sqrt(static_cast<double>(variance.in(inputs).data<T>()[c]) + epsilon);
            const double factor = static_cast<double>(scale.in(inputs).data<T>()[c]) / root;
            factors.push_back(static_cast<T>(factor));
            shifts.push_back(static_cast<T>(static_cast<double>(bias.in(inputs).data<T>()[c]) -
                                            static_cast<double>(mean.in(inputs).data<T>()[c]) * factor));
          }
          scale_channels<T>(x, factors, shifts, outputs[0]);
        });
      },
      LayoutUse::kAny);
}

// InstanceNormalization and GroupNormalization: each group of channels of an image has its own moments.
KernelPtr make_instance_normalization(const KernelRequest& request) {
  const bool grouped = request.node->op_type() == "GroupNormalization";
  const double epsilon = static_cast<double>(graph::float_attribute(*request.node, "epsilon", 1e-5F));
  const int64_t wanted_groups = graph::int_attribute(*request.node, "num_groups", 1);
  // Opset 18 scaled by group, 21 by channel.
  const bool scale_by_group = grouped && request.opset < 21;
  return kernel_of([=, scale = Operand(request, 1), bias = Operand(request, 2)](
                       std::span<Tensor> inputs, std::span<Tensor> outputs, Workspace& workspace) {
    const Tensor& x = required(inputs, 0);
    const int64_t channels = x.shape()[1];
    const int64_t groups = grouped ? wanted_groups : channels;
    if (groups < (grouped ? 1 : 0) || (groups > 0 && channels % groups != 0))
      throw Error(ErrorKind::kModel, "{} groups of {} channels", groups, channels);
    const int64_t parameters = scale_by_group ? groups : channels;
    if (scale.required_in(inputs).size() != parameters || bias.required_in(inputs).size() != parameters) {
      throw Error(ErrorKind::kModel, "scale or bias has not {} elements", parameters);
    }
    outputs[0] = workspace.allocate(x.type(), x.shape());
    if (x.size() == 0) return;
    const GroupSpec spec{.groups = groups, .scale_by_group = scale_by_group, .epsilon = epsilon};
    dispatch_type(FloatTypes(), x.type(),
                  [&]<class T>() { normalize_groups<T>(spec, x, scale.in(inputs), bias.in(inputs), outputs[0]); });
  });
}

namespace {

/// One element, or one for each of a row, the last `row_rank` axes of the normalized tensor.
bool is_of_rows(const Tensor& parameter, int64_t width, size_t row_rank) {
  if (!parameter.defined() || parameter.size() == 1) return true;
  const std::span<const int64_t> shape(parameter.shape());
  return parameter.size() == width && product(shape.last(std::min(row_rank, shape.size()))) == width;
}

/// y = y op parameter, which broadcasts to it.
template <class T, class Function>
void apply_broadcast(Tensor& y, const Tensor& parameter, Function f) {
  const std::array<const Tensor*, 2> operands{&y, &parameter};
  if (broadcast_shape(operands) != y.shape()) {
    throw Error(ErrorKind::kModel, "scale or bias {} does not broadcast to {}", shape_text(parameter.shape()),
                shape_text(y.shape()));
  }
  T* const to = y.mutable_data<T>().data();
  broadcast_binary(broadcast_loops(operands, y.shape(), Layout::kPlain), static_cast<const T*>(to),
                   parameter.data<T>().data(), to, f);
}

}  // namespace

// LayerNormalization (outputs y, mean, inverse deviation) and RMSNormalization (no mean and no bias: y, inverse rms).
KernelPtr make_layer_normalization(const KernelRequest& request) {
  const bool centred = request.node->op_type() == "LayerNormalization";
  const int64_t wanted_axis = graph::int_attribute(*request.node, "axis", -1);
  const double epsilon = static_cast<double>(graph::float_attribute(*request.node, "epsilon", 1e-5F));
  if (graph::int_attribute(*request.node, "stash_type", 1) != 1) refuse(request, "stash_type other than float32");
  if (request.node->output_size() > (centred ? 3 : 2)) refuse(request, "more outputs than the operator has");
  const Operand bias_operand = centred ? Operand(request, 2) : Operand();
  return kernel_of([=, scale = Operand(request, 1), bias = bias_operand](
                       std::span<Tensor> inputs, std::span<Tensor> outputs, Workspace& workspace) {
    const Tensor& x = required(inputs, 0);
    const auto axis = static_cast<size_t>(normalize_axis(wanted_axis, x.rank()));
    const std::span<const int64_t> dimensions(x.shape());
    const int64_t rows = product(dimensions.first(axis));
    const int64_t width = product(dimensions.subspan(axis));
    const Tensor& factor = scale.required_in(inputs);
    const Tensor& shift = bias.in(inputs);
    outputs[0] = workspace.allocate(x.type(), x.shape());
    Shape reduced = x.shape();
    std::fill(reduced.begin() + static_cast<int64_t>(axis), reduced.end(), 1);
    for (size_t i = 1; i < outputs.size(); ++i) outputs[i] = workspace.allocate(DataType::kFloat32, reduced);
    const RowSpec spec{.rows = rows, .width = width, .centred = centred, .epsilon = epsilon};
    const size_t row_rank = x.rank() - axis;
    dispatch_type(FloatTypes(), x.type(), [&]<class T>() {
      if (is_of_rows(factor, width, row_rank) && is_of_rows(shift, width, row_rank)) {
        normalize_rows<T>(spec, x, factor, shift, outputs);
        return;
      }
      normalize_rows<T>(spec, x, Tensor::scalar(T{1}), {}, outputs);
      apply_broadcast<T>(outputs[0], factor, [](T a, T b) { return a * b; });
      if (shift.defined()) apply_broadcast<T>(outputs[0], shift, [](T a, T b) { return a + b; });
    });
  });
}

}  // namespace narrow::exec
