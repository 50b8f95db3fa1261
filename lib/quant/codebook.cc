#include "lib/quant/codebook.h"

#include <cmath>
#include <limits>

#include "lib/base/error.h"
#include "lib/base/parallel.h"
#include "lib/quant/cluster.h"

namespace narrow::quant {
namespace {

constexpr size_t kPoints = size_t{1} << 14;  // of a codebook; of more elements there is a histogram
constexpr int kRounds = 2;                   // clusters, scales, clusters

float scale_of(const QuantParams& params, size_t channel) {
  return params.scales[params.axis ? channel : 0];
}

/// visit(element / scale, scale) over the elements of one codebook.
template <class Visit>
void for_each_scaled(const Tensor& weight, const QuantParams& params, int64_t codebook, Visit visit) {
  const auto values = weight.data<float>();
  CodebookLayout(weight.shape(), params)
      .for_each_run_of(codebook, [&](size_t begin, size_t end, size_t channel, size_t /*codebook*/) {
        const float scale = scale_of(params, channel);
        for (size_t i = begin; i < end; ++i) visit(values[i] / scale, scale);
      });
}

/// What counts of an element is its error times the scale, squared.
double importance(float scale) {
  return static_cast<double>(scale) * scale;
}

std::vector<WeightedPoint> histogram(const Tensor& weight, const QuantParams& params, int64_t codebook, float low,
                                     float high) {
  std::vector<WeightedPoint> bins(kPoints, {.value = 0, .weight = 0});
  const double per_unit = static_cast<double>(kPoints) / (static_cast<double>(high) - low);
  for_each_scaled(weight, params, codebook, [&](float value, float scale) {
    const auto at = static_cast<size_t>((static_cast<double>(value) - low) * per_unit);
    WeightedPoint& bin = bins[std::min(at, kPoints - 1)];
    bin.weight += importance(scale);
    bin.value += importance(scale) * value;
  });
  std::erase_if(bins, [](const WeightedPoint& bin) { return bin.weight == 0; });
  for (WeightedPoint& bin : bins) bin.value /= bin.weight;
  return bins;
}

std::vector<WeightedPoint> points_of(const Tensor& weight, const QuantParams& params, int64_t codebook) {
  std::vector<WeightedPoint> points;
  size_t count = 0;
  float low = std::numeric_limits<float>::infinity();
  float high = -low;
  for_each_scaled(weight, params, codebook, [&](float value, float scale) {
    low = std::min(low, value);
    high = std::max(high, value);
    if (++count <= kPoints) points.push_back({.value = value, .weight = importance(scale)});
  });
  if (count > kPoints && low < high) return histogram(weight, params, codebook, low, high);
  std::sort(points.begin(), points.end(), [](const auto& a, const auto& b) { return a.value < b.value; });
  return points;
}

void fit_codebooks(const Tensor& weight, QuantParams& params) {
  Codebooks& books = *params.codebooks;
  const int64_t count = CodebookLayout(weight.shape(), params).count();
  const auto entries = static_cast<size_t>(books.entries);
  books.values.assign(static_cast<size_t>(count) * entries, 0);
  parallel_for(count, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const std::vector<double> centres = cluster(points_of(weight, params, i), books.entries);
      for (size_t k = 0; k < entries && !centres.empty(); ++k) {
        // Where there are fewer different values than entries, the last stands there again.
        books.values[static_cast<size_t>(i) * entries + k] =
            static_cast<float>(centres[std::min(k, centres.size() - 1)]);
      }
    }
  });
}

/// Searches one codebook.
class Finder {
 public:
  explicit Finder(std::span<const float> entries) : entries_(entries) {
    for (size_t i = 1; i < entries.size(); ++i) middles_.push_back(entries[i - 1] / 2 + entries[i] / 2);
  }

  /// The nearest entry; the lower of two.
  size_t nearest(float value) const {
    return static_cast<size_t>(std::lower_bound(middles_.begin(), middles_.end(), value) - middles_.begin());
  }

  /// One of the entries around the value, so that their mean over all `random` in [0, 1) is the value.
  size_t around(float value, double random) const {
    const auto above =
        static_cast<size_t>(std::lower_bound(entries_.begin(), entries_.end(), value) - entries_.begin());
    if (above == 0) return 0;
    if (above == entries_.size()) return above - 1;
    const double low = entries_[above - 1];
    return random * (entries_[above] - low) < value - low ? above : above - 1;
  }

