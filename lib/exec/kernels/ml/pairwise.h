// One-against-one decisions of support vector machines, as libsvm combines them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace narrow::exec {

class PairwiseVotes {
 public:
  /// Support vectors of each class, which stand one class after the other.
  explicit PairwiseVotes(std::vector<int64_t> vectors_per_class);

  /// The score of each pair i < j, (0, 1), (0, 2), ...: above 0 for i. `kernels`: by support vector. `coefficients`
  /// [classes - 1, supports]: a vector's weight against each other class. `rho`: by pair.
  std::vector<double> scores(const std::vector<double>& kernels, const std::vector<float>& coefficients,
                             const std::vector<float>& rho) const;
  /// Pairs that each class wins.
  std::vector<int64_t> votes(const std::vector<double>& scores) const;
  /// Of each class, from logistic functions 1 / (1 + exp(a * score + b)) of the pairs (Wu, Lin and Weng, 2004, second
  /// approach).
  std::vector<double> probabilities(const std::vector<double>& scores, const std::vector<float>& a,
                                    const std::vector<float>& b) const;

 private:
  size_t classes() const { return vectors_.size(); }

  std::vector<int64_t> vectors_;
  std::vector<int64_t> first_;  // index of each class's first vector
  int64_t supports_ = 0;
};

}  // namespace narrow::exec
