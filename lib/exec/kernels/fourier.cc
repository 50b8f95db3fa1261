// DFT, STFT and MelWeightMatrix. A complex tensor has a last axis of 2, a real one of 1.
#include "lib/exec/kernels/fourier.h"

#include <cmath>

#include "lib/exec/kernels/axis_rows.h"
#include "lib/exec/kernels/families.h"

namespace narrow::exec {
namespace {

using Complex = std::complex<double>;

// Reads `count` complex numbers `step` apart (in numbers of `parts` values), zeros behind them.
template <class T>
void read_row(const T* from, int64_t count, int64_t step, int64_t parts, std::vector<Complex>& row) {
  for (size_t i = 0; i < row.size(); ++i) {
    const T* at = from + static_cast<int64_t>(i) * step * parts;
    const bool inside = static_cast<int64_t>(i) < count;
    row[i] = inside ? Complex(static_cast<double>(at[0]), parts == 2 ? static_cast<double>(at[1]) : 0.0) : Complex();
  }
}

template <class T>
void write_row(const std::vector<Complex>& row, int64_t count, int64_t step, int64_t parts, T* to) {
  for (int64_t i = 0; i < count; ++i) {
    T* at = to + i * step * parts;
    at[0] = static_cast<T>(row[static_cast<size_t>(i)].real());
    if (parts == 2) at[1] = static_cast<T>(row[static_cast<size_t>(i)].imag());
  }
}

// The second half of the spectrum of a real signal from its first; the parts that must be real are taken as such.
void mirror_spectrum(std::vector<Complex>& row) {
  const size_t length = row.size();
  row[0] = row[0].real();
  if (length % 2 == 0) row[length / 2] = row[length / 2].real();
  for (size_t k = length / 2 + 1; k < length; ++k) row[k] = std::conj(row[length - k]);
}

struct DftSpec {
  bool inverse = false;
  bool onesided = false;
};

Tensor transformed(const Tensor& x, const DftSpec& spec, int64_t wanted_axis, int64_t length, Workspace& workspace) {
  const auto axis = static_cast<size_t>(normalize_axis(wanted_axis, x.rank()));
  const int64_t parts = x.rank() < 2 ? 0 : x.shape().back();
  if (axis + 1 >= x.rank() || (parts != 1 && parts != 2)) {
    throw Error(ErrorKind::kModel, "axis {} of {}", wanted_axis, shape_text(x.shape()));
  }
  const bool to_real = spec.inverse && spec.onesided;
  if (length < 0) length = to_real ? 2 * (x.shape()[axis] - 1) : x.shape()[axis];
  if (length < 1) throw Error(ErrorKind::kModel, "a transform of length {}", length);
  const int64_t bins = length / 2 + 1;
  Shape shape = x.shape();
  shape[axis] = spec.onesided && !spec.inverse ? bins : length;
  shape.back() = to_real ? 1 : 2;
  Tensor y = workspace.allocate(x.type(), shape);
  // In complex numbers: rows without the last axis.
  const AxisRows from_rows = rows_along(Shape(x.shape().begin(), x.shape().end() - 1), axis);
  const AxisRows to_rows = rows_along(Shape(shape.begin(), shape.end() - 1), axis);
  const int64_t used = std::min(to_real ? bins : length, from_rows.count);
  const FourierTransform transform(length, spec.inverse);
  dispatch_type(FloatTypes(), x.type(), [&]<class T>() {
    const T* from = x.data<T>().data();
    T* to = y.mutable_data<T>().data();
    parallel_for(from_rows.rows(), std::max<int64_t>(1, 4096 / length), [&](int64_t begin, int64_t end) {
      std::vector<Complex> row(static_cast<size_t>(length));
      for (int64_t r = begin; r < end; ++r) {
        read_row(from + from_rows.start(r) * parts, used, from_rows.inner, parts, row);
        if (to_real) mirror_spectrum(row);
        transform.run(row);
        write_row(row, to_rows.count, to_rows.inner, shape.back(), to + to_rows.start(r) * shape.back());
      }
    });
  });
  return y;
}

}  // namespace

KernelPtr make_dft(const KernelRequest& request) {
  const DftSpec spec{.inverse = graph::int_attribute(*request.node, "inverse", 0) != 0,
                     .onesided = graph::int_attribute(*request.node, "onesided", 0) != 0};
  const int64_t attribute = graph::int_attribute(*request.node, "axis", 1);
  const bool axis_is_input = request.opset >= 20;
  const Operand axis_operand = axis_is_input ? Operand(request, 2) : Operand();
  return kernel_of([=, length_operand = Operand(request, 1)](std::span<Tensor> inputs, std::span<Tensor> outputs,
                                                             Workspace& workspace) {
    const Tensor& length = length_operand.in(inputs);
    const Tensor& axis = axis_operand.in(inputs);
    const int64_t otherwise = axis_is_input ? -2 : attribute;
    outputs[0] = transformed(required(inputs, 0), spec, axis.defined() ? int_list(axis).at(0) : otherwise,
                             length.defined() ? std::max<int64_t>(0, int_list(length).at(0)) : -1, workspace);
  });
}

namespace {

struct FrameSpec {
  int64_t length = 0;
  int64_t step = 0;   // from one to the next
  int64_t count = 0;  // in each signal
  int64_t bins = 0;   // kept of each transform
};

// `signal` [batch, total] or [batch, total, parts] -> `result` [batch, count, bins, 2]; `window` may be undefined.
template <class T>
void transform_frames(const FrameSpec& spec, const Tensor& signal, const Tensor& window, Tensor& result) {
  const int64_t parts = signal.rank() == 3 ? signal.shape()[2] : 1;
  const int64_t total = signal.shape()[1];
  const int64_t covered = window.defined() ? window.size() : spec.length;
  const FourierTransform transform(spec.length, /*inverse=*/false);
  const T* from = signal.data<T>().data();
  const T* weights = window.defined() ? window.data<T>().data() : nullptr;
  T* to = result.mutable_data<T>().data();
  const int64_t grain = std::max<int64_t>(1, 4096 / spec.length);
  parallel_for(signal.shape()[0] * spec.count, grain, [&](int64_t begin, int64_t end) {
    std::vector<Complex> row(static_cast<size_t>(spec.length));
    for (int64_t f = begin; f < end; ++f) {
      read_row(from + (f / spec.count * total + f % spec.count * spec.step) * parts, covered, 1, parts, row);
      for (int64_t i = 0; weights != nullptr && i < covered; ++i) {
        row[static_cast<size_t>(i)] *= static_cast<double>(weights[i]);
      }
      transform.run(row);
      write_row(row, spec.bins, 1, 2, to + f * spec.bins * 2);
    }
  });
}

}  // namespace

// signal [batch, length, 1 or 2] -> [batch, frames, bins, 2].
KernelPtr make_stft(const KernelRequest& request) {
  const bool onesided = graph::int_attribute(*request.node, "onesided", 1) != 0;
  return kernel_of([=, step_operand = Operand(request, 1), window_operand = Operand(request, 2),
                    length_operand = Operand(request, 3)](std::span<Tensor> inputs, std::span<Tensor> outputs,
                                                          Workspace& workspace) {
    const Tensor& signal = required(inputs, 0);
    const int64_t step = int_list(step_operand.required_in(inputs)).at(0);
    const Tensor& window = window_operand.in(inputs);
    const Tensor& wanted = length_operand.in(inputs);
    if (signal.rank() < 2 || signal.rank() > 3 || step < 1) {
      throw Error(ErrorKind::kModel, "signal {} in steps of {}", shape_text(signal.shape()), step);
    }
    const int64_t parts = signal.rank() == 3 ? signal.shape()[2] : 1;
    const int64_t total = signal.shape()[1];
    const int64_t length = wanted.defined() ? int_list(wanted).at(0) : window.defined() ? window.size() : total;
    const bool fits = length >= 1 && length <= total && (parts == 1 || parts == 2) &&
                      (!window.defined() || (window.size() <= length && window.type() == signal.type()));
    if (!fits) throw Error(ErrorKind::kModel, "frames of {} from {}", length, shape_text(signal.shape()));
    const FrameSpec spec{.length = length,
                         .step = step,
                         .count = (total - length) / step + 1,
                         .bins = onesided ? length / 2 + 1 : length};
    outputs[0] = workspace.allocate(signal.type(), {signal.shape()[0], spec.count, spec.bins, 2});
    dispatch_type(FloatTypes(), signal.type(),
                  [&]<class T>() { transform_frames<T>(spec, signal, window, outputs[0]); });
  });
}

namespace {

// The bins where the triangles begin, peak and end: evenly spaced in mel, rounded down.
std::vector<int64_t> mel_edges(int64_t count, int64_t length, double rate, double low, double high) {
  const auto mel = [](double hertz) { return 2595 * std::log10(1 + hertz / 700); };
  const double first = mel(low);
  const double step = (mel(high) - first) / static_cast<double>(count + 2);
  std::vector<int64_t> edges;
  for (int64_t i = 0; i < count + 2; ++i) {
    const double hertz = 700 * (std::pow(10.0, (first + static_cast<double>(i) * step) / 2595) - 1);
    edges.push_back(static_cast<int64_t>(std::floor(static_cast<double>(length + 1) * hertz / rate)));
  }
  return edges;
}

}  // namespace

KernelPtr make_mel_weight_matrix(const KernelRequest& request) {
  const auto type = static_cast<DataType>(graph::int_attribute(*request.node, "output_datatype", 1));
  return kernel_of([type](std::span<Tensor> inputs, std::span<Tensor> outputs, Workspace& workspace) {
    const auto columns = static_cast<int64_t>(scalar_value(required(inputs, 0)));
    const auto length = static_cast<int64_t>(scalar_value(required(inputs, 1)));
    const double rate = scalar_value(required(inputs, 2));
    const int64_t bins = length / 2 + 1;
    if (columns < 0 || length < 0 || rate <= 0) throw Error(ErrorKind::kModel, "negative sizes or rates");
    const std::vector<int64_t> edges =
        mel_edges(columns, length, rate, scalar_value(required(inputs, 3)), scalar_value(required(inputs, 4)));
    for (const int64_t edge : edges) {
      if (edge < 0 || edge > bins) throw Error(ErrorKind::kModel, "an edge at bin {} of {}", edge, bins);
    }
    outputs[0] = workspace.allocate(type, {bins, columns});
    dispatch_type(NumberTypes(), type, [&]<class T>() {
      const auto to = outputs[0].mutable_data<T>();
      std::fill(to.begin(), to.end(), T{0});
      for (int64_t i = 0; i < columns; ++i) {
        const auto at = static_cast<size_t>(i);
        const auto put = [&](int64_t bin, double value) {
          if (bin < bins) to[static_cast<size_t>(bin * columns + i)] = static_cast<T>(value);
        };
        const int64_t rise = edges[at + 1] - edges[at];
        const int64_t fall = edges[at + 2] - edges[at + 1];
        if (rise == 0) put(edges[at + 1], 1);
        for (int64_t j = 0; rise > 0 && j <= rise; ++j) {
          put(edges[at] + j, static_cast<double>(j) / static_cast<double>(rise));
        }
        for (int64_t j = 0; j < fall; ++j) {
          put(edges[at + 1] + j, static_cast<double>(fall - j) / static_cast<double>(fall));
        }
      }
    });
  });
}

}  // namespace narrow::exec
