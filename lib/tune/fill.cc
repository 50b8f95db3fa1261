#include "lib/tune/fill.h"

#include <algorithm>
#include <limits>
#include <optional>
#include <vector>

#include "lib/base/progress.h"

namespace narrow::tune {
namespace {

constexpr size_t kMostExchanges = 32;
constexpr size_t kMostExchanged = 200;  // items: of very many each exchange is little, and looking at all of them much
constexpr size_t kMostPriced = 8;       // exchanges whose true price is asked for
constexpr double kLeastGain = 1e-3;     // of the noise

class Filler {
 public:
  Filler(const Space& space, const NoiseModel& model, const Budget& budget)
      : space_(space), model_(model), budget_(budget) {}

  Assignment fill(Assignment assignment) const {
    assignment = with_single_changes(std::move(assignment));
    const size_t most = assignment.size() <= kMostExchanged ? kMostExchanges : 0;
    for (size_t i = 0; i < most && budget_.in_time(); ++i) {
      std::optional<Assignment> next = best_exchange(assignment);
      if (!next) break;
      assignment = with_single_changes(std::move(*next));
    }
    return assignment;
  }

 private:
  double price(size_t item, size_t option) const { return budget_.option_price(space_.items[item].options[option]); }
  double room(const Assignment& assignment) const { return budget_.limit - budget_.price(assignment); }

  /// visit(item, option, what it costs more) for all options but the present ones.
  template <class Visit>
  void for_each_change(const Assignment& assignment, const Visit& visit) const {
    for (size_t item = 0; item < assignment.size(); ++item) {
      const double present = price(item, assignment[item]);
      for (size_t option = 0; option < space_.items[item].options.size(); ++option) {
        if (option != assignment[item]) visit(item, option, price(item, option) - present);
      }
    }
  }

  /// Of changes that cost something and fit into the room the one that takes away most noise for it, but for items that
  /// are refused.
  std::optional<ItemOption> best_change(const Assignment& assignment, double room,
                                        const std::vector<bool>& refused) const {
    double best_ratio = 0;
    std::optional<ItemOption> best;
    for_each_change(assignment, [&](size_t item, size_t option, double paid) {
      if (refused[item] || paid <= 0 || paid > room) return;
      const double ratio = -model_.noise_change(assignment, item, option) / paid;
      if (ratio <= best_ratio) return;
      best_ratio = ratio;
      best = {item, option};
    });
    return best;
  }

  /// Half of the room is spent by the sum of options before the true price is asked for, where that sum comes near it.
  Assignment with_single_changes(Assignment assignment) const {
    double left = room(assignment);
    std::vector<bool> refused(assignment.size(), false);
    for (;;) {
      Assignment next = assignment;
      std::optional<size_t> last;
      for (double free = left; !last || (budget_.sums && free > left / 2);) {
        const auto best = best_change(next, free, refused);
        if (!best) break;
        free -= price(best->first, best->second) - price(best->first, next[best->first]);
        last = best->first;
        next[*last] = best->second;
      }
      if (!last) return assignment;
      const double after = room(next);
      if (after < 0) {
        refused[*last] = true;
      } else {
        left = after;
        assignment = std::move(next);
      }
    }
  }

  struct Exchange {
    double noise = 0;
    Assignment result;
  };

  /// The exchange that takes away most noise and fits; nullopt where none gains.
  std::optional<Assignment> best_exchange(const Assignment& assignment) const {
    const double free = room(assignment);
    const double noise = model_.noise(assignment);
    std::vector<Exchange> found;  // ascending noise, a few
    for_each_change(assignment, [&](size_t item, size_t option, double paid) {
      if (paid <= free || -model_.noise_change(assignment, item, option) <= kLeastGain * noise) return;
      std::optional<Assignment> result = exchanged(assignment, item, option, free - paid);
      if (!result) return;
      Exchange exchange{.noise = model_.noise(*result), .result = std::move(*result)};
      if (exchange.noise >= noise * (1 - kLeastGain)) return;
      const auto at = std::upper_bound(found.begin(), found.end(), exchange,
                                       [](const Exchange& a, const Exchange& b) { return a.noise < b.noise; });
      found.insert(at, std::move(exchange));
      if (found.size() > kMostPriced) found.pop_back();
    });
    for (Exchange& exchange : found) {
      if (room(exchange.result) >= 0) return std::move(exchange.result);
    }
    return std::nullopt;
  }

  /// With the item's other option, for which others become cheaper until it fits, those first that save most for the
  /// noise they add; what is saved too much is spent again. `free` is what is left by the sum of options, less than 0.
  std::optional<Assignment> exchanged(Assignment assignment, size_t better, size_t option, double free) const {
    check_interruption();
    assignment[better] = option;
    while (free < 0) {
      double best_ratio = 0;
      double best_paid = 0;
      std::optional<ItemOption> best;
      for_each_change(assignment, [&](size_t item, size_t other, double paid) {
        if (item == better || paid >= 0) return;
        const double added = model_.noise_change(assignment, item, other);
        const double saved = std::min(-paid, -free);  // more is not needed
        const double ratio = added > 0 ? saved / added : std::numeric_limits<double>::max();
        if (ratio <= best_ratio) return;
        best_ratio = ratio;
        best_paid = paid;
        best = {item, other};
      });
      if (!best) return std::nullopt;
      assignment[best->first] = best->second;
      free -= best_paid;
    }
    const std::vector<bool> none(assignment.size(), false);
    while (const auto best = best_change(assignment, free, none)) {
      free -= price(best->first, best->second) - price(best->first, assignment[best->first]);
      assignment[best->first] = best->second;
    }
    return assignment;
  }

  const Space& space_;
  const NoiseModel& model_;
  const Budget& budget_;
};

}  // namespace

Assignment filled_up(const Space& space, const NoiseModel& model, const Budget& budget, Assignment assignment) {
  return Filler(space, model, budget).fill(std::move(assignment));
}

}  // namespace narrow::tune