 private:
  std::span<const float> entries_;
  std::vector<float> middles_;
};

std::vector<Finder> finders(const Codebooks& books) {
  std::vector<Finder> result;
  const auto entries = static_cast<size_t>(books.entries);
  for (size_t at = 0; at < books.values.size(); at += entries) {
    result.emplace_back(std::span(books.values).subspan(at, entries));
  }
  return result;
}

/// For the entries that its elements have now, each channel's scale with the least squared error.
void fit_scales(const Tensor& weight, QuantParams& params) {
  const auto values = weight.data<float>();
  const Codebooks& books = *params.codebooks;
  const std::vector<Finder> find = finders(books);
  std::vector<double> products(params.scales.size(), 0);
  std::vector<double> squares(params.scales.size(), 0);
  CodebookLayout(weight.shape(), params).for_each_run([&](size_t begin, size_t end, size_t channel, size_t book) {
    const float scale = scale_of(params, channel);
    const float* entries = books.values.data() + book * static_cast<size_t>(books.entries);
    for (size_t i = begin; i < end; ++i) {
      const double entry = entries[find[book].nearest(values[i] / scale)];
      products[channel] += values[i] * entry;
      squares[channel] += entry * entry;
    }
  });
  for (size_t i = 0; i < params.scales.size(); ++i) {
    const auto best = static_cast<float>(products[i] / squares[i]);
    if (best >= std::numeric_limits<float>::min()) params.scales[i] = best;
  }
}

/// Those of integers of as many bits, clipped where that is better. Channels of zeros, or of less than a normal float32
/// scale can express, count for nothing.
std::vector<float> starting_scales(const Tensor& weight, const QuantParams& params, const CodebookScheme& scheme) {
  const int bits = stored_bits(params);
  const QuantType integers = bits <= 2 ? QuantType::kInt2 : bits == 4 ? QuantType::kInt4 : QuantType::kInt8;
  const Scheme numbers{.type = integers, .symmetric = true, .fit = WeightFit::kSquaredError};
  std::vector<float> scales = choose_weight_params(weight, numbers, {.axis = scheme.axis}).scales;
  std::vector<float> largest(scales.size(), 0);
  const QuantParams layout{.type = integers, .axis = scheme.axis, .scales = {}, .zero_points = {}};
  const auto values = weight.data<float>();
  CodebookLayout(weight.shape(), layout).for_each_run([&](size_t begin, size_t end, size_t channel, size_t /*book*/) {
    for (size_t i = begin; i < end; ++i) largest[channel] = std::max(largest[channel], std::abs(values[i]));
  });
  constexpr float kLeast = std::numeric_limits<float>::min();
  for (size_t i = 0; i < scales.size(); ++i) {
    if (largest[i] < kLeast * static_cast<float>(row(integers).qmax)) scales[i] = kLeast;
  }
  return scales;
}

/// The root mean square of each channel, where it is a normal float32.
std::vector<float> channel_magnitudes(const Tensor& weight, const QuantParams& params) {
  std::vector<double> squares(params.scales.size(), 0);
  const auto values = weight.data<float>();
  CodebookLayout(weight.shape(), params).for_each_run([&](size_t begin, size_t end, size_t channel, size_t /*book*/) {
    for (size_t i = begin; i < end; ++i) squares[channel] += static_cast<double>(values[i]) * values[i];
  });
  std::vector<float> magnitudes = params.scales;
  const double count = static_cast<double>(weight.size()) / static_cast<double>(magnitudes.size());
  for (size_t i = 0; i < magnitudes.size(); ++i) {
    const auto magnitude = static_cast<float>(std::sqrt(squares[i] / count));
    if (magnitude >= std::numeric_limits<float>::min()) magnitudes[i] = magnitude;
  }
  return magnitudes;
}

void fit_in_turn(const Tensor& weight, QuantParams& params) {
  fit_codebooks(weight, params);
  for (int i = 1; i < kRounds && params.axis; ++i) {
    fit_scales(weight, params);
    fit_codebooks(weight, params);
  }
}

