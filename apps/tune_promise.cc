#include "apps/tune_promise.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "apps/tune_samples.h"
#include "lib/report/format.h"

namespace narrow::apps {
namespace {

constexpr double kChance = 0.05;
constexpr double kBrokenByChance = 0.1;
constexpr double kMostExpectedShare = 0.5;
constexpr double kRounding = 1e-9;  // of a number of answers that is whole
constexpr int kHalvings = 40;
constexpr double kErrorsOfChance = 1.645;  // standard errors that a normal deviate exceeds as often

/// Answers that changed, counted against the limit. Texts say what is broken; nullopt: chance may have it so.
std::optional<std::string> broken_agreement(double limit, const validate::OutputComparison& output, int64_t samples) {
  if (!output.agreement || samples == 0) return std::nullopt;
  const auto changed = std::llround((1 - *output.agreement) * static_cast<double>(samples));
  if (binomial_tail(changed, samples, std::min(limit / 100, 1.0)) >= kChance) return std::nullopt;
  return fmt::format("{:.2f} points ({} answers)", 100 * (1 - *output.agreement), changed);
}

/// Answers that changed for the worse and for the better: only their difference counts, but both make its error.
std::optional<std::string> broken_top1(double limit, const validate::OutputComparison& output, int64_t samples) {
  if (!output.accuracy || samples == 0) return std::nullopt;
  const double lost = output.accuracy->top1_float - output.accuracy->top1_quantized;
  const double changed = std::max(output.agreement ? 1 - *output.agreement : 0, std::abs(lost));
  const double error = std::sqrt((changed - lost * lost) / static_cast<double>(samples));
  if (lost - kErrorsOfChance * error <= limit / 100) return std::nullopt;
  return fmt::format("{:.2f} points", 100 * lost);
}

std::optional<std::string> broken_cosine(double limit, const validate::Validation& evaluation) {
  double cosine = 1;
  for (const auto& output : evaluation.outputs) cosine = std::min(cosine, output.metrics.cosine);
  if (100 * (1 - cosine) <= limit) return std::nullopt;
  return fmt::format("{:.3g} points", 100 * (1 - cosine));
}

std::optional<std::string> broken_sqnr(double limit, const validate::Validation& evaluation) {
  double sum = 0;
  double unequal = 0;
  for (const auto& output : evaluation.outputs) {
    if (!std::isfinite(output.metrics.sqnr_db)) continue;
    sum += output.metrics.sqnr_db;
    ++unequal;
  }
  if (unequal == 0 || sum / unequal >= limit) return std::nullopt;
  return fmt::format("{:.2f} dB", sum / unequal);
}

std::optional<std::string> broken_answers(const TuneLimit& limit, const validate::Validation& evaluation) {
  for (const auto& output : evaluation.outputs) {
    const int64_t samples = evaluation.samples - output.not_comparable;
    auto broken = limit.lost == Lost::kTop1 ? broken_top1(limit.value, output, samples)
                                            : broken_agreement(limit.value, output, samples);
    if (broken) return broken;
  }
  return std::nullopt;
}

std::optional<std::string> broken(const TuneLimit& limit, const validate::Validation& evaluation) {
  if (limit.limit != tune::Limit::kSqnr && limit.limit != tune::Limit::kDrop) return std::nullopt;
  for (const auto& output : evaluation.outputs) {
    if (output.not_finite > 0) return fmt::format("'{}' has NaN or infinite results", output.name);
  }
  if (limit.limit == tune::Limit::kSqnr) return broken_sqnr(limit.value, evaluation);
  return limit.lost == Lost::kCosine ? broken_cosine(limit.value, evaluation) : broken_answers(limit, evaluation);
}

}  // namespace

double binomial_tail(int64_t events, int64_t count, double probability) {
  if (events <= 0 || probability >= 1) return 1;
  double tail = 0;
  for (int64_t k = events; k <= count; ++k) {
    const auto n = static_cast<double>(count);
    const auto x = static_cast<double>(k);
    tail += std::exp(std::lgamma(n + 1) - std::lgamma(x + 1) - std::lgamma(n - x + 1) + x * std::log(probability) +
                     (n - x) * std::log1p(-probability));
  }
  return std::min(tail, 1.0);
}

double expected_share(double limit, int64_t answers) {
  if (limit <= 0 || answers <= 0) return kMostExpectedShare;
  const auto count = static_cast<double>(answers);
  const auto allowed = static_cast<int64_t>(std::floor(std::min(limit / 100, 1.0) * count * (1 + kRounding)));
  double low = 0;
  double high = std::min(kMostExpectedShare * limit / 100, 1.0);
  if (binomial_tail(allowed + 1, answers, high) <= kBrokenByChance) return kMostExpectedShare;
  for (int halving = 0; halving < kHalvings; ++halving) {
    const double middle = (low + high) / 2;
    (binomial_tail(allowed + 1, answers, middle) <= kBrokenByChance ? low : high) = middle;
  }
  return 100 * low / limit;
}

std::optional<std::string> broken_promise(const TuneLimit& limit, const validate::Validation& evaluation) {
  const auto what = broken(limit, evaluation);
  if (!what) return std::nullopt;
  return fmt::format("the limit ({}) is broken on the evaluation's {}: {}; more samples in --data judge better",
                     limit_text(limit), report::plural(evaluation.samples, "sample"), *what);
}

std::string few_judges_text(const TuneLimit& limit, int64_t judges, int64_t new_judges) {
  return fmt::format(
      "{} of {} that judge the trials differ from each other and from those that calibrate, fewer than {}: {} on other "
      "data; give more samples in --data",
      new_judges, report::plural(judges, "sample"), kLeastJudges,
      tune::limits_price(limit.limit) ? "what is best on these may not be best"
                                      : fmt::format("the limit ({}) may not hold", limit_text(limit)));
}

}  // namespace narrow::apps
