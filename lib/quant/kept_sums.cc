#include "lib/quant/kept_sums.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <span>
#include <utility>

#include "lib/base/error.h"
#include "lib/base/parallel.h"
#include "lib/quant/element_groups.h"
#include "lib/quant/sum_order.h"
#include "lib/tensor/convert.h"

namespace narrow::quant {
namespace {

constexpr int64_t kElementsPerTask = int64_t{1} << 13;
constexpr size_t kTile = 16;  // sums at a time: where they are columns, their elements lie next to each other

/// An element's weight, the value of the code that it has, and that of the code on the weight's other side.
struct Choice {
  float weight = 0;
  float taken = 0;
  float other = 0;
  bool turned = false;  // once is enough: a later list must not undo what an earlier one did

  double error() const { return static_cast<double>(taken) - weight; }
  double change() const { return static_cast<double>(other) - taken; }
};

double squared(double x) {
  return x * x;
}

/// How much one element's squared error grows for each unit that its turn takes from the sum's.
double price(const Choice& choice) {
  return (squared(choice.error() + choice.change()) - squared(choice.error())) / std::abs(choice.change());
}

class Balance {
 public:
  /// Turns the cheapest elements of the sum's own sign for as long as it pays.
  void operator()(std::span<Choice> choices) {
    if (choices.size() < 2) return;
    double sum = 0;
    for (const Choice& choice : choices) sum += choice.error();
    candidates_.clear();
    double smallest = std::numeric_limits<double>::infinity();
    for (size_t i = 0; i < choices.size(); ++i) {
      const double change = choices[i].change();
      const bool helps = change != 0 && (change < 0) == (sum > 0);
      if (!helps || choices[i].turned) continue;
      candidates_.emplace_back(price(choices[i]), i);
      smallest = std::min(smallest, std::abs(change));
    }
    // A heap, as few of many are taken: about as many as the square root of their number.
    std::make_heap(candidates_.begin(), candidates_.end(), std::greater<>());
    while (!candidates_.empty() && 2 * std::abs(sum) > smallest) {
      std::pop_heap(candidates_.begin(), candidates_.end(), std::greater<>());
      const auto [cost, i] = candidates_.back();
      candidates_.pop_back();
      Choice& choice = choices[i];
      const double change = choice.change();
      if (squared(sum) - squared(sum + change) <= cost * std::abs(change)) continue;
      sum += change;
      std::swap(choice.taken, choice.other);
      choice.turned = true;
    }
  }

 private:
  std::vector<std::pair<double, size_t>> candidates_;  // price and place, so that ties have an order
};

/// visit(place among the tile's choices, place in the tensor) of each element of a few of the last list's groups.
template <class Visit>
void for_each(std::span<const int64_t> starts, std::span<const int64_t> offsets, Visit visit) {
  for (size_t i = 0; i < offsets.size(); ++i) {
    for (size_t g = 0; g < starts.size(); ++g) {
      visit(g * offsets.size() + i, static_cast<size_t>(starts[g] + offsets[i]));
    }
  }
}

/// `taken` has the nearest codes' values and gets the chosen ones'; other(element, weight, taken) is the value of the
/// code on the weight's other side, or `taken` itself if there is none.
template <class Other>
void balance(const Tensor& real, const SumAxes& sum_axes, Tensor& taken, const Other& other) {
  if (real.size() == 0 || sum_axes.empty()) return;
  const SumOrder order = sum_order(real.shape(), sum_axes);
  const auto weights = real.data<float>();
  const auto values = taken.mutable_data<float>();
  const size_t elements = order.offsets.size();
  const auto balance_tile = [&](std::span<const int64_t> starts, std::vector<Choice>& choices, Balance& keep_sum) {
    for_each(starts, order.offsets, [&](size_t i, size_t at) {
      choices[i] = {.weight = weights[at], .taken = values[at], .other = other(at, weights[at], values[at])};
    });
    for (const size_t run : order.runs) {
      for (size_t i = 0; i < starts.size() * elements; i += run) keep_sum(std::span(choices).subspan(i, run));
    }
    for_each(starts, order.offsets, [&](size_t i, size_t at) { values[at] = choices[i].taken; });
  };
  const auto tiles = static_cast<int64_t>((order.starts.size() + kTile - 1) / kTile);
  const auto grain = std::max<int64_t>(1, kElementsPerTask / static_cast<int64_t>(elements * kTile));
  parallel_for(tiles, grain, [&](int64_t begin, int64_t end) {
    std::vector<Choice> choices(elements * kTile);
    Balance keep_sum;
    for (auto first = static_cast<size_t>(begin) * kTile; first < static_cast<size_t>(end) * kTile; first += kTile) {
      const size_t count = std::min(kTile, order.starts.size() - first);
      balance_tile(std::span(order.starts).subspan(first, count), choices, keep_sum);
    }
  });
}

/// The value of the code on the other side of a weight from the one that it has; that one's if there is none.
class NextInteger {
 public:
  NextInteger(const Tensor& nearest, const QuantParams& params)
      : params_(params), groups_(nearest.shape(), params.grouping()) {
    const auto values = nearest.data<float>();
    for (size_t i = 0; i < values.size(); ++i) {
      const float code = std::nearbyintf(values[i] / scale(i));
      lowest_ = std::min(lowest_, code);
      highest_ = std::max(highest_, code);
    }
  }

  float operator()(size_t element, float weight, float taken) const {
    if (weight == taken) return taken;
    const float step = scale(element);
    const float code = std::nearbyintf(taken / step) + (weight > taken ? 1.0F : -1.0F);
    return code < lowest_ || code > highest_ ? taken : code * step;
  }

 private:
  float scale(size_t element) const { return params_.scales[groups_.group_of(element)]; }

  const QuantParams& params_;
  ElementGroups groups_;
  float lowest_ = 0;  // codes less the zero point
  float highest_ = 0;
};

/// The same of floating-point types.
class NextFloat {
 public:
  explicit NextFloat(DataType type) : numbers_(finite_numbers(type)) {}

  float operator()(float weight, float taken, float scale) const {
    const auto at = std::lower_bound(numbers_.begin(), numbers_.end(), taken / scale);
    if (weight == taken || at == numbers_.end()) return taken;
    if (weight > taken) return at + 1 < numbers_.end() ? *(at + 1) * scale : taken;
    return at != numbers_.begin() ? *(at - 1) * scale : taken;
  }

 private:
  std::vector<float> numbers_;
};

}  // namespace

Tensor keep_sums(const Tensor& real, const QuantParams& params) {
  QuantParams nearest = params;
  nearest.sum_axes.clear();
  Tensor taken = dequantize(quantize(real, nearest), nearest);
  if (row(params.type).is_float) {
    const NextFloat next(row(params.type).storage);
    const ElementGroups groups(real.shape(), params.grouping());
    balance(real, params.sum_axes, taken, [&](size_t element, float weight, float value) {
      return next(weight, value, params.scales[groups.group_of(element)]);
    });
  } else {
    const NextInteger next(taken, params);
    balance(real, params.sum_axes, taken, next);
  }
  return taken;
}

}  // namespace narrow::quant
