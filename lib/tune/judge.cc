#include "lib/tune/judge.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "lib/base/error.h"
#include "lib/base/parallel.h"
#include "lib/base/progress.h"
#include "lib/exec/float_program.h"
#include "lib/runtime/lower.h"
#include "lib/tune/each_sample.h"
#include "lib/tune/scores.h"
#include "lib/tune/standard_error.h"
#include "lib/validate/compare.h"
#include "lib/validate/scores.h"

namespace narrow::tune {

namespace {

constexpr double kMostDecibels = 10;  // that one sample may count: what is left may have no error at all
constexpr double kInfinity = std::numeric_limits<double>::infinity();

/// What is NaN or infinite where the float model's output is not is like nothing.
double cosine_of(const ErrorStatistics& output) {
  return output.not_finite() > 0 ? 0 : output.cosine();
}

/// Mean over the outputs that differ.
double mean_sqnr(const std::vector<ErrorStatistics>& outputs) {
  double sum = 0;
  int64_t unequal = 0;
  for (const ErrorStatistics& output : outputs) {
    if (output.sqnr_db() == kInfinity) continue;
    sum += output.sqnr_db();
    ++unequal;
  }
  return unequal == 0 ? kInfinity : sum / static_cast<double>(unequal);
}

}  // namespace

struct Judge::SampleResult {
  std::vector<ErrorStatistics> outputs;
  std::vector<validate::Agreement> agreements;
  std::vector<std::vector<RankedScores>> ranked;  // by output
};

Judge::Judge(const graph::Model& float_model, const validate::Samples& samples, int workers)
    : feeds_(static_cast<size_t>(samples.count)),
      reference_(static_cast<size_t>(samples.count)),
      labels_(samples.labels),
      workers_(workers) {
  const exec::Program program = exec::compile_float(float_model);
  outputs_ = program.output_names();
  each_sample(samples.count, workers_, [&](size_t sample, Workspace& workspace) {
    feeds_[sample] = samples.read(static_cast<int64_t>(sample));
    reference_[sample] = program.run(feeds_[sample], workspace);
  });
  for (size_t i = 0; i < outputs_.size(); ++i) {
    const bool rows = !reference_.empty() && validate::score_rows(reference_.front()[i]).has_value();
    scores_.push_back(rows && (labels_.has_value() || validate::makes_scores(float_model, outputs_[i])));
  }
}

Judge::SampleResult Judge::compare(size_t sample, const std::vector<Tensor>& actual) const {
  SampleResult result;
  for (size_t i = 0; i < outputs_.size(); ++i) {
    const Tensor& x = reference_[sample][i];
    const auto statistics = validate::compare(outputs_[i], x, actual[i]);
    result.outputs.push_back(statistics.value_or(ErrorStatistics{}));
    result.agreements.emplace_back();
    result.ranked.emplace_back();
    if (!scores_[i]) continue;
    result.agreements.back() = validate::agreement(x, actual[i]).value_or(validate::Agreement{});
    result.ranked.back() = ranked_scores(x, actual[i], labels_ ? std::optional((*labels_)[sample]) : std::nullopt);
  }
  return result;
}

bool Judge::has_scores() const {
  return std::find(scores_.begin(), scores_.end(), true) != scores_.end();
}

int64_t Judge::answers() const {
  std::optional<int64_t> least;
  for (size_t i = 0; i < outputs_.size(); ++i) {
    if (!scores_[i]) continue;
    int64_t rows = 0;
    for (const auto& outputs : reference_) {
      if (const auto scores = validate::score_rows(outputs[i])) rows += scores->rows();
    }
    least = std::min(least.value_or(rows), rows);
  }
  return least.value_or(0);
}

Quality Judge::measure(const graph::Model& quantized) const {
  const runtime::LoweredModel lowered = runtime::lower(quantized);
  std::vector<SampleResult> results(feeds_.size());
  each_sample(samples(), workers_, [&](size_t sample, Workspace& workspace) {
    results[sample] = compare(sample, lowered.program.run(feeds_[sample], workspace));
  });
  return sum(results);
}

Quality Judge::sum(const std::vector<SampleResult>& results) const {
  Quality quality;
  std::vector<ErrorStatistics> whole;                                // by output
  std::vector<std::vector<ErrorStatistics>> without(feeds_.size());  // by sample that is left out, then output
  double most_cosine_drop = 0;
  for (size_t i = 0; i < outputs_.size(); ++i) {
    ErrorStatistics statistics;
    validate::Agreement agreed;
    std::vector<RankedScores> rows;
    std::vector<ErrorStatistics> samples;
    for (size_t sample = 0; sample < results.size(); ++sample) {
      const SampleResult& result = results[sample];
      samples.push_back(result.outputs[i]);
      statistics.add(result.outputs[i]);
      agreed.rows += result.agreements[i].rows;
      agreed.equal += result.agreements[i].equal;
      for (RankedScores row : result.ranked[i]) {
        row.sample = sample;
        rows.push_back(row);
      }
    }
    const double cosine = cosine_of(statistics);
    quality.cosine = std::min(quality.cosine, cosine);
    whole.push_back(statistics);
    std::vector<double> losses;
    const std::vector<ErrorStatistics> others = without_each(samples);
    for (size_t sample = 0; sample < others.size(); ++sample) {
      without[sample].push_back(others[sample]);
      losses.push_back(1 - cosine_of(others[sample]));
    }
    const double loss = std::max(1 - cosine, 0.0);  // rounding may leave the cosine above 1
    most_cosine_drop = std::max(most_cosine_drop, 100 * (loss + kSureErrors * jackknife_error(loss, losses, loss)));
    if (agreed.rows == 0) continue;
    const double agreement = static_cast<double>(agreed.equal) / static_cast<double>(agreed.rows);
    const ExpectedAnswers expected = expected_answers(rows);
    quality.agreement = std::min(quality.agreement.value_or(1), agreement);
    const MostLost most = most_lost(rows);
    int64_t lost = agreed.rows - agreed.equal;
    double expected_loss = 1 - expected.agreement;
    if (labels_) {
      lost = 0;
      for (const RankedScores& row : rows) {
        const bool hit = static_cast<int>(answer(row, row)) == row.label_rank;
        lost += (row.label_rank == 0 ? 1 : 0) - (hit ? 1 : 0);
      }
      expected_loss = expected.float_hits - expected.hits;
    }
    quality.drop = std::max(quality.drop, 100.0 * static_cast<double>(lost) / static_cast<double>(agreed.rows));
    quality.expected_drop = std::max(quality.expected_drop, 100 * expected_loss);
    quality.most_drop = std::max(quality.most_drop, 100 * (labels_ ? most.hits : most.changed));
  }
  quality.sqnr_db = mean_sqnr(whole);
  std::vector<double> sqnrs;
  for (const auto& outputs : without) sqnrs.push_back(mean_sqnr(outputs));
  quality.sqnr_error = jackknife_error(quality.sqnr_db, sqnrs, kMostDecibels);
  if (!quality.agreement) {
    quality.expected_drop = quality.drop = 100 * (1 - quality.cosine);
    quality.most_drop = most_cosine_drop;
  }
  return quality;
}

}  // namespace narrow::tune
