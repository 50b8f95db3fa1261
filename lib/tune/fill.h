// Fills what a file or a run may cost.
#pragma once

#include <functional>

#include "lib/tune/noise_model.h"
#include "lib/tune/space.h"

namespace narrow::tune {

/// What may be paid, in bytes or seconds.
struct Budget {
  double limit = 0;
  /// Of a whole mixture; slower to find out than the sum of its options, and not quite that sum.
  std::function<double(const Assignment& assignment)> price;
  std::function<double(const Option& option)> option_price;
  bool sums = true;               // whether the sum of options comes near the price: several changes at once, then
  std::function<bool()> in_time;  // whether to look for more
};

/// An assignment with less predicted noise that costs at most the limit, from one that does: better options of single
/// items, those first that take away most noise for their price; then exchanges, where one item becomes better and
/// others pay for it.
Assignment filled_up(const Space& space, const NoiseModel& model, const Budget& budget, Assignment assignment);

}  // namespace narrow::tune
