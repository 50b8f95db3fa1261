#include "apps/bench.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <deque>
#include <filesystem>

#include "lib/base/median.h"
#include "lib/report/format.h"
#include "lib/validate/timed_runs.h"

namespace narrow::apps {
namespace {

constexpr int kWarmUpRuns = 3;
constexpr size_t kProfiledSteps = 20;

struct Measurement {
  explicit Measurement(const BenchSubject& subject) : runs(subject.runner->program, subject.feeds) {}

  validate::TimedRuns runs;
  double first_seconds = 0;
  std::vector<double> turns;  // their medians
};

class StepSums : public exec::StepTimer {
 public:
  void on_step(const exec::StepInfo& step, std::string_view implementation, double seconds) override {
    StepCost& cost = costs_[step.node];
    cost.node = step.node;
    cost.op_type = step.op_type;
    cost.implementation = implementation;
    cost.seconds += seconds;
  }

  std::vector<StepCost> sorted(int64_t runs) const {
    std::vector<StepCost> steps;
    for (const auto& [name, cost] : costs_) {
      steps.push_back(cost);
      steps.back().seconds /= static_cast<double>(runs);
    }
    std::stable_sort(steps.begin(), steps.end(), [](const auto& a, const auto& b) { return a.seconds > b.seconds; });
    return steps;
  }

 private:
  std::map<std::string, StepCost> costs_;
};

std::vector<StepCost> profile(validate::TimedRuns& runs) {
  constexpr int64_t kRuns = 20;
  StepSums sums;
  for (int64_t i = 0; i < kRuns; ++i) runs.run(&sums);
  return sums.sorted(kRuns);
}

BenchResult summarize(const BenchSubject& subject, const Measurement& measurement, const BenchOptions& options) {
  BenchResult result;
  result.path = subject.path;
  result.runtime = runtime_name(subject.runner->runtime);
  const double middle = median(measurement.turns);
  result.samples_per_second = static_cast<double>(options.batch) / middle;
  result.median_ms = 1e3 * middle;
  result.p95_ms = 1e3 * quantile(measurement.runs.latencies(), 0.95);
  result.first_ms = 1e3 * (subject.load_seconds + measurement.first_seconds);
  result.runs = static_cast<int64_t>(measurement.runs.latencies().size());
  return result;
}

report::Section profile_section(const BenchResult& result) {
  using report::Align;
  report::Table table{
      .columns = {{"node"}, {"operator"}, {"ms", Align::kRight}, {"share", Align::kRight}, {"implementation"}},
      .rows = {}};
  double all = 0;
  for (const StepCost& step : result.steps) all += step.seconds;
  for (const StepCost& step : result.steps) {
    if (table.rows.size() == kProfiledSteps) break;
    table.rows.push_back({step.node, step.op_type, fmt::format("{:.3f}", 1e3 * step.seconds),
                          report::percent_text(step.seconds / all), step.implementation});
  }
  return {fmt::format("{}: costliest {} of {} steps", result.path, table.rows.size(), result.steps.size()),
          {std::move(table)}};
}

}  // namespace

double quantile(std::vector<double> values, double q) {
  if (values.empty()) return std::nan("");
  std::sort(values.begin(), values.end());
  const double rank = std::ceil(q * static_cast<double>(values.size()));
  return values[std::min(values.size() - 1, static_cast<size_t>(std::max(rank, 1.0)) - 1)];
}

std::vector<BenchResult> bench(const std::vector<BenchSubject>& subjects, const BenchOptions& options) {
  std::deque<Measurement> measurements;
  for (const BenchSubject& subject : subjects) {
    Measurement& measurement = measurements.emplace_back(subject);
    measurement.first_seconds = measurement.runs.run();
    measurement.runs.warm_up();
    for (int run = 1; run < kWarmUpRuns; ++run) measurement.runs.run();
  }
  for (size_t turn = 0; turn < kBenchTurns; ++turn) {
    for (Measurement& measurement : measurements) {
      measurement.turns.push_back(measurement.runs.turn(turn, options.seconds / kBenchTurns));
    }
  }
  std::vector<BenchResult> results;
  for (size_t i = 0; i < subjects.size(); ++i) {
    results.push_back(summarize(subjects[i], measurements[i], options));
    if (options.profile) results.back().steps = profile(measurements[i].runs);
  }
  return results;
}

Json to_json(const std::vector<BenchResult>& results, const BenchOptions& options, const report::Versions& versions) {
  Json models = Json::array();
  for (const BenchResult& result : results) {
    Json entry{{"model", result.path},
               {"runtime", result.runtime},
               {"samples_per_second", result.samples_per_second},
               {"latency_ms", {{"median", result.median_ms}, {"p95", result.p95_ms}}},
               {"first_ms", result.first_ms},
               {"runs", result.runs}};
    for (const StepCost& step : result.steps) {
      entry["steps"].push_back({{"node", step.node},
                                {"op", step.op_type},
                                {"implementation", step.implementation},
                                {"ms", 1e3 * step.seconds}});
    }
    models.push_back(std::move(entry));
  }
  Json json{{"format", "narrow-bench"}, {"version", 1}, {"batch", options.batch}, {"threads", options.threads}};
  json["isa"] = versions.isa;
  json["onednn"] = versions.onednn;
  // One model is the common case of scripts: its figures stand at the top too.
  if (results.size() == 1) {
    json["samples_per_second"] = results[0].samples_per_second;
    json["latency_ms"] = {{"median", results[0].median_ms}, {"p95", results[0].p95_ms}};
  }
  json["models"] = std::move(models);
  return json;
}

report::Document to_document(const std::vector<BenchResult>& results, const BenchOptions& options,
                             const report::Versions& versions) {
  using report::Align;
  report::Document document;
  document.title =
      fmt::format("batch {}, {}, {}", options.batch, report::plural(options.threads, "thread"), versions.isa);
  report::Table table{.columns = {{"model"},
                                  {"runtime"},
                                  {"samples/s", Align::kRight},
                                  {"median ms", Align::kRight},
                                  {"p95 ms", Align::kRight},
                                  {"first ms", Align::kRight},
                                  {"ratio", Align::kRight}},
                      .rows = {}};
  for (const BenchResult& result : results) {
    table.rows.push_back({std::filesystem::path(result.path).filename().string(), result.runtime,
                          fmt::format("{:.1f}", result.samples_per_second), fmt::format("{:.3f}", result.median_ms),
                          fmt::format("{:.3f}", result.p95_ms), fmt::format("{:.1f}", result.first_ms),
                          fmt::format("{:.2f}", result.samples_per_second / results[0].samples_per_second)});
  }
  document.sections.push_back({"", {std::move(table)}});
  for (const BenchResult& result : results) {
    if (!result.steps.empty()) document.sections.push_back(profile_section(result));
  }
  return document;
}

}  // namespace narrow::apps
