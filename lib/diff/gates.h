// Thresholds on what changed between a stored baseline and a new result: the regression check of a CI.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "lib/base/json.h"
#include "lib/diff/diff.h"
#include "lib/report/gates.h"

namespace narrow::diff {

/// Figures of one file, by output; those of the whole file stand under "". Absent: not measured, or not of this kind.
using Figures = std::map<std::string, std::map<std::string, double>, std::less<>>;

Figures report_figures(const Json& report);
Figures model_figures(int64_t file_bytes);

/// As flags give them; absent: not asked for.
struct Limits {
  std::optional<double> accuracy_drop;   // percentage points of top-1
  std::optional<double> agreement_drop;  // percentage points
  std::optional<double> sqnr_drop;       // dB
  std::optional<double> size_growth;     // percent of the file
  std::optional<double> slowdown;        // percent of the time of a sample
  std::optional<double> changes;         // differences of any sort

  bool any() const;
};

/// One row per gate.
struct GateRow {
  std::string_view name;
  std::string_view flag;
  std::string_view unit;  // of the flag's value
  std::string_view help;
  std::optional<double> Limits::*limit;
};
const std::vector<GateRow>& gate_table();

/// Throws Error(kUsage) for a limit that is negative or not a number.
void check_limits(const Limits& limits);

struct Compared {
  const Diff& diff;
  const Figures& before;
  const Figures& after;
};

/// The asked gates in table order, each on the output that lost most. Throws Error(kUsage) where one of the files lacks
/// the figure: a regression check that measures nothing must not pass.
std::vector<report::Gate> evaluate_gates(const Limits& limits, const Compared& compared);

}  // namespace narrow::diff
