// RoiAlign.
#include <cmath>

#include "lib/exec/kernels/families.h"
#include "lib/exec/kernels/support.h"

namespace narrow::exec {
namespace {

struct RoiSpec {
  int64_t height = 1;  // of the output
  int64_t width = 1;
  int64_t samples = 0;  // along each side of a bin; 0: as many as the bin is pixels long
  double scale = 1;     // from the coordinates of the regions to pixels
  bool half_pixel = true;
  bool takes_max = false;
};

// One sample point: four pixels of a plane and their weights.
struct Sample {
  std::array<int64_t, 4> at{};
  std::array<double, 4> weight{};
};

Sample sample_at(double y, double x, int64_t height, int64_t width) {
  Sample sample;
  if (y < -1 || y > static_cast<double>(height) || x < -1 || x > static_cast<double>(width)) return sample;
  y = std::clamp(y, 0.0, static_cast<double>(height - 1));
  x = std::clamp(x, 0.0, static_cast<double>(width - 1));
  const auto top = static_cast<int64_t>(y);
  const auto left = static_cast<int64_t>(x);
  const int64_t bottom = std::min(top + 1, height - 1);
  const int64_t right = std::min(left + 1, width - 1);
  const double down = y - static_cast<double>(top);
  const double across = x - static_cast<double>(left);
  sample.at = {top * width + left, top * width + right, bottom * width + left, bottom * width + right};
  sample.weight = {(1 - down) * (1 - across), (1 - down) * across, down * (1 - across), down * across};
  return sample;
}

// One side of a region: where it starts, how long a bin is, and how many samples a bin has.
struct RoiAxis {
  double start = 0;
  double bin = 0;
  int64_t samples = 0;

  double position(int64_t index, int64_t sample) const {
    const double within = (static_cast<double>(sample) + 0.5) / static_cast<double>(samples);
    return start + (static_cast<double>(index) + within) * bin;
  }
};

RoiAxis roi_axis(const RoiSpec& spec, double low, double high, int64_t bins) {
  const double offset = spec.half_pixel ? 0.5 : 0;
  const double start = low * spec.scale - offset;
  double length = high * spec.scale - offset - start;
  // Without the half pixel a region is at least one pixel long.
  if (!spec.half_pixel) length = std::max(length, 1.0);
  const double bin = length / static_cast<double>(bins);
  return {start, bin, spec.samples > 0 ? spec.samples : static_cast<int64_t>(std::ceil(bin))};
}

// The samples of all bins, bin by bin.
std::vector<Sample> roi_samples(const RoiSpec& spec, const RoiAxis& rows, const RoiAxis& columns, int64_t height,
                                int64_t width) {
  std::vector<Sample> samples;
  for (int64_t i = 0; i < spec.height; ++i) {
    for (int64_t j = 0; j < spec.width; ++j) {
      for (int64_t a = 0; a < rows.samples; ++a) {
        for (int64_t b = 0; b < columns.samples; ++b) {
          samples.push_back(sample_at(rows.position(i, a), columns.position(j, b), height, width));
        }
      }
    }
  }
  return samples;
}

// The maximum is, as in ONNX's tests and onnxruntime, over the weighted pixels, not over the interpolated samples.
template <class T>
T pooled(const RoiSpec& spec, std::span<const Sample> samples, const T* plane) {
  double sum = 0;
  double best = samples.empty() ? 0 : -std::numeric_limits<double>::infinity();
  for (const Sample& sample : samples) {
    for (size_t i = 0; i < sample.at.size(); ++i) {
      const double value = sample.weight[i] * static_cast<double>(plane[sample.at[i]]);
      sum += value;
      best = std::max(best, value);
    }
  }
  return static_cast<T>(spec.takes_max ? best : sum / static_cast<double>(std::max<size_t>(1, samples.size())));
}

template <class T>
void align(const RoiSpec& spec, const Tensor& x, const Tensor& rois, const std::vector<int64_t>& images, Tensor& y) {
  const int64_t channels = x.shape()[1];
  const int64_t height = x.shape()[2];
  const int64_t width = x.shape()[3];
  const int64_t bins = spec.height * spec.width;
  parallel_for(rois.shape()[0], 1, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      const T* roi = rois.data<T>().data() + r * 4;
      const RoiAxis columns = roi_axis(spec, static_cast<double>(roi[0]), static_cast<double>(roi[2]), spec.width);
      const RoiAxis rows = roi_axis(spec, static_cast<double>(roi[1]), static_cast<double>(roi[3]), spec.height);
      const std::vector<Sample> samples = roi_samples(spec, rows, columns, height, width);
      const size_t per_bin = samples.size() / static_cast<size_t>(bins);
      const T* image = x.data<T>().data() + images[static_cast<size_t>(r)] * channels * height * width;
      T* to = y.mutable_data<T>().data() + r * channels * bins;
      for (int64_t c = 0; c < channels; ++c) {
        for (int64_t bin = 0; bin < bins; ++bin) {
          const auto part = std::span(samples).subspan(static_cast<size_t>(bin) * per_bin, per_bin);
          to[c * bins + bin] = pooled<T>(spec, part, image + c * height * width);
        }
      }
    }
  });
}

}  // namespace

