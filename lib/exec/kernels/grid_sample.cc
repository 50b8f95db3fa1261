// GridSample over any number of spatial axes.
#include <cmath>

#include "lib/exec/kernels/families.h"
#include "lib/exec/kernels/strided.h"
#include "lib/exec/window.h"

namespace narrow::exec {
namespace {

enum class Interpolation { kNearest, kLinear, kCubic };
enum class Outside { kZeros, kBorder, kReflection };

struct GridSpec {
  Interpolation interpolation = Interpolation::kLinear;
  Outside outside = Outside::kZeros;
  bool align_corners = false;
};

// Coordinates beyond this are all equally far outside, and still fit an integer.
constexpr double kFar = 1e9;

double reflected(double x, double low, double high) {
  const double range = high - low;
  if (range <= 0) return low;
  const double distance = x < low ? low - x : x - high;
  if (distance <= 0) return x;
  const double turns = std::trunc(distance / range);
  const double rest = distance - turns * range;
  const bool even = std::fmod(turns, 2.0) == 0;
  return (x < low) == even ? low + rest : high - rest;
}

// -1: there is no pixel.
int64_t pixel_at(const GridSpec& spec, int64_t index, int64_t size) {
  if (index >= 0 && index < size) return index;
  switch (spec.outside) {
    case Outside::kZeros:
      return -1;
    case Outside::kBorder:
      return std::clamp<int64_t>(index, 0, size - 1);
    case Outside::kReflection:
      break;
  }
  const double edge = spec.align_corners ? 0 : 0.5;
  return std::clamp<int64_t>(
      static_cast<int64_t>(reflected(static_cast<double>(index), -edge, static_cast<double>(size - 1) + edge)), 0,
      size - 1);
}

// Keys' cubic convolution with a = -0.75: the weights of the pixels at -1, 0, 1 and 2 for a point at t in [0, 1).
std::array<double, 4> cubic_weights(double t) {
  constexpr double kA = -0.75;
  const auto far = [](double d) { return ((kA * d - 5 * kA) * d + 8 * kA) * d - 4 * kA; };
  const auto near = [](double d) { return ((kA + 2) * d - (kA + 3)) * d * d + 1; };
  return {far(t + 1), near(t), near(1 - t), far(2 - t)};
}

// The pixels along one axis that a coordinate takes part of.
struct AxisTaps {
  int count = 0;
  std::array<int64_t, 4> at{};
  std::array<double, 4> weight{};
};

// `normal`: the grid's coordinate, -1 and 1 at the outer pixels' centres (align_corners) or edges. In the grid's own
// type, so that ties of nearest fall where other runtimes let them.
template <class G>
AxisTaps axis_taps(const GridSpec& spec, G normal, int64_t size) {
  const G length = static_cast<G>(size);
  const G place = spec.align_corners ? (normal + 1) / 2 * (length - 1) : ((normal + 1) * length - 1) / 2;
  double x = std::isnan(place) ? -kFar : std::clamp(static_cast<double>(place), -kFar, kFar);
  if (spec.interpolation == Interpolation::kNearest) x = std::nearbyint(x);
  const double edge = spec.align_corners ? 0 : 0.5;
  const double high = static_cast<double>(size - 1) + edge;
  // Cubic convolution moves the pixels it reads instead of the point.
  if (spec.interpolation != Interpolation::kCubic && (x < -edge || x > high)) {
    if (spec.outside == Outside::kBorder) x = std::clamp(x, 0.0, static_cast<double>(size - 1));
    if (spec.outside == Outside::kReflection) x = reflected(x, -edge, high);
  }
  if (spec.interpolation == Interpolation::kNearest) {
    return {1, {pixel_at(spec, static_cast<int64_t>(x), size)}, {1}};
  }
  const double floor = std::floor(x);
  const double t = x - floor;
  const auto base = static_cast<int64_t>(floor);
  AxisTaps taps;
  if (spec.interpolation == Interpolation::kLinear) {
    taps = {2, {base, base + 1}, {1 - t, t}};
  } else {
    taps = {4, {base - 1, base, base + 1, base + 2}, cubic_weights(t)};
  }
  for (size_t i = 0; i < static_cast<size_t>(taps.count); ++i) taps.at[i] = pixel_at(spec, taps.at[i], size);
  return taps;
}

struct Tap {
  int64_t offset = 0;
  double weight = 1;
};

// The pixels of a plane that one point of the grid takes part of. The grid names the last axis first.
template <class G>
void point_taps(const GridSpec& spec, const std::vector<int64_t>& spatial, const G* point, std::vector<Tap>& taps) {
  taps.assign(1, {});
  std::vector<Tap> next;
  for (size_t axis = 0; axis < spatial.size(); ++axis) {
    const AxisTaps along = axis_taps<G>(spec, point[spatial.size() - 1 - axis], spatial[axis]);
    next.clear();
    for (const Tap& tap : taps) {
      for (size_t i = 0; i < static_cast<size_t>(along.count); ++i) {
        if (along.at[i] < 0) continue;
        next.push_back({tap.offset * spatial[axis] + along.at[i], tap.weight * along.weight[i]});
      }
    }
    taps.swap(next);
  }
}

template <class T, class G>
void sample_grid(const GridSpec& spec, const Tensor& x, const Tensor& grid, Tensor& y) {
  const std::vector<int64_t> spatial = spatial_dimensions(x.shape());
  const int64_t channels = x.shape()[1];
  const int64_t plane = element_count(spatial);
  const int64_t points = y.size() / std::max<int64_t>(1, x.shape()[0] * channels);
  const auto rank = static_cast<int64_t>(spatial.size());
  const T* from = x.data<T>().data();
  const G* where = grid.data<G>().data();
  T* to = y.mutable_data<T>().data();
  // The taps of a point serve all channels.
  parallel_for(x.shape()[0] * points, 64, [&](int64_t begin, int64_t end) {
    std::vector<Tap> taps;
    for (int64_t i = begin; i < end; ++i) {
      point_taps<G>(spec, spatial, where + i * rank, taps);
      const int64_t first = i / points * channels;
      for (int64_t c = first; c < first + channels; ++c) {
        double sum = 0;
        for (const Tap& tap : taps) sum += tap.weight * static_cast<double>(from[c * plane + tap.offset]);
        to[c * points + i % points] = static_cast<T>(sum);
      }
    }
  });
}

GridSpec grid_spec(const KernelRequest& request) {
  GridSpec spec{.align_corners = graph::int_attribute(*request.node, "align_corners", 0) != 0};
  const std::string mode = graph::string_attribute(*request.node, "mode", "linear");
  if (mode == "nearest") {
    spec.interpolation = Interpolation::kNearest;
  } else if (mode == "cubic" || mode == "bicubic") {
    spec.interpolation = Interpolation::kCubic;
  } else if (mode != "linear" && mode != "bilinear") {
    refuse(request, "unknown mode '" + mode + "'");
  }
  const std::string padding = graph::string_attribute(*request.node, "padding_mode", "zeros");
  if (padding == "border") {
    spec.outside = Outside::kBorder;
  } else if (padding == "reflection") {
    spec.outside = Outside::kReflection;
  } else if (padding != "zeros") {
    refuse(request, "unknown padding_mode '" + padding + "'");
  }
  return spec;
}

}  // namespace

KernelPtr make_grid_sample(const KernelRequest& request) {
  return kernel_of([spec = grid_spec(request), operand = Operand(request, 1)](
                       std::span<Tensor> inputs, std::span<Tensor> outputs, Workspace& workspace) {
    const Tensor& x = required(inputs, 0);
    const Tensor& grid = operand.required_in(inputs);
    const std::vector<int64_t> spatial = spatial_dimensions(x.shape());
    if (grid.rank() != x.rank() || grid.shape()[0] != x.shape()[0] ||
        grid.shape().back() != static_cast<int64_t>(spatial.size())) {
      throw Error(ErrorKind::kModel, "grid {} for {}", shape_text(grid.shape()), shape_text(x.shape()));
    }
    Shape shape{x.shape()[0], x.shape()[1]};
    shape.insert(shape.end(), grid.shape().begin() + 1, grid.shape().end() - 1);
    outputs[0] = workspace.allocate(x.type(), shape);
    if (outputs[0].size() == 0) return;
    if (x.size() == 0) throw Error(ErrorKind::kModel, "images without pixels");
    dispatch_type(NumberTypes(), x.type(), [&]<class T>() {
      dispatch_type(FloatTypes(), grid.type(), [&]<class G>() { sample_grid<T, G>(spec, x, grid, outputs[0]); });
    });
  });
}

}  // namespace narrow::exec
