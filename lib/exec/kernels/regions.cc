// MaxRoiPool, and CropAndResize of com.microsoft: parts of images brought to one size.
#include <cmath>
#include <type_traits>

#include "lib/exec/kernels/contrib/families.h"
#include "lib/exec/kernels/families.h"
#include "lib/exec/kernels/support.h"

namespace narrow::exec {
namespace {

// Which pixels one bin of a region covers along one axis.
struct BinRange {
  int64_t begin = 0;
  int64_t end = 0;
};

// Regions are rounded to whole pixels, both ends included; bins round outwards and are cut at the image's border. In
// the numbers' own precision: 5 * 0.7 is 3.5 in float32, and 3.4999999 in float64.
template <class Real>
BinRange bin_range(Real low, Real high, Real scale, int64_t bin, int64_t bins, int64_t size) {
  const Real start = std::round(low * scale);
  const Real length = std::max(std::round(high * scale) - start + 1, Real{1});
  const Real width = length / static_cast<Real>(bins);
  const auto cut = [&](Real place) {
    return static_cast<int64_t>(std::clamp(place + start, Real{0}, static_cast<Real>(size)));
  };
  return {cut(std::floor(static_cast<Real>(bin) * width)), cut(std::ceil(static_cast<Real>(bin + 1) * width))};
}

template <class T>
T largest(const T* plane, int64_t width, BinRange rows, BinRange columns) {
  if (rows.begin >= rows.end || columns.begin >= columns.end) return T{0};
  T best = plane[rows.begin * width + columns.begin];
  for (int64_t y = rows.begin; y < rows.end; ++y) {
    for (int64_t x = columns.begin; x < columns.end; ++x) best = std::max(best, plane[y * width + x]);
  }
  return best;
}

// A region of one plane [s[2], s[3]] in pooled[0] x pooled[1] bins; roi: image, x1, y1, x2, y2.
template <class T>
void pool_region(const T* plane, const Shape& s, const T* roi, float scale, const std::vector<int64_t>& pooled, T* to) {
  using Real = std::conditional_t<std::is_same_v<T, double>, double, float>;
  const auto corner = [&](int i) { return static_cast<Real>(roi[i]); };
  for (int64_t i = 0; i < pooled[0] * pooled[1]; ++i) {
    const BinRange rows = bin_range(corner(2), corner(4), static_cast<Real>(scale), i / pooled[1], pooled[0], s[2]);
    const BinRange columns = bin_range(corner(1), corner(3), static_cast<Real>(scale), i % pooled[1], pooled[1], s[3]);
    to[i] = largest(plane, s[3], rows, columns);
  }
}

int64_t checked_image(double number, int64_t images) {
  const auto image = static_cast<int64_t>(number);
  if (image < 0 || image >= images) throw Error(ErrorKind::kModel, "image {} of {}", image, images);
  return image;
}

// Positions in an axis of `size` pixels of the `count` samples between two places, 0 and 1 being the outer pixels.
double crop_position(double low, double high, int64_t index, int64_t count, int64_t size) {
  const auto last = static_cast<double>(size - 1);
  if (count == 1) return 0.5 * (low + high) * last;
  return low * last + static_cast<double>(index) * (high - low) * last / static_cast<double>(count - 1);
}

struct CropSpec {
  bool nearest = false;
  double outside = 0;
};

template <class T>
double crop_sample(const CropSpec& spec, const T* plane, int64_t height, int64_t width, double y, double x) {
  if (!(y >= 0 && y <= static_cast<double>(height - 1) && x >= 0 && x <= static_cast<double>(width - 1))) {
    return spec.outside;
  }
  const auto pixel = [&](double row, double column) {
    return static_cast<double>(plane[static_cast<int64_t>(row) * width + static_cast<int64_t>(column)]);
  };
  if (spec.nearest) return pixel(std::round(y), std::round(x));
  const double down = y - std::floor(y);
  const double across = x - std::floor(x);
  const double top = pixel(std::floor(y), std::floor(x)) * (1 - across) + pixel(std::floor(y), std::ceil(x)) * across;
  const double bottom = pixel(std::ceil(y), std::floor(x)) * (1 - across) + pixel(std::ceil(y), std::ceil(x)) * across;
  return top * (1 - down) + bottom * down;
}

// A region of one plane [s[2], s[3]] in crop[0] x crop[1] samples; roi: y1, x1, y2, x2.
template <class T>
void crop_region(const CropSpec& spec, const T* plane, const Shape& s, const T* roi, const std::vector<int64_t>& crop,
                 T* to) {
  const auto corner = [&](int i) { return static_cast<double>(roi[i]); };
  for (int64_t i = 0; i < crop[0] * crop[1]; ++i) {
    const double down = crop_position(corner(0), corner(2), i / crop[1], crop[0], s[2]);
    const double across = crop_position(corner(1), corner(3), i % crop[1], crop[1], s[3]);
    to[i] = static_cast<T>(crop_sample(spec, plane, s[2], s[3], down, across));
  }
}

void check_regions(const Tensor& x, const Tensor& rois, int64_t columns) {
  const bool fits = x.rank() == 4 && rois.rank() == 2 && rois.shape()[1] == columns && rois.type() == x.type();
  if (!fits) throw Error(ErrorKind::kModel, "X {} and rois {}", shape_text(x.shape()), shape_text(rois.shape()));
}

}  // namespace

// rois [R, 5]: image, x1, y1, x2, y2.
KernelPtr make_max_roi_pool(const KernelRequest& request) {
  const std::vector<int64_t> pooled = graph::ints_attribute(*request.node, "pooled_shape");
  const float scale = graph::float_attribute(*request.node, "spatial_scale", 1.0F);
  if (pooled.size() != 2 || pooled[0] < 1 || pooled[1] < 1) refuse(request, "pooled_shape is missing");
  return kernel_of(
      [=, operand = Operand(request, 1)](std::span<Tensor> inputs, std::span<Tensor> outputs, Workspace& workspace) {
        const Tensor& x = required(inputs, 0);
        const Tensor& rois = operand.required_in(inputs);
        check_regions(x, rois, 5);
        const Shape& s = x.shape();
        outputs[0] = workspace.allocate(x.type(), {rois.shape()[0], s[1], pooled[0], pooled[1]});
        dispatch_type(FloatTypes(), x.type(), [&]<class T>() {
          T* to = outputs[0].mutable_data<T>().data();
          parallel_for(rois.shape()[0] * s[1], 1, [&](int64_t begin, int64_t end) {
            for (int64_t row = begin; row < end; ++row) {
              const T* roi = rois.data<T>().data() + row / s[1] * 5;
              const int64_t image = checked_image(static_cast<double>(roi[0]), s[0]);
              const T* plane = x.data<T>().data() + (image * s[1] + row % s[1]) * s[2] * s[3];
              pool_region(plane, s, roi, scale, pooled, to + row * pooled[0] * pooled[1]);
            }
          });
        });
      });
}

// X, rois [R, 4]: y1, x1, y2, x2 as shares of the image, batch_indices [R], crop_size [2].
KernelPtr make_crop_and_resize(const KernelRequest& request) {
  const std::string mode = graph::string_attribute(*request.node, "mode", "bilinear");
  if (mode != "bilinear" && mode != "nearest") refuse(request, "unknown mode '" + mode + "'");
  const CropSpec spec{
      .nearest = mode == "nearest",
      .outside = static_cast<double>(graph::float_attribute(*request.node, "extrapolation_value", 0.0F))};
  return kernel_of([=, rois_operand = Operand(request, 1), images = Operand(request, 2), size = Operand(request, 3)](
                       std::span<Tensor> inputs, std::span<Tensor> outputs, Workspace& workspace) {
    const Tensor& x = required(inputs, 0);
    const Tensor& rois = rois_operand.required_in(inputs);
    check_regions(x, rois, 4);
    const std::vector<int64_t> image_of = int_list(images.required_in(inputs));
    const std::vector<int64_t> crop = int_list(size.required_in(inputs));
    const Shape& s = x.shape();
    if (static_cast<int64_t>(image_of.size()) != rois.shape()[0] || crop.size() != 2 || crop[0] < 1 || crop[1] < 1) {
      throw Error(ErrorKind::kModel, "batch_indices or crop_size do not fit");
    }
    outputs[0] = workspace.allocate(x.type(), {rois.shape()[0], s[1], crop[0], crop[1]});
    dispatch_type(FloatTypes(), x.type(), [&]<class T>() {
      T* to = outputs[0].mutable_data<T>().data();
      parallel_for(rois.shape()[0] * s[1], 1, [&](int64_t begin, int64_t end) {
        for (int64_t row = begin; row < end; ++row) {
          const T* roi = rois.data<T>().data() + row / s[1] * 4;
          const auto number = static_cast<double>(image_of[static_cast<size_t>(row / s[1])]);
          const T* plane = x.data<T>().data() + (checked_image(number, s[0]) * s[1] + row % s[1]) * s[2] * s[3];
          crop_region(spec, plane, s, roi, crop, to + row * crop[0] * crop[1]);
        }
      });
    });
  });
}

}  // namespace narrow::exec
