// Noise and cost of any assignment, predicted from what each component does alone.
#pragma once

#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "lib/tune/sensitivity.h"
#include "lib/tune/space.h"

namespace narrow::tune {

/// Weights of what a search saves; each part is a share of the float model's.
struct CostWeights {
  double bytes = 1;  // of the items' constants
  /// Measured seconds, if the space has them; else multiply-accumulates that stay in float32, where an item without
  /// any counts as kSmallItem of all.
  double time = 1;
};

inline constexpr double kSmallItem = 1e-3;

/// Indices of an item and of one of its options.
using ItemOption = std::pair<size_t, size_t>;

/// Noise powers of independent roundings add; the outputs are nearly linear in small ones.
class NoiseModel {
 public:
  /// `sensitivity` has a row for every component of the space. Keeps a reference to the space.
  NoiseModel(const Space& space, const Sensitivity& sensitivity, CostWeights weights);

  double noise(const Assignment& assignment) const;
  /// What one item's other option adds to it.
  double noise_change(const Assignment& assignment, size_t item, size_t option) const;
  double cost(const Assignment& assignment) const;
  double cost(size_t item, size_t option) const { return cost_[item][option]; }

  /// The cheapest option of each item; of equal ones the least noisy, then the first.
  Assignment cheapest() const;

  /// From the cheapest assignment to the least noisy, each made from the one before by the change that takes away most
  /// noise for its cost: one item's option, or all that touch one value off integers.
  std::vector<Assignment> path() const;

  /// From an assignment to cheaper ones, each made from the one before by the other option of one item that saves most
  /// cost for the noise it adds; never by a refused one.
  std::vector<Assignment> descent(const Assignment& from, const std::set<ItemOption>& refused) const;

 private:
  /// visit(item, option) for all options but the present ones.
  template <class Visit>
  void for_each_change(const Assignment& assignment, const Visit& visit) const {
    for (size_t item = 0; item < assignment.size(); ++item) {
      for (size_t option = 0; option < cost_[item].size(); ++option) {
        if (option != assignment[item]) visit(item, option);
      }
    }
  }
  /// For each value the assignment that does not round it: single changes do not show its noise, as it is rounded until
  /// the last item that touches it is off integers or 16-bit floats.
  std::vector<Assignment> value_moves(const Assignment& assignment) const;
  /// The option that rounds nothing.
  std::optional<size_t> unrounded(size_t item) const;

  const Space& space_;
  std::vector<std::vector<double>> noise_;    // by item and option: of its constant
  std::vector<std::vector<double>> cost_;     // by item and option
  std::vector<double> value_noise_;           // by value
  std::vector<std::vector<size_t>> touched_;  // item -> values
};

}  // namespace narrow::tune
