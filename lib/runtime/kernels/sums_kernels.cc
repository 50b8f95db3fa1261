#include "lib/runtime/kernels/sums_kernels.h"

#include <algorithm>
#include <map>
#include <mutex>

#include "lib/base/error.h"
#include "lib/base/parallel.h"
#include "lib/onednn/matmul.h"
#include "lib/runtime/kernels/linear_kernels.h"

namespace narrow::runtime {
namespace {

int32_t source_zero_point(const SumsProduct& product, std::span<Tensor> inputs) {
  if (product.source_zero_point) return *product.source_zero_point;
  if (inputs.size() < 2 || !inputs[1].defined()) return 0;
  if (inputs[1].size() != 1) {
    const ErrorKind kind = inputs[1].size() == 0 ? ErrorKind::kModel : ErrorKind::kUnsupported;
    throw Error(kind, "{} zero points of the first operand, expected one", inputs[1].size());
  }
  const uint8_t byte = bytes_of(inputs[1])[0];
  return inputs[1].type() == DataType::kInt8 ? static_cast<int8_t>(byte) : byte;
}

bool all_zero(const std::vector<int32_t>& values) {
  return std::all_of(values.begin(), values.end(), [](int32_t value) { return value == 0; });
}

/// Channels of a product. Where weights have zero points, each group of the stored product has one channel more, whose
/// weights are 1: it sums the source, which is what their correction needs.
struct Channels {
  int64_t groups = 1;
  int64_t per_group = 1;
  bool with_source_sum = false;

  int64_t stored_per_group() const { return per_group + (with_source_sum ? 1 : 0); }
  int64_t stored() const { return groups * stored_per_group(); }
  int64_t count() const { return groups * per_group; }
};

/// sum((a - za)(w - zw)) = (sum(a w) - za sum(w)) - zw (sum(a) - za n); n terms of the sum are the weights 1 summed.
struct Correction {
  Channels channels;
  int32_t source_zero_point = 0;
  const int32_t* weight_sums = nullptr;  // of row r, stored channel s at [r % period * stored + s]; with za only
  int64_t period = 1;
  std::vector<int32_t> weight_zero_points;  // one per channel; empty: all 0

  /// sums[c] for each channel from the stored row; may write over the row's own begin.
  void apply(const int32_t* row_sums, int64_t row, int32_t* sums) const {
    const int32_t* ones = source_zero_point == 0 ? nullptr : weight_sums + row % period * channels.stored();
    const int64_t stride = channels.stored_per_group();
    for (int64_t g = 0; g < channels.groups; ++g) {
      const int32_t* from = row_sums + g * stride;
      const int32_t* weights = ones == nullptr ? nullptr : ones + g * stride;
      int32_t centred = 0;
      if (channels.with_source_sum) {
        centred = from[channels.per_group] - (weights == nullptr ? 0 : source_zero_point * weights[channels.per_group]);
      }
      int32_t* to = sums + g * channels.per_group;
      std::copy_n(from, channels.per_group, to);
      if (weights != nullptr) {
        for (int64_t c = 0; c < channels.per_group; ++c) to[c] -= source_zero_point * weights[c];
      }
      if (!channels.with_source_sum) continue;
      const int32_t* zeros = weight_zero_points.data() + g * channels.per_group;
      for (int64_t c = 0; c < channels.per_group; ++c) to[c] -= zeros[c] * centred;
    }
  }
};

/// Adding and subtracting 1.5 * 2^23 rounds |x| < 2^22 half to even, and unlike nearbyint in vectors on every CPU.
float round_half_even(float x) {
  constexpr float kShift = 12582912.0F;
  return (x + kShift) - kShift;
}

/// One row of sums to the destination.
class Ending {
 public:
  Ending(const SumsEnd& end, std::span<Tensor> inputs, int64_t channels)
      : end_(end), scales_(static_cast<size_t>(channels), 1.0F), bias_(static_cast<size_t>(channels), 0.0F) {
    if (!end.scales.empty()) {
      spread(end.scales, scales_);
    } else if (inputs.size() > 2 && inputs[2].defined()) {
      spread(inputs[2].data<float>(), scales_);
    }
    if (end.bias.defined()) spread(end.bias.data<float>(), bias_);
    if (end.destination == DataType::kFloat32 || end.destination == DataType::kInt32) return;
    for (size_t c = 0; c < scales_.size(); ++c) {
      bias_[c] /= scales_[c];
      scales_[c] /= end.destination_scale;
    }
    const bool is_signed = end.destination == DataType::kInt8;
    const float zero = static_cast<float>(end.destination_zero_point);
    low_ = std::max(end.clamp.low / end.destination_scale, (is_signed ? -128.0F : 0.0F) - zero);
    high_ = std::min(end.clamp.high / end.destination_scale, (is_signed ? 127.0F : 255.0F) - zero);
  }