double squared_error(const Tensor& weight, const QuantParams& params) {
  const std::vector<Finder> find = finders(*params.codebooks);
  const auto values = weight.data<float>();
  double sum = 0;
  CodebookLayout(weight.shape(), params).for_each_run([&](size_t begin, size_t end, size_t channel, size_t book) {
    const float scale = scale_of(params, channel);
    const float* entries = params.codebooks->values.data() + book * static_cast<size_t>(params.codebooks->entries);
    for (size_t i = begin; i < end; ++i) {
      const double error = static_cast<double>(entries[find[book].nearest(values[i] / scale)]) * scale - values[i];
      sum += error * error;
    }
  });
  return sum;
}

}  // namespace

CodebookLayout::CodebookLayout(const Shape& shape, const QuantParams& params) {
  const bool several = params.codebooks && params.codebooks->axis;
  const std::optional<int64_t> axis = params.axis ? params.axis : several ? params.codebooks->axis : std::nullopt;
  if (axis) {
    for (size_t i = 0; i < shape.size(); ++i) {
      const auto at = static_cast<size_t>(*axis);
      (i < at ? outer_ : i == at ? size_ : inner_) *= shape[i];
    }
  } else {
    inner_ = element_count(shape);
  }
  channels_ = several ? params.codebooks->channels : std::max<int64_t>(size_, 1);
}

QuantParams choose_codebook_params(const Tensor& weight, const CodebookScheme& scheme) {
  ensure(scheme.axis || !scheme.scaled, "scales of a codebook are those of channels");
  QuantParams params{.type = QuantType::kCodebook, .scales = {1}, .zero_points = {}};
  params.codebooks = Codebooks{.entries = scheme.entries};
  const int64_t size = scheme.axis ? weight.shape()[static_cast<size_t>(*scheme.axis)] : 1;
  if (scheme.axis && scheme.channels > 0 && scheme.channels < size) {
    params.codebooks->axis = scheme.axis;
    params.codebooks->channels = scheme.channels;
  }
  if (scheme.scaled) {
    params.axis = scheme.axis;
    params.scales = starting_scales(weight, params, scheme);
  }
  params.zero_points.assign(params.scales.size(), 0);
  QuantParams other = params;
  fit_in_turn(weight, params);
  if (!scheme.scaled) return params;
  // Two starts: the scales of integers follow outliers, which spoils the codebook where channels are alike.
  other.scales = channel_magnitudes(weight, other);
  fit_in_turn(weight, other);
  return squared_error(weight, other) < squared_error(weight, params) ? other : params;
}

Tensor quantize_to_codebook(const Tensor& real, const QuantParams& params) {
  const CodebookLayout layout(real.shape(), params);
  const Codebooks& books = *params.codebooks;
  ensure(books.values.size() == static_cast<size_t>(layout.count() * books.entries), "as many codebooks as groups");
  const std::vector<Finder> find = finders(books);
  Tensor codes(DataType::kUint8, real.shape());
  const auto source = real.data<float>();
  const auto target = codes.mutable_data<uint8_t>();
  layout.for_each_run([&](size_t begin, size_t end, size_t channel, size_t book) {
    const float scale = scale_of(params, channel);
    for (size_t i = begin; i < end; ++i) {
      const float value = std::isnan(source[i]) ? 0 : source[i] / scale;
      target[i] = static_cast<uint8_t>(params.noise ? find[book].around(value, params.noise->at(i))
                                                    : find[book].nearest(value));
    }
  });
  return codes;
}

Tensor dequantize_from_codebook(const Tensor& codes, const QuantParams& params) {
  const Codebooks& books = *params.codebooks;
  Tensor real(DataType::kFloat32, codes.shape());
  const auto source = codes.data<uint8_t>();
  const auto target = real.mutable_data<float>();
  CodebookLayout(codes.shape(), params).for_each_run([&](size_t begin, size_t end, size_t channel, size_t book) {
    const float scale = scale_of(params, channel);
    const float* entries = books.values.data() + book * static_cast<size_t>(books.entries);
    for (size_t i = begin; i < end; ++i) target[i] = entries[source[i]] * scale;
  });
  return real;
}

}  // namespace narrow::quant
