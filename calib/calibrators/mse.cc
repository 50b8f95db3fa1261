// Mean squared error: the range whose clipping and rounding errors together are least. W. Sung, S. Shin, K. Hwang,
// "Resiliency of Deep Neural Networks under Quantization", 2015 (arXiv:1511.06488), section 3, and R. Banner, Y.
// Nahshan, D. Soudry, "Post-training 4-bit quantization", NeurIPS 2019 (arXiv:1810.05723), which splits the error the
// same way.
//
// Here the error is measured, not modelled: each bin's centre is quantized with the scale and zero point that the range
// really gives. Exact zeros have no error in any range. The search shrinks both ends on a grid and refines around the
// best point; the whole range is one of the candidates, so the result is never worse than min-max by this measure.
#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

#include "calib/calibrators/calibrators.h"

namespace narrow::calib {
namespace {

/// The filled bins as points. Padded with weight 0 to whole groups of kLanes.
struct Points {
  static constexpr size_t kLanes = 8;
  explicit Points(const Histogram& histogram) {
    for (int k = -Histogram::kSideBins; k < Histogram::kSideBins; ++k) {
      const int64_t count = histogram.count(k);
      if (count == 0) continue;
      centres.push_back(static_cast<float>((k + 0.5) * histogram.width()));
      weights.push_back(static_cast<float>(count));
    }
    while (centres.size() % kLanes != 0) {
      centres.push_back(0);
      weights.push_back(0);
    }
  }

  std::vector<float> centres;
  std::vector<float> weights;
};

// Sums in lanes, so that the compiler may vectorize without reordering an addition.
double error_of(const Points& points, quant::Range range, const quant::Scheme& scheme) {
  const quant::ScaleZeroPoint params = quant::choose_params(range, scheme);
  const quant::IntegerLimits limits =
      quant::integer_limits(scheme.type, {.symmetric = scheme.symmetric, .reduce_range = scheme.reduce_range});
  const auto lowest = static_cast<float>(limits.qmin - params.zero_point);
  const auto highest = static_cast<float>(limits.qmax - params.zero_point);
  const float inverse = 1 / params.scale;
  constexpr float kRounder = 0x1.8p23F;  // adding and subtracting it rounds |x| < 2^22 to even
  std::array<float, Points::kLanes> sums{};
  double total = 0;
  for (size_t i = 0; i < points.centres.size(); i += Points::kLanes) {
    for (size_t lane = 0; lane < Points::kLanes; ++lane) {
      const float steps = points.centres[i + lane] * inverse;
      const float clipped = std::min(std::max(steps, lowest), highest);
      const float error = (clipped + kRounder) - kRounder - steps;
      sums[lane] += error * error * points.weights[i + lane];
    }
    if (i % 256 != 248) continue;  // float32 sums are kept short, the long one is float64
    for (float& sum : sums) {
      total += static_cast<double>(sum);
      sum = 0;
    }
  }
  for (const float sum : sums) total += static_cast<double>(sum);
  return total * static_cast<double>(params.scale) * static_cast<double>(params.scale);
}

/// A candidate: which share of what was seen each end keeps.
struct Shares {
  double low = 1;
  double high = 1;
};

class Search {
 public:
  Search(const ValueStatistics& seen, const quant::Scheme& scheme)
      : seen_(seen), scheme_(scheme), points_(*seen.histogram), least_(error_of(points_, range_of(best_), scheme)) {}

  quant::Range run() {
    const bool two_ends = !scheme_.symmetric && seen_.min < 0 && seen_.max > 0;
    if (two_ends) {
      consider_grid({.centre = Shares{}, .step = 0.08, .below = 12, .above = 0});
      for (const double step : {0.03, 0.01, 0.003, 0.001}) {
        consider_grid({.centre = best_, .step = step, .below = 2, .above = 2});
      }
    } else {
      for (int i = 1; i < 64; ++i) consider_one(1 - i / 64.0);
      for (const double step : {1 / 256.0, 1 / 1024.0}) {
        const double centre = best_.high;
        for (int i = -4; i <= 4; ++i) consider_one(centre + i * step);
      }
    }
    return range_of(best_);
  }

 private:
  struct Grid {
    Shares centre;
    double step;
    int below;  // points of each axis below the centre
    int above;
  };

  void consider_grid(const Grid& grid) {
    for (int i = -grid.below; i <= grid.above; ++i) {
      for (int j = -grid.below; j <= grid.above; ++j) {
        consider({grid.centre.low + i * grid.step, grid.centre.high + j * grid.step});
      }
    }
  }

  // With one end (or two that mirror each other), both shares move together.
  void consider_one(double share) { consider({share, share}); }

  void consider(Shares shares) {
    if (shares.low <= 0 || shares.high <= 0 || shares.low > 1 || shares.high > 1) return;
    const double loss = error_of(points_, range_of(shares), scheme_);
    if (loss < least_) {
      least_ = loss;
      best_ = shares;
    }
  }

  quant::Range range_of(Shares shares) const {
    const double low = std::min(seen_.min, 0.0F);
    const double high = std::max(seen_.max, 0.0F);
    if (!scheme_.symmetric) return {static_cast<float>(low * shares.low), static_cast<float>(high * shares.high)};
    const double limit = std::max(-low, high) * shares.high;
    return {static_cast<float>(std::max(low, -limit)), static_cast<float>(std::min(high, limit))};
  }

  const ValueStatistics& seen_;
  const quant::Scheme& scheme_;
  Points points_;
  Shares best_;
  double least_;
};

}  // namespace

double squared_error(const Histogram& histogram, quant::Range range, const quant::Scheme& scheme) {
  return error_of(Points(histogram), range, scheme);
}

quant::Range mse_range(const ValueStatistics& seen, const quant::Scheme& scheme) {
  const quant::IntegerLimits limits =
      quant::integer_limits(scheme.type, {.symmetric = scheme.symmetric, .reduce_range = scheme.reduce_range});
  // With more steps than bins, the centre of a bin says nothing about rounding, and rounding hardly matters.
  if (limits.qmax - limits.qmin > Histogram::kSideBins) return {seen.min, seen.max};
  return Search(seen, scheme).run();
}

}  // namespace narrow::calib
