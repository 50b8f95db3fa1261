// Entropy: the threshold that loses the least information, by Kullback-Leibler divergence. S. Migacz, "8-bit Inference
// with TensorRT", GPU Technology Conference 2017.
//
// For a threshold after bin i, P is the histogram of magnitudes up to it, with everything beyond counted in its last
// bin; Q is the histogram without what is beyond, its bins put together into as many levels as the scheme has and
// spread evenly over the bins of each level that are not empty. Exact zeros are left out: every threshold represents
// them exactly. Where Q has nothing and P something (an empty last bin that receives the outliers), Q gets a small
// probability, as in the smoothing of Apache MXNet's and onnxruntime's versions.
//
// With S, N the count and the number of filled bins of a level g, sum p log q = sum over g of S log(S / N), so prefix
// sums make a candidate as cheap as its levels.
#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "calib/calibrators/calibrators.h"

namespace narrow::calib {
namespace {

constexpr double kSmoothing = 1e-4;
constexpr int kCoarseCandidates = 256;

struct Prefix {
  explicit Prefix(const Histogram& histogram) {
    for (int k = 0; k < Histogram::kSideBins; ++k) {
      const auto count = static_cast<double>(histogram.magnitude_count(k));
      const size_t i = static_cast<size_t>(k);
      counts[i + 1] = counts[i] + count;
      filled[i + 1] = filled[i] + (count > 0 ? 1 : 0);
      entropy[i + 1] = entropy[i] + (count > 0 ? count * std::log(count) : 0);
      if (count > 0) used = k + 1;
    }
  }

  double count(int begin, int end) const {
    return counts[static_cast<size_t>(end)] - counts[static_cast<size_t>(begin)];
  }
  double filled_bins(int begin, int end) const {
    return filled[static_cast<size_t>(end)] - filled[static_cast<size_t>(begin)];
  }

  // Sums over the first i bins: of counts, of filled bins, of count * log(count).
  std::vector<double> counts = std::vector<double>(Histogram::kSideBins + 1, 0.0);
  std::vector<double> filled = counts;
  std::vector<double> entropy = counts;
  int used = 0;  // bins up to the last filled one
};

/// KL(P || Q) for the threshold after `bins` bins, at `levels` levels.
double divergence(const Prefix& prefix, int bins, int levels) {
  const double total = prefix.count(0, prefix.used);
  const double inside = prefix.count(0, bins);
  if (inside == 0) return std::numeric_limits<double>::infinity();
  const double last = prefix.count(bins - 1, bins);
  const double outside = total - inside;
  const double last_p = last + outside;
  double p_log_p = prefix.entropy[static_cast<size_t>(bins - 1)];
  if (last_p > 0) p_log_p += last_p * std::log(last_p);
  double p_log_q = 0;
  for (int level = 0; level < levels; ++level) {
    const auto begin = static_cast<int>(int64_t{level} * bins / levels);
    const auto end = static_cast<int>(int64_t{level + 1} * bins / levels);
    const double count = prefix.count(begin, end);
    if (count == 0) continue;
    const bool holds_outside = end == bins && last > 0;
    p_log_q += (count + (holds_outside ? outside : 0)) * std::log(count / prefix.filled_bins(begin, end));
  }
  if (last == 0 && outside > 0) p_log_q += outside * std::log(kSmoothing * inside);
  return (p_log_p - p_log_q) / total - std::log(total) + std::log(inside);
}

/// Levels that magnitudes are put on: all of them for a value of one sign in an affine scheme, half of them otherwise.
int magnitude_levels(const ValueStatistics& seen, const quant::Scheme& scheme) {
  const quant::IntegerLimits limits =
      quant::integer_limits(scheme.type, {.symmetric = scheme.symmetric, .reduce_range = scheme.reduce_range});
  const bool one_sign = seen.min >= 0 || seen.max <= 0;
  const int64_t levels = limits.qmax - limits.qmin + 1;
  const int64_t used = scheme.symmetric || !one_sign ? (levels + 1) / 2 : levels;
  return static_cast<int>(std::min<int64_t>(used, 1 << 20));
}

}  // namespace

quant::Range entropy_range(const ValueStatistics& seen, const quant::Scheme& scheme) {
  const Histogram& histogram = *seen.histogram;
  const Prefix prefix(histogram);
  const int levels = magnitude_levels(seen, scheme);
  // With as many levels as bins nothing can be lost within the range: clipping would be loss alone.
  if (levels >= prefix.used) return {seen.min, seen.max};
  int best = prefix.used;
  double least = divergence(prefix, best, levels);
  const auto consider = [&](int bins) {
    const double loss = divergence(prefix, bins, levels);
    if (loss < least) {
      least = loss;
      best = bins;
    }
  };
  const int stride = std::max(1, (prefix.used - levels) / kCoarseCandidates);
  for (int bins = prefix.used - stride; bins >= levels; bins -= stride) consider(bins);
  const int centre = best;
  for (int bins = std::min(centre + stride - 1, prefix.used); bins > std::max(centre - stride, levels - 1); --bins) {
    consider(bins);
  }
  if (best == prefix.used) return {seen.min, seen.max};
  const auto threshold = static_cast<float>(best * histogram.width());
  return {-threshold, threshold};
}

}  // namespace narrow::calib