KernelPtr make_roi_align(const KernelRequest& request) {
  const onnx::NodeProto& node = *request.node;
  const std::string mode = graph::string_attribute(node, "mode", "avg");
  if (mode != "avg" && mode != "max") refuse(request, "unknown mode '" + mode + "'");
  // Opset 10 had no half pixel.
  const std::string coordinates = graph::string_attribute(node, "coordinate_transformation_mode",
                                                          request.opset < 16 ? "output_half_pixel" : "half_pixel");
  if (coordinates != "half_pixel" && coordinates != "output_half_pixel") {
    refuse(request, "unknown coordinate_transformation_mode '" + coordinates + "'");
  }
  const RoiSpec spec{.height = graph::int_attribute(node, "output_height", 1),
                     .width = graph::int_attribute(node, "output_width", 1),
                     .samples = graph::int_attribute(node, "sampling_ratio", 0),
                     .scale = static_cast<double>(graph::float_attribute(node, "spatial_scale", 1.0F)),
                     .half_pixel = coordinates == "half_pixel",
                     .takes_max = mode == "max"};
  if (spec.height < 1 || spec.width < 1) refuse(request, "an output without pixels");
  return kernel_of([=, rois_operand = Operand(request, 1), images_operand = Operand(request, 2)](
                       std::span<Tensor> inputs, std::span<Tensor> outputs, Workspace& workspace) {
    const Tensor& x = required(inputs, 0);
    const Tensor& rois = rois_operand.required_in(inputs);
    const std::vector<int64_t> images = int_list(images_operand.required_in(inputs));
    const bool fits = x.rank() == 4 && rois.rank() == 2 && rois.shape()[1] == 4 && rois.type() == x.type() &&
                      static_cast<int64_t>(images.size()) == rois.shape()[0];
    if (!fits) throw Error(ErrorKind::kModel, "X {} and rois {}", shape_text(x.shape()), shape_text(rois.shape()));
    for (const int64_t image : images) {
      if (image < 0 || image >= x.shape()[0]) throw Error(ErrorKind::kModel, "image {} of {}", image, x.shape()[0]);
    }
    if (x.shape()[2] < 1 || x.shape()[3] < 1) throw Error(ErrorKind::kModel, "images without pixels");
    outputs[0] = workspace.allocate(x.type(), {rois.shape()[0], x.shape()[1], spec.height, spec.width});
    dispatch_type(FloatTypes(), x.type(), [&]<class T>() { align<T>(spec, x, rois, images, outputs[0]); });
  });
}

}  // namespace narrow::exec