  void store(const int32_t* sums, std::byte* row) const {
    switch (end_.destination) {
      case DataType::kInt32:
        std::copy_n(sums, scales_.size(), reinterpret_cast<int32_t*>(row));
        return;
      case DataType::kFloat32:
        return store_real(sums, reinterpret_cast<float*>(row));
      default:
        return store_quantized(sums, reinterpret_cast<uint8_t*>(row));
    }
  }

 private:
  static void spread(std::span<const float> from, std::vector<float>& to) {
    if (from.size() != 1 && from.size() != to.size()) {
      throw Error(ErrorKind::kModel, "{} numbers for {} channels", from.size(), to.size());
    }
    for (size_t i = 0; i < to.size(); ++i) to[i] = from[from.size() == 1 ? 0 : i];
  }

  void store_real(const int32_t* sums, float* result) const {
    for (size_t c = 0; c < scales_.size(); ++c) {
      const float real = static_cast<float>(sums[c]) * scales_[c] + bias_[c];
      result[c] = std::min(std::max(real, end_.clamp.low), end_.clamp.high);
    }
  }

  // The limits are those of the type, so the clamp before rounding is the saturation too.
  void store_quantized(const int32_t* sums, uint8_t* result) const {
    const int32_t zero = end_.destination_zero_point;
    for (size_t c = 0; c < scales_.size(); ++c) {
      const float steps = (static_cast<float>(sums[c]) + bias_[c]) * scales_[c];
      const float limited = round_half_even(std::min(std::max(steps, low_), high_));
      result[c] = static_cast<uint8_t>((static_cast<int32_t>(limited) + zero) & 0xFF);
    }
  }

  const SumsEnd& end_;
  std::vector<float> scales_;
  std::vector<float> bias_;
  float low_ = 0;
  float high_ = 0;
};

/// `stored`: sums with the stored channels innermost; `result`: as many rows of the product's own channels.
void finish(const Tensor& stored, const Correction& correction, const Ending& ending, Tensor& result) {
  const Channels& channels = correction.channels;
  const int32_t* from = stored.data<int32_t>().data();
  std::byte* to = result.mutable_bytes();
  const int64_t row_bytes = channels.count() * static_cast<int64_t>(data_type_bits(result.type())) / 8;
  const int64_t rows = result.size() / std::max<int64_t>(1, channels.count());
  const int64_t grain = std::max<int64_t>(1, kElementGrain / std::max<int64_t>(channels.count(), 1));
  parallel_for(rows, grain, [&](int64_t begin, int64_t end) {
    std::vector<int32_t> sums(static_cast<size_t>(channels.count()));
    for (int64_t row = begin; row < end; ++row) {
      correction.apply(from + row * channels.stored(), row, sums.data());
      ending.store(sums.data(), to + row * row_bytes);
    }
  });
}

std::vector<int32_t> per_channel(const std::vector<int32_t>& zero_points, int64_t channels) {
  if (zero_points.size() != 1) return zero_points;
  return std::vector<int32_t>(static_cast<size_t>(channels), zero_points[0]);
}

/// The bare accumulator.
onednn::Requantize no_scales() {
  onednn::Requantize requantize;
  requantize.weight_scales = {1.0F};
  return requantize;
}

class SumsMatmul : public exec::Kernel {
 public:
  explicit SumsMatmul(SumsProduct product)
      : product_(std::move(product)),
        channels_{.groups = 1,
                  .per_group = product_.weights.shape().back(),
                  .with_source_sum = !all_zero(product_.weight_zero_points)},
        weights_(stored_weights()),
        column_sums_(static_cast<size_t>(channels_.stored()), 0),
        matmul_({.source = product_.source,
                 .destination = DataType::kInt32,
                 .transpose_a = false,
                 .transpose_b = false,
                 .clamp = {},
                 .requantize = no_scales(),
                 .weight_zero_point = 0},
                weights_, Tensor()) {
    const auto weights = weights_.data<int8_t>();
    for (size_t i = 0; i < weights.size(); ++i) column_sums_[i % column_sums_.size()] += weights[i];
    product_.weights = Tensor();
    weights_ = Tensor();
  }

