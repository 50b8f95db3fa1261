// Class scores under noise: how sure each sample's answer is, and how often noise like that measured would change it.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "lib/tensor/tensor.h"

namespace narrow::tune {

/// The best classes of one row of float scores, as log-probabilities up to a constant, best first, and what
/// quantization adds to each.
struct RankedScores {
  static constexpr size_t kRanks = 5;
  std::array<double, kRanks> score{};
  std::array<double, kRanks> noise{};
  size_t ranks = 0;     // used: fewer where there are fewer classes
  int label_rank = -1;  // where the right class stands among them; -1: not there, or unknown
  size_t sample = 0;    // whose row it is
};

/// Rows of two score tensors of one shape; rows that are probabilities become logarithms. `label`: of a single row.
std::vector<RankedScores> ranked_scores(const Tensor& reference, const Tensor& actual, std::optional<int64_t> label);

/// sum p log(p / q), summed over rows, of the softmax of the scores (or the scores, if they are probabilities).
double divergence(const Tensor& reference, const Tensor& actual);

/// Rank of the best class of `row` with the noise of another (or its own), `scale` times as large.
size_t answer(const RankedScores& row, const RankedScores& noise, double scale = 1);

struct ExpectedAnswers {
  double agreement = 1;  // share of rows whose best class stays
  double hits = 0;       // share of rows whose best class is the label
  double float_hits = 0;
};

/// Over all pairs of a row and another row's noise, rank by rank: the mean over n rows of what n samples of the noise
/// do, so much smoother than counting the n rows that changed. Noise is taken as independent of how sure a row is.
ExpectedAnswers expected_answers(std::span<const RankedScores> rows);

/// How many standard errors a promise about other samples stays away from what the judges say.
inline constexpr double kSureErrors = 2;

/// What other rows may lose, as shares: kSureErrors standard errors above the estimate.
struct MostLost {
  double changed = 0;  // best classes
  double hits = 0;     // of the labels, float hits less hits
};

/// Half a point of few rows is less than one row, so its standard error says nothing. Noise is therefore made larger
/// until it changes some answers, and what it loses then smaller by the same factor: small noise changes answers in
/// proportion to its size, as margins near zero are spread nearly evenly. The most that any scale on the way says
/// counts. Errors are over samples, as margins and as noises: rows of one sample may all do alike.
MostLost most_lost(std::span<const RankedScores> rows);

}  // namespace narrow::tune
