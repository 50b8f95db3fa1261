#include "lib/tune/scores.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>

#include "lib/validate/compare.h"

namespace narrow::tune {
namespace {

constexpr double kLeastProbability = 1e-12;
constexpr double kEnoughChanged = 8;  // rows: their number has a standard error of about a third
constexpr double kMostChanged = 0.2;  // share of the rows beyond which changes do not grow with the noise
constexpr double kMostScale = 1 << 20;
constexpr double kDenser = 1.5;  // margins next to zero against those up to the scaled noise: 1 to 1.5 on real models

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

bool is_silent(const RankedScores& row) {
  return std::all_of(row.noise.begin(), row.noise.begin() + static_cast<std::ptrdiff_t>(row.ranks),
                     [&](double noise) { return noise == row.noise[0]; });
}

/// Of something that depends on a row's margins and a row's noise, over all pairs of rows.
class PairMeans {
 public:
  explicit PairMeans(std::span<const RankedScores> rows)
      : rows_(rows), by_row_(rows.size(), 0), by_noise_(rows.size(), 0) {}

  void add(size_t row, size_t noise, double value) {
    by_row_[row] += value;
    by_noise_[noise] += value;
  }
  double mean() const { return std::accumulate(by_row_.begin(), by_row_.end(), 0.0) / (count() * count()); }
  /// Of the mean, each sample being drawn with its rows and noises (Hajek's projection).
  double standard_error() const {
    const double middle = 2 * mean();
    std::map<size_t, double> by_sample;
    for (size_t i = 0; i < rows_.size(); ++i) {
      by_sample[rows_[i].sample] += (by_row_[i] + by_noise_[i]) / count() - middle;
    }
    if (by_sample.size() < 2) return std::abs(mean());
    double squares = 0;
    for (const auto& [sample, sum] : by_sample) squares += sum * sum;
    const auto samples = static_cast<double>(by_sample.size());
    return std::sqrt(squares * samples / (samples - 1)) / count();
  }

 private:
  double count() const { return static_cast<double>(rows_.size()); }

  std::span<const RankedScores> rows_;
  std::vector<double> by_row_;    // sums over the noises
  std::vector<double> by_noise_;  // sums over the rows
};

struct LostOverPairs {
  PairMeans changed;
  PairMeans hits;
};

LostOverPairs lost_over_pairs(std::span<const RankedScores> rows, double scale) {
  LostOverPairs lost{.changed = PairMeans(rows), .hits = PairMeans(rows)};
  for (size_t i = 0; i < rows.size(); ++i) {
    for (size_t j = 0; j < rows.size(); ++j) {
      const auto best = static_cast<int>(answer(rows[i], rows[j], scale));
      if (best == 0) continue;
      lost.changed.add(i, j, 1);
      lost.hits.add(i, j, (rows[i].label_rank == 0 ? 1 : 0) - (rows[i].label_rank == best ? 1 : 0));
    }
  }
  return lost;
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

size_t answer(const RankedScores& row, const RankedScores& noise, double scale) {
  size_t best = 0;
  for (size_t i = 1; i < std::min(row.ranks, noise.ranks); ++i) {
    if (row.score[i] + scale * noise.noise[i] > row.score[best] + scale * noise.noise[best]) best = i;
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

MostLost most_lost(std::span<const RankedScores> rows) {
  if (std::all_of(rows.begin(), rows.end(), is_silent)) return {};
  const double hits = lost_over_pairs(rows, 1).hits.mean();
  double most_changed = 0;
  for (double scale = 1;; scale *= 2) {
    const LostOverPairs lost = lost_over_pairs(rows, scale);
    const double share = lost.changed.mean();
    const double changed = (share + kSureErrors * lost.changed.standard_error()) / scale;
    most_changed = std::max(most_changed, changed);
    const bool enough = share * static_cast<double>(rows.size()) >= kEnoughChanged || share >= kMostChanged;
    if (!enough && scale < kMostScale) continue;
    // Lost hits grow faster than noise, as the first changes win as often as they lose: what is scaled is no less.
    return {.changed = std::max(most_changed, scale > 1 ? kDenser * changed : 0),
            .hits = std::max(hits, lost.hits.mean() / scale) + kSureErrors * lost.hits.standard_error() / scale};
  }
}

}  // namespace narrow::tune
