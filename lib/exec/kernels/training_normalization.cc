// BatchNormalization in training mode: by the batch's own moments, with running averages as further outputs.
#include <cmath>

#include "lib/exec/kernels/axis_rows.h"
#include "lib/exec/kernels/families.h"

namespace narrow::exec {
namespace {

struct Moments {
  double mean = 0;
  double variance = 0;  // over the number of elements
};

// Calls visit(first, last) for each run of elements of channel `c`.
template <class Visit>
void for_each_plane(const AxisRows& rows, int64_t c, Visit visit) {
  for (int64_t n = 0; n < rows.outer; ++n) {
    const int64_t first = (n * rows.count + c) * rows.inner;
    visit(first, first + rows.inner);
  }
}

template <class T>
Moments channel_moments(const T* x, const AxisRows& rows, int64_t c) {
  const auto count = static_cast<double>(std::max<int64_t>(1, rows.outer * rows.inner));
  double sum = 0;
  for_each_plane(rows, c, [&](int64_t first, int64_t last) {
    for (int64_t i = first; i < last; ++i) sum += static_cast<double>(x[i]);
  });
  const double mean = sum / count;
  double squares = 0;
  for_each_plane(rows, c, [&](int64_t first, int64_t last) {
    for (int64_t i = first; i < last; ++i) {
      const double difference = static_cast<double>(x[i]) - mean;
      squares += difference * difference;
    }
  });
  return {mean, squares / count};
}

template <class T>
Tensor running(const Tensor& old, const std::vector<Moments>& moments, double Moments::*field, double momentum) {
  Tensor result(old.type(), old.shape());
  const auto to = result.mutable_data<T>();
  for (size_t c = 0; c < to.size(); ++c) {
    to[c] = static_cast<T>(static_cast<double>(old.data<T>()[c]) * momentum + moments[c].*field * (1 - momentum));
  }
  return result;
}

// Each channel of `x` becomes 0 +- 1 in `y`, then scaled and shifted; returns what the channels' moments were.
template <class T>
std::vector<Moments> normalize_channels(const AxisRows& rows, double epsilon, const Tensor& x, const Tensor& scale,
                                        const Tensor& bias, Tensor& y) {
  const T* from = x.data<T>().data();
  T* to = y.mutable_data<T>().data();
  std::vector<Moments> moments(static_cast<size_t>(rows.count));
  parallel_for(rows.count, 1, [&](int64_t begin, int64_t end) {
    for (int64_t c = begin; c < end; ++c) {
      const auto at = static_cast<size_t>(c);
      moments[at] = channel_moments(from, rows, c);
      const double root = std::sqrt(moments[at].variance + epsilon);
      const double factor = static_cast<double>(scale.data<T>()[at]) / root;
      const double shift = static_cast<double>(bias.data<T>()[at]) - moments[at].mean * factor;
      for_each_plane(rows, c, [&](int64_t first, int64_t last) {
        for (int64_t i = first; i < last; ++i) to[i] = static_cast<T>(static_cast<double>(from[i]) * factor + shift);
      });
    }
  });
  return moments;
}

}  // namespace

KernelPtr make_training_normalization(const KernelRequest& request) {
  if (request.opset < 14) refuse(request, "training mode before opset 14");
  const double epsilon = static_cast<double>(graph::float_attribute(*request.node, "epsilon", 1e-5F));
  const double momentum = static_cast<double>(graph::float_attribute(*request.node, "momentum", 0.9F));
  return kernel_of(
      [=, scale = Operand(request, 1), bias = Operand(request, 2), mean = Operand(request, 3),
       variance = Operand(request, 4)](std::span<Tensor> inputs, std::span<Tensor> outputs, Workspace& workspace) {
        const Tensor& x = required(inputs, 0);
        if (x.rank() < 2) throw Error(ErrorKind::kModel, "X {} has no channels", shape_text(x.shape()));
        const AxisRows rows = rows_along(x.shape(), 1);
        for (const Operand* operand : {&scale, &bias, &mean, &variance}) {
          if (operand->required_in(inputs).size() != rows.count || operand->in(inputs).type() != x.type()) {
            throw Error(ErrorKind::kModel, "{} parameters for {} channels", operand->in(inputs).size(), rows.count);
          }
        }
        outputs[0] = workspace.allocate(x.type(), x.shape());
        dispatch_type(FloatTypes(), x.type(), [&]<class T>() {
          const std::vector<Moments> moments =
              normalize_channels<T>(rows, epsilon, x, scale.in(inputs), bias.in(inputs), outputs[0]);
          if (outputs.size() > 1) outputs[1] = running<T>(mean.in(inputs), moments, &Moments::mean, momentum);
          if (outputs.size() > 2) outputs[2] = running<T>(variance.in(inputs), moments, &Moments::variance, momentum);
        });
      });
}

}  // namespace narrow::exec
