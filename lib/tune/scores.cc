#include "lib/tune/scores.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "lib/validate/compare.h"

namespace narrow::tune {
namespace {

constexpr double kLeastProbability = 1e-12;

bool are_probabilities(std::span<const float> row) {
  double sum = 0;
  for (const float value : row) {
    if (!(value >= 0)) return false;
    sum += value;
  }
  return std::abs(sum - 1) < 1e-2;
}

std::vector<double> log_probabilities(std::span<const float> row, bool probabilities) {
  std::vector<double> result(row.begin(), row.end());
  if (probabilities) {
    for (double& value : result) value = std::log(std::max(value, kLeastProbability));
  }
  const double most = *std::max_element(result.begin(), result.end());
  double sum = 0;
  for (const double value : result) sum += std::exp(value - most);
  for (double& value : result) value -= most + std::log(sum);
  return result;
}

}  // namespace

std::vector<RankedScores> ranked_scores(const Tensor& reference, const Tensor& actual, std::optional<int64_t> label) {
  const auto x = validate::score_rows(reference);
  const auto y = validate::score_rows(actual);
  std::vector<RankedScores> result;
  if (!x || !y || x->rows() != y->rows() || x->columns != y->columns) return result;
  for (int64_t i = 0; i < x->rows(); ++i) {
    const bool probabilities = are_probabilities(x->row(i));
    const std::vector<double> p = log_probabilities(x->row(i), probabilities);
    const std::vector<double> q = log_probabilities(y->row(i), probabilities);
    std::vector<size_t> order(p.size());
    std::iota(order.begin(), order.end(), size_t{0});
    RankedScores ranked{.ranks = std::min(RankedScores::kRanks, p.size())};
    std::partial_sort(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(ranked.ranks), order.end(),
                      [&](size_t a, size_t b) { return p[a] != p[b] ? p[a] > p[b] : a < b; });
    for (size_t r = 0; r < ranked.ranks; ++r) {
      ranked.score[r] = p[order[r]];
      ranked.noise[r] = q[order[r]] - p[order[r]];
      if (label && order[r] == static_cast<size_t>(*label)) ranked.label_rank = static_cast<int>(r);
    }
    result.push_back(ranked);
  }
  return result;
}

double divergence(const Tensor& reference, const Tensor& actual) {
  const auto x = validate::score_rows(reference);
  const auto y = validate::score_rows(actual);
  if (!x || !y || x->rows() != y->rows() || x->columns != y->columns) return 0;
  double sum = 0;
  for (int64_t i = 0; i < x->rows(); ++i) {
    const bool probabilities = are_probabilities(x->row(i));
    const std::vector<double> p = log_probabilities(x->row(i), probabilities);
    const std::vector<double> q = log_probabilities(y->row(i), probabilities);
    for (size_t c = 0; c < p.size(); ++c) sum += std::exp(p[c]) * (p[c] - q[c]);
  }
  return sum;
}

size_t answer(const RankedScores& row, const RankedScores& noise) {
  size_t best = 0;
  for (size_t i = 1; i < std::min(row.ranks, noise.ranks); ++i) {
    if (row.score[i] + noise.noise[i] > row.score[best] + noise.noise[best]) best = i;
  }
  return best;
}

ExpectedAnswers expected_answers(std::span<const RankedScores> rows) {
  ExpectedAnswers answers;
  if (rows.empty()) return answers;
  int64_t kept = 0;
  int64_t hits = 0;
  int64_t float_hits = 0;
  for (const RankedScores& row : rows) {
    float_hits += row.label_rank == 0 ? 1 : 0;
    for (const RankedScores& noise : rows) {
      const size_t best = answer(row, noise);
      kept += best == 0 ? 1 : 0;
      hits += static_cast<int>(best) == row.label_rank ? 1 : 0;
    }
  }
  const auto count = static_cast<double>(rows.size());
  answers.agreement = static_cast<double>(kept) / (count * count);
  answers.hits = static_cast<double>(hits) / (count * count);
  answers.float_hits = static_cast<double>(float_hits) / count;
  return answers;
}

}  // namespace narrow::tune
