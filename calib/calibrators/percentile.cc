// Percentile: a fixed share of the elements is kept, the rest is clipped. H. Wu et al., "Integer Quantization for Deep
// Learning Inference: Principles and Empirical Evaluation", 2020, section 3.2 (arXiv:2004.09602).
//
// As in onnxruntime, what is clipped of a value of both signs is divided evenly between the two ends; a value of one
// sign is clipped at its far end only, and for a symmetric scheme the share counts magnitudes. Elements of one bin
// count as spread evenly over it, so a limit inside a bin is interpolated.
#include <algorithm>

#include "calib/calibrators/calibrators.h"

namespace narrow::calib {
namespace {

/// The magnitude that `wanted` elements do not exceed, when `inner` elements are at or on the other side of zero and
/// count_of(k) elements have magnitudes in bin k.
template <class CountOf>
double magnitude_at(double width, double wanted, double inner, CountOf count_of) {
  double before = inner;
  for (int k = 0; k < Histogram::kSideBins; ++k) {
    const auto here = static_cast<double>(count_of(k));
    if (here > 0 && before + here >= wanted) {
      return width * (k + std::clamp((wanted - before) / here, 0.0, 1.0));
    }
    before += here;
  }
  return width * Histogram::kSideBins;
}

}  // namespace

quant::Range percentile_range(const ValueStatistics& seen, double percentile, const quant::Scheme& scheme) {
  const Histogram& histogram = *seen.histogram;
  const auto total = static_cast<double>(histogram.total());
  const double width = histogram.width();
  const auto zeros = static_cast<double>(histogram.zeros());
  if (scheme.symmetric) {
    const auto limit = static_cast<float>(
        magnitude_at(width, total * percentile / 100, zeros, [&](int k) { return histogram.magnitude_count(k); }));
    return {-limit, limit};
  }
  const bool both_signs = seen.min < 0 && seen.max > 0;
  const double kept = total * (both_signs ? (100 + percentile) / 200 : percentile / 100);
  double negative = 0;
  double positive = 0;
  for (int k = 0; k < Histogram::kSideBins; ++k) {
    positive += static_cast<double>(histogram.count(k));
    negative += static_cast<double>(histogram.count(-1 - k));
  }
  const double upper = magnitude_at(width, kept, negative + zeros, [&](int k) { return histogram.count(k); });
  const double lower = magnitude_at(width, kept, positive + zeros, [&](int k) { return histogram.count(-1 - k); });
  // If fewer elements than are cut from an end lie on that side of zero, the limit is zero itself.
  const double cut = total - kept;
  return {negative > cut ? static_cast<float>(-lower) : 0.0F, positive > cut ? static_cast<float>(upper) : 0.0F};
}

}  // namespace narrow::calib