  void run(std::span<Tensor> inputs, std::span<Tensor> outputs, Workspace& workspace) const override {
    Correction correction{.channels = channels_,
                          .source_zero_point = source_zero_point(product_, inputs),
                          .weight_sums = column_sums_.data(),
                          .period = 1,
                          .weight_zero_points = per_channel(product_.weight_zero_points, channels_.count())};
    const Ending ending(product_.end, inputs, channels_.count());
    const Tensor stored = matmul_.run(inputs[0], Tensor(), workspace);
    Shape shape = stored.shape();
    shape.back() = channels_.count();
    Tensor result = workspace.allocate(product_.end.destination, shape);
    finish(stored, correction, ending, result);
    outputs[0] = std::move(result);
  }
  std::string implementation() const override { return matmul_.implementation(); }

 private:
  Tensor stored_weights() const {
    if (!channels_.with_source_sum) return product_.weights;
    const int64_t columns = channels_.count();
    Tensor weights(DataType::kInt8, {product_.weights.shape()[0], columns + 1});
    const auto from = product_.weights.data<int8_t>();
    const auto to = weights.mutable_data<int8_t>();
    for (int64_t i = 0; i < weights.size(); ++i) {
      const int64_t column = i % (columns + 1);
      to[static_cast<size_t>(i)] =
          column == columns ? int8_t{1} : from[static_cast<size_t>(i / (columns + 1) * columns + column)];
    }
    return weights;
  }

  SumsProduct product_;
  Channels channels_;
  Tensor weights_;
  std::vector<int32_t> column_sums_;
  onednn::Matmul matmul_;
};

class SumsConvolutionKernel : public exec::Kernel {
 public:
  explicit SumsConvolutionKernel(SumsConvolution convolution)
      : convolution_(std::move(convolution)),
        channels_{.groups = convolution_.groups,
                  .per_group = convolution_.weights.shape()[0] / convolution_.groups,
                  .with_source_sum = convolution_.weights.shape()[0] > 0 && !all_zero(convolution_.weight_zero_points)},
        weights_(stored_weights()) {}

  void run(std::span<Tensor> inputs, std::span<Tensor> outputs, Workspace& workspace) const override {
    const Tensor& x = inputs[0];
    const auto size = prepared(x.shape());
    Correction correction{.channels = channels_,
                          .source_zero_point = source_zero_point(convolution_, inputs),
                          .weight_sums = nullptr,
                          .period = 1,
                          .weight_zero_points = per_channel(convolution_.weight_zero_points, channels_.count())};
    if (correction.source_zero_point != 0) {
      const Tensor& sums = weight_sums(*size, x.shape(), workspace);
      correction.weight_sums = sums.data<int32_t>().data();
      correction.period = sums.size() / std::max<int64_t>(1, sums.shape()[1]);
    }
    const Ending ending(convolution_.end, inputs, channels_.count());
    const Tensor stored = to_layout(size->primitive->run(x, Tensor(), workspace), Layout::kChannelsLast);
    Shape shape = stored.shape();
    shape[1] = channels_.count();
    Tensor result = workspace.allocate(convolution_.end.destination, shape, Layout::kChannelsLast);
    finish(stored, correction, ending, result);
    outputs[0] = std::move(result);
  }
  exec::LayoutUse layout_use() const override { return exec::LayoutUse::kChannelsLast; }
  std::string implementation() const override {
    const std::lock_guard lock(mutex_);
    return by_size_.empty() ? "onednn" : by_size_.begin()->second->primitive->implementation();
  }

