// Which elements of one sum are rounded the other way.
#pragma once

#include <cstddef>
#include <limits>
#include <vector>

namespace narrow::quant {

/// An element that may be rounded the other way.
struct Turn {
  double price = 0;   // how much its squared error grows for each unit that it takes from the sum
  size_t number = 0;  // among the terms, so that equal prices have an order
  size_t place = 0;   // in the tensor
  double change = 0;  // of the sum
};

/// The turns that change a sum one way.
struct Turns {
  double smallest = std::numeric_limits<double>::infinity();  // change, without its sign
  size_t count = 0;
};

/// The sum of a group's errors, and how to bring it near 0: the cheapest elements of its sign are turned for as long as
/// the square of the sum falls by more than the element's own squared error grows. Few of many are, about as many as
/// the square root of their number, so elements are looked for in bands of prices, from the cheapest on.
class SumBalance {
 public:
  /// `sum` of all errors, and what is known of the turns that take from it and of those that add. True if there is
  /// anything to do: then all elements are offered.
  bool start(double sum, const Turns& taking, const Turns& adding);

  /// An element is worth an offer only if error * 2 * direction() + change * direction(), roughly its price, is not
  /// above limit(), and change * direction() above 0. 0: none is.
  double direction() const { return direction_; }
  double limit() const { return high_ + 1e-9 * high_; }

  /// Takes an element of the band, or leaves it.
  void offer(double error, double change, size_t number, size_t place);

  /// visit(Turn) for what turns. True if the next band has to be offered.
  template <class Visit>
  bool take(Visit visit) {
    sort_band();
    for (const Turn& turn : band_) {
      if (small()) break;
      if (!pays(turn)) continue;
      sum_ += turn.change;
      visit(turn);
    }
    return next_band();
  }

  bool searches() const { return direction_ != 0; }

 private:
  bool small() const { return !(2 * (sum_ < 0 ? -sum_ : sum_) > smallest_); }
  bool pays(const Turn& turn) const;
  void sort_band();
  bool next_band();

  double sum_ = 0;
  double direction_ = 0;  // of the turns that are looked for; 0: none are
  double smallest_ = 0;   // change of a turn
  double low_ = 0;        // prices of the band: above this
  double high_ = 0;       // ... and up to this
  std::vector<Turn> band_;
};

}  // namespace narrow::quant
