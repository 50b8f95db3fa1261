// Thresholds that decide whether a result is good enough to ship.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "lib/base/json.h"

namespace narrow::report {

struct Report;

/// As configs and flags give them; absent: not asked for.
struct GateLimits {
  std::optional<double> max_top1_drop;     // percentage points that top-1 may fall below the float model's
  std::optional<double> min_agreement;     // share in [0, 1], of every output that holds scores
  std::optional<double> min_sqnr_db;       // of every output
  std::optional<double> min_integer_macs;  // share in [0, 1]
  std::optional<double> max_size_ratio;    // quantized file / float file

  bool any() const;
};

/// One row per gate: name in configs and reports, flag, and where its limit is kept.
struct GateRow {
  std::string_view name;
  std::string_view flag;
  bool at_most;  // else at least
  std::string_view help;
  std::optional<double> GateLimits::*limit;
  bool needs_labels;
};
const std::vector<GateRow>& gate_table();

/// Why no result could be meant by the limit: it is not finite, or a share outside [0, 1].
std::optional<std::string> limit_problem(const GateRow& row, double limit);

struct Gate {
  std::string name;
  bool at_most = false;
  double wanted = 0;
  std::optional<double> got;  // absent: not measured, which fails
  bool passed = false;
};

/// What was measured, as people read it: "12.34", "not a number", "not measured".
std::string got_text(const Gate& gate, int digits);

Json to_json(const Gate& gate);

/// Reads the config's "gates" object. Throws Error(kUsage) with the path of what is wrong.
GateLimits read_gates(JsonObject& gates);
Json to_json(const GateLimits& limits);

/// The asked gates in table order, judged on what the report measured.
std::vector<Gate> evaluate_gates(const GateLimits& limits, const Report& report);
bool all_passed(const std::vector<Gate>& gates);

}  // namespace narrow::report