 private:
  /// What one input size needs.
  struct Prepared {
    std::unique_ptr<onednn::Convolution> primitive;
    std::once_flag summed;
    Tensor weight_sums;  // over the taps that lie inside the image, by output position: the convolution of ones
  };
  static constexpr size_t kMaxSizes = 16;

  Tensor stored_weights() const {
    const Tensor& own = convolution_.weights;
    if (!channels_.with_source_sum) return own;
    Shape shape = own.shape();
    const int64_t filter = own.size() / shape[0];
    shape[0] = channels_.stored();
    Tensor weights(DataType::kInt8, shape);
    const auto to = weights.mutable_data<int8_t>();
    std::fill(to.begin(), to.end(), int8_t{1});
    for (int64_t g = 0; g < channels_.groups; ++g) {
      std::copy_n(own.data<int8_t>().begin() + g * channels_.per_group * filter, channels_.per_group * filter,
                  to.begin() + g * channels_.stored_per_group() * filter);
    }
    return weights;
  }

  std::shared_ptr<Prepared> prepared(const Shape& shape) const {
    const std::vector<int64_t> spatial = exec::spatial_dimensions(shape);
    const std::lock_guard lock(mutex_);
    if (const auto found = by_size_.find(spatial); found != by_size_.end()) return found->second;
    if (by_size_.size() >= kMaxSizes) by_size_.clear();
    const exec::Window window =
        exec::resolve_window(convolution_.window, spatial, exec::spatial_dimensions(weights_.shape()));
    auto made = std::make_shared<Prepared>();
    made->primitive = std::make_unique<onednn::Convolution>(onednn::ConvolutionSpec{.source = convolution_.source,
                                                                                    .destination = DataType::kInt32,
                                                                                    .strides = window.strides,
                                                                                    .dilations = window.dilations,
                                                                                    .pads_begin = window.pads_begin,
                                                                                    .pads_end = window.pads_end,
                                                                                    .groups = convolution_.groups,
                                                                                    .clamp = {},
                                                                                    .add_residual = false,
                                                                                    .requantize = no_scales()},
                                                            weights_, Tensor());
    by_size_.emplace(spatial, made);
    return made;
  }

  const Tensor& weight_sums(Prepared& size, Shape source, Workspace& workspace) const {
    std::call_once(size.summed, [&] {
      source[0] = 1;
      Tensor ones(convolution_.source, source, Layout::kChannelsLast);
      std::fill_n(bytes_of(ones), ones.size(), Byte{1});
      size.weight_sums = to_layout(size.primitive->run(ones, Tensor(), workspace), Layout::kChannelsLast);
    });
    return size.weight_sums;
  }

  SumsConvolution convolution_;
  Channels channels_;
  Tensor weights_;
  mutable std::mutex mutex_;
  mutable std::map<std::vector<int64_t>, std::shared_ptr<Prepared>> by_size_;
};

}  // namespace

exec::KernelPtr make_sums_matmul(SumsProduct product) {
  return std::make_unique<SumsMatmul>(std::move(product));
}

exec::KernelPtr make_sums_convolution(SumsConvolution convolution) {
  return std::make_unique<SumsConvolutionKernel>(std::move(convolution));
}

}  // namespace narrow::runtime
