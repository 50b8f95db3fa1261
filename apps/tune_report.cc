#include "apps/tune_report.h"

#include <fmt/format.h>

#include <algorithm>

#include "lib/tune/scores.h"

namespace narrow::apps {
namespace {

report::TuneTrial trial_facts(const tune::Space& space, const tune::Trial& trial) {
  report::TuneTrial facts{.step = trial.step,
                          .file_bytes = trial.measurement.bytes,
                          .seconds = trial.measurement.seconds,
                          .integer_macs = 1,
                          .sqnr_db = trial.measurement.quality.sqnr_db,
                          .sqnr_error = trial.measurement.quality.sqnr_error,
                          .agreement = trial.measurement.quality.agreement,
                          .drop = trial.measurement.quality.drop,
                          .expected_drop = trial.measurement.quality.expected_drop,
                          .most_drop = trial.measurement.quality.most_drop,
                          .changed = {},
                          .kept = trial.kept};
  double integer = 0;
  for (size_t i = 0; i < space.items.size(); ++i) {
    const tune::Item& item = space.items[i];
    const tune::Choice choice = trial.choices[i];
    if (choice != tune::Choice::kConfig) {
      facts.changed.push_back(fmt::format("{}: {}", item.node, tune::choice_name(choice)));
    }
    const auto option = std::find_if(item.options.begin(), item.options.end(),
                                     [&](const tune::Option& other) { return other.choice == choice; });
    if (option != item.options.end() && option->on_integers) integer += item.macs;
  }
  if (space.macs > 0) facts.integer_macs = integer / space.macs;
  return facts;
}

}  // namespace

std::string lost_text(Lost lost) {
  switch (lost) {
    case Lost::kTop1:
      return "top-1";
    case Lost::kAgreement:
      return "agreement";
    case Lost::kCosine:
      return "cosine similarity";
  }
  return "";
}

std::string limit_text(const TuneLimit& limit) {
  switch (limit.limit) {
    case tune::Limit::kDrop:
      return fmt::format("at most {:g} points of {} lost", limit.value, lost_text(limit.lost));
    case tune::Limit::kSqnr:
      return fmt::format("SQNR at least {:g} dB", limit.value);
    case tune::Limit::kBytes:
      return fmt::format("file at most {:g} of the float model's", limit.value);
    case tune::Limit::kSeconds:
      return limit.speedup ? fmt::format("at least {:g} times as fast as the float model", limit.value)
                           : fmt::format("one run in at most {:g} ms", limit.value);
  }
  return "";
}

std::string nearest_text(const TuneLimit& limit, const tune::Measurement& reached, const FloatCosts& float_model) {
  const tune::Quality& quality = reached.quality;
  switch (limit.limit) {
    case tune::Limit::kDrop:
      return fmt::format(
          "{:.3g} points lost, {:.3g} expected (of which at most half the limit is let pass, less of few samples), up "
          "to {:.3g} on other "
          "samples",
          quality.drop, quality.expected_drop, quality.most_drop);
    case tune::Limit::kSqnr:
      return fmt::format("{:.2f} dB, with a standard error of {:.2f} (of which {:g} are kept away from the limit)",
                         quality.sqnr_db, quality.sqnr_error, tune::kSureErrors);
    case tune::Limit::kBytes:
      return fmt::format("{:.4f} of the float model's file",
                         static_cast<double>(reached.bytes) / static_cast<double>(float_model.bytes));
    case tune::Limit::kSeconds:
      return limit.speedup ? fmt::format("{:.3f} times", float_model.seconds / reached.seconds.value())
                           : fmt::format("{:.4g} ms", 1e3 * reached.seconds.value());
  }
  return "";
}

report::TuneFacts tune_facts(const TuneResults& results) {
  report::TuneFacts facts{.limit = limit_text(results.limit),
                          .lost = lost_text(results.limit.lost),
                          .kept = results.found.kept,
                          .interrupted = results.found.interrupted,
                          .samples = results.samples,
                          .new_samples = results.new_samples,
                          .trials = {},
                          .chosen = results.found.best,
                          .sensitivity = {}};
  for (const tune::Trial& trial : results.found.trials) facts.trials.push_back(trial_facts(results.space, trial));
  for (const auto& [key, effect] : results.sensitivity) {
    facts.sensitivity.push_back(
        {.rounded = key, .sqnr_db = effect.sqnr_db(), .divergence = effect.divergence, .agreement = effect.agreement});
  }
  std::stable_sort(facts.sensitivity.begin(), facts.sensitivity.end(),
                   [](const auto& a, const auto& b) { return a.sqnr_db < b.sqnr_db; });
  return facts;
}

}  // namespace narrow::apps
