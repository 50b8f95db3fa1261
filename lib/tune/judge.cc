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
#include "lib/validate/compare.h"
#include "lib/validate/scores.h"

namespace narrow::tune {

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
  double sqnr = 0;
  int64_t unequal = 0;
  for (size_t i = 0; i < outputs_.size(); ++i) {
    ErrorStatistics statistics;
    validate::Agreement agreed;
    std::vector<RankedScores> rows;
    for (const SampleResult& result : results) {
      statistics.add(result.outputs[i]);
      agreed.rows += result.agreements[i].rows;
      agreed.equal += result.agreements[i].equal;
      rows.insert(rows.end(), result.ranked[i].begin(), result.ranked[i].end());
    }
    quality.cosine = std::min(quality.cosine, statistics.cosine());
    if (statistics.sqnr_db() != std::numeric_limits<double>::infinity()) {
      sqnr += statistics.sqnr_db();
      ++unequal;
    }
    if (agreed.rows == 0) continue;
    const double agreement = static_cast<double>(agreed.equal) / static_cast<double>(agreed.rows);
    const ExpectedAnswers expected = expected_answers(rows);
    quality.agreement = std::min(quality.agreement.value_or(1), agreement);
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
  }
  quality.sqnr_db = unequal == 0 ? std::numeric_limits<double>::infinity() : sqnr / static_cast<double>(unequal);
  if (!quality.agreement) quality.expected_drop = quality.drop = 100 * (1 - quality.cosine);
  return quality;
}

}  // namespace narrow::tune
