// Resize and Upsample: one axis after the other, each output a weighted sum of input positions.
#include <algorithm>
#include <cmath>
#include <limits>

#include "lib/exec/kernels/families.h"
#include "lib/exec/kernels/support.h"
#include "lib/exec/layout.h"

namespace narrow::exec {
namespace {

enum class Method { kNearest, kLinear, kCubic };

struct ResizeSpec {
  Method method = Method::kNearest;
  std::string coordinates = "half_pixel";  // coordinate_transformation_mode
  std::string rounding = "round_prefer_floor";
  std::string aspect = "stretch";
  double cubic_a = -0.75;
  bool exclude_outside = false;
  bool antialias = false;
  float extrapolation = 0;
  std::vector<int64_t> axes;
};

// What one output position reads along an axis.
struct Taps {
  std::vector<int64_t> positions;
  std::vector<double> weights;
  bool outside = false;  // tf_crop_and_resize beyond the input: the extrapolation value
};

struct AxisResize {
  int64_t input = 0;
  int64_t output = 0;
  double scale = 1;
  double roi_start = 0;
  double roi_end = 1;
};

// T: what it is computed in. Where only the nearest sample counts, ties are decided by float32, as onnxruntime has it.
template <class T>
T source_coordinate(const ResizeSpec& spec, const AxisResize& axis, int64_t at) {
  const auto x = static_cast<T>(at);
  const auto input = static_cast<T>(axis.input);
  const auto output = static_cast<T>(axis.output);
  const auto scale = static_cast<T>(axis.scale);
  const auto half = static_cast<T>(0.5);
  const std::string& mode = spec.coordinates;
  if (mode == "asymmetric") return x / scale;
  if (mode == "pytorch_half_pixel") return axis.output > 1 ? (x + half) / scale - half : 0;
  if (mode == "align_corners") return axis.output > 1 ? x * (input - 1) / (output - 1) : 0;
  if (mode == "tf_half_pixel_for_nn") return (x + half) / scale;
  if (mode == "half_pixel_symmetric") {
    const T adjustment = output / (scale * input);
    const T center = input / 2;
    // onnxruntime divides in double here, and only here.
    const double from_start = (static_cast<double>(x) + 0.5) / static_cast<double>(scale);
    return static_cast<T>(static_cast<double>(center * (1 - adjustment)) + from_start - 0.5);
  }
  if (mode == "tf_crop_and_resize") {
    const auto start = static_cast<T>(axis.roi_start);
    const auto end = static_cast<T>(axis.roi_end);
    if (axis.output > 1) return start * (input - 1) + x * (end - start) * (input - 1) / (output - 1);
    return half * (start + end) * (input - 1);
  }
  return (x + half) / scale - half;  // half_pixel
}

// A coordinate this near to the middle of two samples is taken to be their middle: 14.5 computed in float32 may come
// out as 14.499999. onnxruntime has the same width.
constexpr double kTieWidth = 1e-6;

// Index of the sample that the attribute nearest_mode picks for coordinate `x` (both in samples of the input). Opset 10
// had no such attribute; what runtimes did then ("simple") depends on the direction.
int64_t nearest(const ResizeSpec& spec, const AxisResize& axis, double x) {
  if (spec.rounding == "simple") return static_cast<int64_t>(axis.scale < 1 ? std::ceil(x) : std::floor(x));
  if (spec.rounding == "floor") return static_cast<int64_t>(std::floor(x));
  if (spec.rounding == "ceil") return static_cast<int64_t>(std::ceil(x));
  if (spec.rounding == "round_prefer_ceil") return static_cast<int64_t>(std::floor(x + 0.5 + kTieWidth));
  return static_cast<int64_t>(std::ceil(x - 0.5 - kTieWidth));
}

// Weight of a sample at `distance`: triangle, or Keys' cubic convolution.
double filter_weight(const ResizeSpec& spec, double distance) {
  const double d = std::abs(distance);
  if (spec.method == Method::kLinear) return std::max(0.0, 1 - d);
  const double a = spec.cubic_a;
  if (d <= 1) return ((a + 2) * d - (a + 3)) * d * d + 1;
  if (d < 2) return ((a * d - 5 * a) * d + 8 * a) * d - 4 * a;
  return 0;
}

Taps taps_of(const ResizeSpec& spec, const AxisResize& axis, int64_t at) {
  const bool only_nearest = spec.method == Method::kNearest;
  const double x = only_nearest ? static_cast<double>(source_coordinate<float>(spec, axis, at))
                                : source_coordinate<double>(spec, axis, at);
  Taps taps;
  taps.outside = spec.coordinates == "tf_crop_and_resize" && (x < 0 || x > static_cast<double>(axis.input - 1));
  if (only_nearest) {
    taps.positions = {std::clamp<int64_t>(nearest(spec, axis, x), 0, axis.input - 1)};
    taps.weights = {1};
    return taps;
  }
  // Antialiasing widens the filter by the factor of the reduction.
  const double stretch = spec.antialias && axis.scale < 1 ? axis.scale : 1;
  const double support = (spec.method == Method::kLinear ? 1 : 2) / stretch;
  const auto first = static_cast<int64_t>(std::floor(x - support)) + 1;
  const auto last = static_cast<int64_t>(std::ceil(x + support)) - 1;
  double sum = 0;
  for (int64_t position = first; position <= last; ++position) {
    const bool inside = position >= 0 && position < axis.input;
    const double weight =
        spec.exclude_outside && !inside ? 0 : filter_weight(spec, (static_cast<double>(position) - x) * stretch);
    if (weight == 0) continue;
    taps.positions.push_back(std::clamp<int64_t>(position, 0, axis.input - 1));
    taps.weights.push_back(weight);
    sum += weight;
  }
  for (double& weight : taps.weights) weight /= sum;
  return taps;
}

template <class T>
T saturated(double value) {
  // The largest int64 is no double.
  if (!(value < static_cast<double>(std::numeric_limits<T>::max()))) return std::numeric_limits<T>::max();
  return static_cast<T>(std::max(value, static_cast<double>(std::numeric_limits<T>::lowest())));
}

// Integers are rounded axis after axis, as onnxruntime does where it antialiases; see resized_integers for the others.
template <class T>
T element_of(double sum) {
  if constexpr (std::is_integral_v<T> && !std::is_same_v<T, bool>) return saturated<T>(std::floor(sum + 0.5));
  return static_cast<T>(sum);
}

// One row of `inner` elements from the rows of `image` that `taps` names.
template <class T>
void write_row(const Taps& taps, const T* image, int64_t inner, float extrapolation, T* line) {
  if (taps.outside) {
    std::fill(line, line + inner, static_cast<T>(extrapolation));
  } else if (taps.positions.size() == 1) {
    std::copy_n(image + taps.positions[0] * inner, inner, line);
  } else if (taps.positions.size() == 2) {
    const T* a = image + taps.positions[0] * inner;
    const T* b = image + taps.positions[1] * inner;
    for (int64_t i = 0; i < inner; ++i) {
      line[i] =
          element_of<T>(static_cast<double>(a[i]) * taps.weights[0] + static_cast<double>(b[i]) * taps.weights[1]);
    }
  } else {
    for (int64_t i = 0; i < inner; ++i) {
      double sum = 0;
      for (size_t k = 0; k < taps.positions.size(); ++k) {
        sum += taps.weights[k] * static_cast<double>(image[taps.positions[k] * inner + i]);
      }
      line[i] = element_of<T>(sum);
    }
  }
}

// [outer, axis.input, inner] -> [outer, axis.output, inner].
template <class T>
void resize_axis(const ResizeSpec& spec, const AxisResize& axis, const T* from, T* to, int64_t outer, int64_t inner) {
  std::vector<Taps> taps;
  for (int64_t at = 0; at < axis.output; ++at) taps.push_back(taps_of(spec, axis, at));
  parallel_for(outer * axis.output, std::max<int64_t>(1, kElementGrain / std::max<int64_t>(1, inner)),
               [&](int64_t begin, int64_t end) {
                 for (int64_t row = begin; row < end; ++row) {
                   const T* image = from + row / axis.output * axis.input * inner;
                   write_row(taps[static_cast<size_t>(row % axis.output)], image, inner, spec.extrapolation,
                             to + row * inner);
                 }
               });
}

// From the innermost axis on, so that rows are long early; an axis that keeps its size and place is skipped.
Tensor resized(const Tensor& x, const ResizeSpec& spec, const std::vector<AxisResize>& axes, Workspace& workspace) {
  Tensor current = x;
  for (size_t i = axes.size(); i-- > 0;) {
    const AxisResize& axis = axes[i];
    if (axis.input == axis.output && axis.scale == 1 && spec.coordinates != "tf_crop_and_resize") continue;
    Shape shape = current.shape();
    const Shape memory = memory_shape(shape, x.layout());
    const size_t position = memory_axis(i, shape.size(), x.layout());
    const int64_t outer = product(std::span(memory).first(position));
    const int64_t inner = product(std::span(memory).subspan(position + 1));
    shape[i] = axis.output;
    Tensor next = workspace.allocate(x.type(), shape, x.layout());
    if (axis.input == 0 && axis.output > 0) throw Error(ErrorKind::kModel, "nothing to resize");
    dispatch_type(FixedTypes(), x.type(), [&]<class T>() {
      resize_axis<T>(spec, axis, current.data<T>().data(), next.mutable_data<T>().data(), outer, inner);
    });
    current = std::move(next);
  }
  return current;
}

bool is_integer(DataType type) {
  bool found = false;
  dispatch_type(FixedTypes(), type, [&]<class T>() { found = std::is_integral_v<T> && !std::is_same_v<T, bool>; });
  return found;
}

// Means of integers are float32 until all axes are done; then what is behind the point is cut off, as in onnxruntime.
Tensor resized_integers(const Tensor& x, const ResizeSpec& spec, const std::vector<AxisResize>& axes,
                        Workspace& workspace) {
  Tensor real = workspace.allocate(DataType::kFloat32, x.shape(), x.layout());
  dispatch_type(FixedTypes(), x.type(), [&]<class T>() {
    const auto from = x.data<T>();
    std::transform(from.begin(), from.end(), real.mutable_data<float>().begin(),
                   [](T value) { return static_cast<float>(value); });
  });
  const Tensor sums = resized(real, spec, axes, workspace);
  Tensor result = workspace.allocate(x.type(), sums.shape(), sums.layout());
  dispatch_type(FixedTypes(), x.type(), [&]<class T>() {
    if constexpr (std::is_integral_v<T>) {
      const auto from = sums.data<float>();
      std::transform(from.begin(), from.end(), result.mutable_data<T>().begin(),
                     [](float value) { return saturated<T>(std::trunc(static_cast<double>(value))); });
    }
  });
  return result;
}

Tensor resize(const Tensor& x, const ResizeSpec& spec, const std::vector<AxisResize>& axes, Workspace& workspace) {
  const bool means = spec.method != Method::kNearest && !spec.antialias;
  return means && is_integer(x.type()) ? resized_integers(x, spec, axes, workspace) : resized(x, spec, axes, workspace);
}

std::vector<double> numbers(const Tensor& tensor) {
  std::vector<double> result;
  dispatch_type(FloatTypes(), tensor.type(), [&]<class T>() {
    for (const T value : tensor.data<T>()) result.push_back(static_cast<double>(value));
  });
  return result;
}

void keep_aspect(const ResizeSpec& spec, const std::vector<size_t>& axes, std::vector<AxisResize>& result) {
  if (spec.aspect == "stretch") return;
  double scale = result[axes[0]].scale;
  for (const size_t axis : axes) {
    scale = spec.aspect == "not_larger" ? std::min(scale, result[axis].scale) : std::max(scale, result[axis].scale);
  }
  for (const size_t axis : axes) {
    result[axis].scale = scale;
    result[axis].output = static_cast<int64_t>(std::floor(scale * static_cast<double>(result[axis].input) + 0.5));
  }
}

/// The product in float32, as the runtimes have it: 2.3 times 10 is 23, though the float32 nearest to 2.3 is below it.
int64_t scaled_size(int64_t input, double scale) {
  return static_cast<int64_t>(std::floor(static_cast<float>(input) * static_cast<float>(scale)));
}

std::vector<AxisResize> plan_axes(const Shape& shape, const ResizeSpec& spec, const std::vector<double>& scales,
                                  const std::vector<int64_t>& sizes, const std::vector<double>& roi) {
  std::vector<size_t> axes;
  for (const int64_t axis : spec.axes) axes.push_back(static_cast<size_t>(normalize_axis(axis, shape.size())));
  if (spec.axes.empty()) {
    for (size_t axis = 0; axis < shape.size(); ++axis) axes.push_back(axis);
  }
  if ((sizes.empty() ? scales.size() : sizes.size()) != axes.size() ||
      (!roi.empty() && roi.size() != 2 * axes.size())) {
    throw Error(ErrorKind::kModel, "scales, sizes or roi do not fit {} axes", axes.size());
  }
  std::vector<AxisResize> result;
  for (const int64_t size : shape) result.push_back({.input = size, .output = size});
  for (size_t i = 0; i < axes.size(); ++i) {
    AxisResize& axis = result[axes[i]];
    const auto input = static_cast<double>(axis.input);
    if (sizes.empty()) {
      axis.scale = scales[i];
      axis.output = scaled_size(axis.input, scales[i]);
    } else {
      axis.output = sizes[i];
      axis.scale = static_cast<double>(sizes[i]) / input;
    }
    if (!roi.empty()) {
      axis.roi_start = roi[i];
      axis.roi_end = roi[axes.size() + i];
      if (sizes.empty() && spec.coordinates == "tf_crop_and_resize") {
        axis.output = static_cast<int64_t>(std::floor(input * (axis.roi_end - axis.roi_start) * scales[i]));
      }
    }
  }
  if (!sizes.empty()) keep_aspect(spec, axes, result);
  return result;
}

Method method_of(const KernelRequest& request) {
  const std::string mode = graph::string_attribute(*request.node, "mode", "nearest");
  if (mode == "nearest") return Method::kNearest;
  if (mode == "linear" || mode == "bilinear") return Method::kLinear;
  if (mode == "cubic") return Method::kCubic;
  refuse(request, "unknown mode '" + mode + "'");
}

// Resize 10 and Upsample: asymmetric coordinates, nearest rounds down where the image grows.
ResizeSpec legacy_spec(const KernelRequest& request) {
  return {.method = method_of(request), .coordinates = "asymmetric", .rounding = "simple", .axes = {}};
}

KernelPtr resize_by_scales(const ResizeSpec& spec, const Operand& operand, const std::vector<double>& attribute) {
  return kernel_of(
      [=](std::span<Tensor> inputs, std::span<Tensor> outputs, Workspace& workspace) {
        const Tensor& x = required(inputs, 0);
        const std::vector<double> scales = operand.present() ? numbers(operand.required_in(inputs)) : attribute;
        outputs[0] = resize(x, spec, plan_axes(x.shape(), spec, scales, {}, {}), workspace);
      },
      LayoutUse::kAny);
}

}  // namespace

KernelPtr make_resize(const KernelRequest& request) {
  if (request.opset < 11) return resize_by_scales(legacy_spec(request), Operand(request, 1), {});
  const onnx::NodeProto& node = *request.node;
  const ResizeSpec spec{.method = method_of(request),
                        .coordinates = graph::string_attribute(node, "coordinate_transformation_mode", "half_pixel"),
                        .rounding = graph::string_attribute(node, "nearest_mode", "round_prefer_floor"),
                        .aspect = graph::string_attribute(node, "keep_aspect_ratio_policy", "stretch"),
                        .cubic_a = static_cast<double>(graph::float_attribute(node, "cubic_coeff_a", -0.75F)),
                        .exclude_outside = graph::int_attribute(node, "exclude_outside", 0) != 0,
                        .antialias = graph::int_attribute(node, "antialias", 0) != 0,
                        .extrapolation = graph::float_attribute(node, "extrapolation_value", 0.0F),
                        .axes = graph::ints_attribute(node, "axes")};
  const bool crops = spec.coordinates == "tf_crop_and_resize";
  return kernel_of(
      [=, roi = Operand(request, 1), scales = Operand(request, 2), sizes = Operand(request, 3)](
          std::span<Tensor> inputs, std::span<Tensor> outputs, Workspace& workspace) {
        const Tensor& x = required(inputs, 0);
        const Tensor& size = sizes.in(inputs);
        const Tensor& scale = scales.in(inputs);
        const Tensor& region = roi.in(inputs);
        const bool by_size = size.defined() && size.size() > 0;
        const auto plan =
            plan_axes(x.shape(), spec, by_size || !scale.defined() ? std::vector<double>() : numbers(scale),
                      by_size ? int_list(size) : std::vector<int64_t>(),
                      crops && region.defined() ? numbers(region) : std::vector<double>());
        outputs[0] = resize(x, spec, plan, workspace);
      },
      LayoutUse::kAny);
}

KernelPtr make_upsample(const KernelRequest& request) {
  if (request.opset >= 9) return resize_by_scales(legacy_spec(request), Operand(request, 1), {});
  const auto* attribute = graph::find_attribute(*request.node, "scales");
  if (attribute == nullptr) refuse(request, "Upsample without scales");
  return resize_by_scales(legacy_spec(request), Operand(), {attribute->floats().begin(), attribute->floats().end()});
}

}  // namespace narrow::exec
