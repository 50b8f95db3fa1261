#include "lib/quant/sum_balance.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace narrow::quant {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kFewMore = 16;  // elements of the first band beyond twice those that turn
constexpr double kWider = 4;     // how much wider each band is than the one before it

double squared(double x) {
  return x * x;
}

double price(double error, double change) {
  return (squared(error + change) - squared(error)) / std::abs(change);
}

}  // namespace

bool SumBalance::start(double sum, const Turns& taking, const Turns& adding) {
  sum_ = sum;
  direction_ = 0;
  band_.clear();
  const Turns& side = sum_ > 0 ? taking : adding;
  smallest_ = side.smallest;
  if (side.count == 0 || small()) return false;
  direction_ = sum_ > 0 ? -1 : 1;
  // Errors are spread evenly, and so are prices, from 0 to one step.
  const double share = (2 * std::abs(sum_) / smallest_ + kFewMore) / static_cast<double>(side.count);
  low_ = -kInfinity;
  high_ = share < 0.5 ? share * smallest_ : kInfinity;
  return true;
}

void SumBalance::offer(double error, double change, size_t number, size_t place) {
  if (!(change * direction_ > 0)) return;
  const double cost = price(error, change);
  if (cost > low_ && cost <= high_) band_.push_back({cost, number, place, change});
}

void SumBalance::sort_band() {
  std::sort(band_.begin(), band_.end(),
            [](const Turn& a, const Turn& b) { return a.price != b.price ? a.price < b.price : a.number < b.number; });
}

bool SumBalance::pays(const Turn& turn) const {
  return squared(sum_) - squared(sum_ + turn.change) > turn.price * std::abs(turn.change);
}

bool SumBalance::next_band() {
  band_.clear();
  // What costs more than the largest gain a unit never pays; the last term stands for rounding.
  const double gain = 2 * std::abs(sum_) - smallest_ + 1e-9 * std::abs(sum_);
  if (small() || high_ > gain) {
    direction_ = 0;
    return false;
  }
  low_ = high_;
  high_ = high_ * kWider > smallest_ / 2 ? kInfinity : high_ * kWider;
  return true;
}

}  // namespace narrow::quant
