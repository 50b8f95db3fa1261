// Speed and latency of models, measured in turn.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "apps/runner.h"
#include "lib/base/json.h"
#include "lib/exec/program.h"
#include "lib/report/document.h"
#include "lib/report/report.h"

namespace narrow::apps {

/// Turns of each model.
constexpr size_t kBenchTurns = 10;

struct BenchSubject {
  std::string path;
  const Runner* runner = nullptr;
  std::vector<exec::Feed> feeds;  // one for each turn
  double load_seconds = 0;        // reading, optimizing and compiling the model
};

struct BenchOptions {
  double seconds = 2;  // of measuring, for each model
  int64_t batch = 1;
  int threads = 1;
  bool profile = false;
};

struct StepCost {
  std::string node;
  std::string op_type;
  std::string implementation;
  double seconds = 0;  // of one run
};

struct BenchResult {
  std::string path;
  std::string runtime;
  double samples_per_second = 0;  // batch over the median latency
  double median_ms = 0;
  double p95_ms = 0;
  double first_ms = 0;  // from opening the model to its first result
  int64_t runs = 0;
  std::vector<StepCost> steps;  // with profile, costliest first
};

/// Short turns alternate between the models, so that a machine that drifts does so for all of them.
std::vector<BenchResult> bench(const std::vector<BenchSubject>& subjects, const BenchOptions& options);

/// Element [q * size] of the sorted values: the smallest that a share q of them does not exceed.
double quantile(std::vector<double> values, double q);

Json to_json(const std::vector<BenchResult>& results, const BenchOptions& options, const report::Versions& versions);
report::Document to_document(const std::vector<BenchResult>& results, const BenchOptions& options,
                             const report::Versions& versions);

}  // namespace narrow::apps
