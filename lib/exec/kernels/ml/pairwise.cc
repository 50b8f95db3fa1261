#include "lib/exec/kernels/ml/pairwise.h"

#include <algorithm>
#include <cmath>

namespace narrow::exec {
namespace {

// Probabilities p that minimize the sum over pairs of (r[j][i] p[i] - r[i][j] p[j])^2, by fixed-point sweeps.
std::vector<double> coupled(const std::vector<std::vector<double>>& r) {
  const size_t k = r.size();
  std::vector<std::vector<double>> q(k, std::vector<double>(k, 0.0));
  for (size_t t = 0; t < k; ++t) {
    for (size_t j = 0; j < k; ++j) {
      if (j == t) continue;
      q[t][t] += r[j][t] * r[j][t];
      q[t][j] = -r[j][t] * r[t][j];
    }
  }
  std::vector<double> p(k, 1 / static_cast<double>(k));
  std::vector<double> qp(k);
  const size_t sweeps = std::max<size_t>(100, k);
  for (size_t sweep = 0; sweep < sweeps; ++sweep) {
    double pqp = 0;
    for (size_t t = 0; t < k; ++t) {
      qp[t] = 0;
      for (size_t j = 0; j < k; ++j) qp[t] += q[t][j] * p[j];
      pqp += p[t] * qp[t];
    }
    double error = 0;
    for (size_t t = 0; t < k; ++t) error = std::max(error, std::abs(qp[t] - pqp));
    if (error < 0.005 / static_cast<double>(k)) break;
    for (size_t t = 0; t < k; ++t) {
      const double step = (pqp - qp[t]) / q[t][t];
      p[t] += step;
      pqp = (pqp + step * (step * q[t][t] + 2 * qp[t])) / (1 + step) / (1 + step);
      for (size_t j = 0; j < k; ++j) {
        qp[j] = (qp[j] + step * q[t][j]) / (1 + step);
        p[j] /= 1 + step;
      }
    }
  }
  return p;
}

}  // namespace

PairwiseVotes::PairwiseVotes(std::vector<int64_t> vectors_per_class) : vectors_(std::move(vectors_per_class)) {
  for (const int64_t count : vectors_) {
    first_.push_back(supports_);
    supports_ += count;
  }
}

std::vector<double> PairwiseVotes::scores(const std::vector<double>& kernels, const std::vector<float>& coefficients,
                                          const std::vector<float>& rho) const {
  // The part of class `from` in its decision against class `to`, whose weights stand in row `row`.
  const auto part = [&](size_t from, size_t row) {
    double sum = 0;
    for (int64_t v = first_[from]; v < first_[from] + vectors_[from]; ++v) {
      sum += kernels[static_cast<size_t>(v)] *
             static_cast<double>(coefficients[row * static_cast<size_t>(supports_) + static_cast<size_t>(v)]);
    }
    return sum;
  };
  std::vector<double> result;
  for (size_t i = 0; i < classes(); ++i) {
    for (size_t j = i + 1; j < classes(); ++j) {
      result.push_back(static_cast<double>(rho[result.size()]) + part(i, j - 1) + part(j, i));
    }
  }
  return result;
}

std::vector<int64_t> PairwiseVotes::votes(const std::vector<double>& scores) const {
  std::vector<int64_t> result(classes(), 0);
  size_t pair = 0;
  for (size_t i = 0; i < classes(); ++i) {
    for (size_t j = i + 1; j < classes(); ++j) ++result[scores[pair++] > 0 ? i : j];
  }
  return result;
}

std::vector<double> PairwiseVotes::probabilities(const std::vector<double>& scores, const std::vector<float>& a,
                                                 const std::vector<float>& b) const {
  std::vector<std::vector<double>> r(classes(), std::vector<double>(classes(), 0.0));
  size_t pair = 0;
  for (size_t i = 0; i < classes(); ++i) {
    for (size_t j = i + 1; j < classes(); ++j, ++pair) {
      const double x = scores[pair] * static_cast<double>(a[pair]) + static_cast<double>(b[pair]);
      r[i][j] = std::clamp(1 / (1 + std::exp(x)), 1e-7, 1 - 1e-7);
      r[j][i] = 1 - r[i][j];
    }
  }
  return coupled(r);
}

}  // namespace narrow::exec
