#include "apps/judge.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "lib/base/error.h"
#include "lib/exec/float_program.h"
#include "lib/recover/ordered_samples.h"
#include "lib/runtime/lower.h"
#include "lib/tensor/metrics.h"
#include "lib/validate/compare.h"

namespace narrow::apps {
namespace {

constexpr double kMostDb = 100;
constexpr float kLeastShare = 1e-20F;

/// Probabilities say nothing where they are near 0 or 1: what Softmax made is taken back to its input, but for a
/// constant in each row.
std::vector<float> scores_of(const Tensor& tensor) {
  const Tensor real = to_float32(tensor);
  const auto values = real.data<float>();
  std::vector<float> scores(values.begin(), values.end());
  // The last axis that is not of length 1.
  const auto axis =
      std::find_if(tensor.shape().rbegin(), tensor.shape().rend(), [](int64_t size) { return size != 1; });
  const auto columns = axis == tensor.shape().rend() ? size_t{1} : static_cast<size_t>(*axis);
  if (columns < 2) return scores;
  for (size_t row = 0; row < scores.size(); row += columns) {
    double sum = 0;
    for (size_t i = row; i < row + columns; ++i) {
      if (!(scores[i] >= 0)) return scores;
      sum += static_cast<double>(scores[i]);
    }
    if (std::abs(sum - 1) > 1e-3) return scores;
  }
  for (size_t row = 0; row < scores.size(); row += columns) {
    double mean = 0;
    for (size_t i = row; i < row + columns; ++i) {
      scores[i] = std::log(std::max(scores[i], kLeastShare));
      mean += static_cast<double>(scores[i]) / static_cast<double>(columns);
    }
    for (size_t i = row; i < row + columns; ++i) scores[i] -= static_cast<float>(mean);
  }
  return scores;
}

std::vector<std::vector<Tensor>> run_all(const exec::Program& program, const calib::DataReader& data,
                                         const std::vector<int64_t>& samples, int workers) {
  std::vector<std::vector<Tensor>> outputs(samples.size());
  std::vector<Workspace> workspaces(static_cast<size_t>(std::max(workers, 1)));
  recover::for_each_in_order(
      static_cast<int64_t>(samples.size()), workers,
      [&](int worker, int64_t i) {
        const auto at = static_cast<size_t>(i);
        outputs[at] = program.run(data.read(samples[at]), workspaces[static_cast<size_t>(worker)]);
      },
      [](int, int64_t) {});
  return outputs;
}

double clamped_db(const ErrorStatistics& error) {
  const double db = error.sqnr_db();
  return std::isnan(db) ? -kMostDb : std::clamp(db, -kMostDb, kMostDb);
}

bool comparable(const Tensor& a, const Tensor& b) {
  return validate::is_real(a.type()) && a.type() == b.type() && a.size() == b.size() && a.size() > 0;
}

}  // namespace

Judge::Judge(const graph::Model& model, const calib::DataReader& data, std::vector<int64_t> samples, int workers)
    : data_(data),
      samples_(std::move(samples)),
      workers_(workers),
      outputs_(run_all(exec::compile_float(model), data_, samples_, workers_)) {}

Judge::Judge(std::vector<std::vector<Tensor>> outputs, const calib::DataReader& data, std::vector<int64_t> samples,
             int workers)
    : data_(data), samples_(std::move(samples)), workers_(workers), outputs_(std::move(outputs)) {}

Judged Judge::judge(const graph::Model& quantized) const {
  const auto actual = run_all(runtime::lower(quantized).program, data_, samples_, workers_);
  Judged judged;
  for (size_t i = 0; i < outputs_.size(); ++i) {
    std::vector<double> decibels;
    std::vector<ErrorStatistics>& errors = judged.outputs.emplace_back(outputs_[i].size());
    for (size_t k = 0; k < outputs_[i].size(); ++k) {
      if (!comparable(outputs_[i][k], actual[i][k])) continue;
      errors[k].add(scores_of(outputs_[i][k]), scores_of(actual[i][k]));
      decibels.push_back(clamped_db(errors[k]));
    }
    judged.sqnr_db.push_back(decibels.empty() ? std::numeric_limits<double>::quiet_NaN() : mean_of(decibels));
  }
  return judged;
}

double pooled_lead(const Judged& judged, const Judged& other) {
  ensure(judged.outputs.size() == other.outputs.size(), "figures of the same samples");
  const size_t outputs = judged.outputs.empty() ? 0 : judged.outputs.front().size();
  double sum = 0;
  for (size_t k = 0; k < outputs; ++k) {
    ErrorStatistics own;
    ErrorStatistics others;
    for (size_t i = 0; i < judged.outputs.size(); ++i) {
      own.add(judged.outputs[i][k]);
      others.add(other.outputs[i][k]);
    }
    sum += clamped_db(own) - clamped_db(others);
  }
  return outputs == 0 ? 0 : sum / static_cast<double>(outputs);
}

double mean_of(const std::vector<double>& values) {
  double sum = 0;
  int64_t count = 0;
  for (const double value : values) {
    if (std::isnan(value)) continue;
    sum += value;
    ++count;
  }
  return count == 0 ? kMostDb : sum / static_cast<double>(count);
}

Lead lead_of(const std::vector<double>& values, const std::vector<double>& others) {
  ensure(values.size() == others.size(), "figures of the same samples");
  std::vector<double> differences;
  for (size_t i = 0; i < values.size(); ++i) {
    const double difference = values[i] - others[i];
    if (!std::isnan(difference)) differences.push_back(difference);
  }
  if (differences.empty()) return {};
  Lead lead{.mean = mean_of(differences), .error = std::numeric_limits<double>::infinity()};
  const auto count = static_cast<double>(differences.size());
  double squares = 0;
  for (const double difference : differences) squares += (difference - lead.mean) * (difference - lead.mean);
  if (differences.size() > 1) lead.error = std::sqrt(squares / (count - 1) / count);
  return lead;
}

}  // namespace narrow::apps
