#include "lib/report/gates.h"

#include <algorithm>
#include <cmath>

#include "lib/base/json_number.h"
#include "lib/report/report.h"

namespace narrow::report {
namespace {

std::optional<double> lowest(std::optional<double> so_far, double value) {
  // NaN is worse than any number.
  if (!so_far || std::isnan(value) || value < *so_far) return value;
  return so_far;
}

std::optional<double> measure(std::string_view gate, const Report& report) {
  if (gate == "max_size_ratio") {
    if (report.float_model.file_bytes == 0) return std::nullopt;
    return static_cast<double>(report.quantized_model.file_bytes) / static_cast<double>(report.float_model.file_bytes);
  }
  if (!report.validation) return std::nullopt;
  if (gate == "min_integer_macs") return report.validation->coverage.mac_share();
  std::optional<double> got;
  for (const validate::OutputComparison& output : report.validation->outputs) {
    if (gate == "min_sqnr_db") got = lowest(got, output.metrics.sqnr_db);
    if (gate == "min_agreement" && output.agreement) got = lowest(got, *output.agreement);
    if (gate == "max_top1_drop" && output.accuracy) {
      got = 100 * (output.accuracy->top1_float - output.accuracy->top1_quantized);
    }
  }
  return got;
}

}  // namespace

const std::vector<GateRow>& gate_table() {
  static const std::vector<GateRow> gates{
      {"max_top1_drop", "--max-top1-drop", true, "top-1 may fall by at most this many percentage points (needs labels)",
       &GateLimits::max_top1_drop, true},
      {"min_agreement", "--min-agreement", false, "share of samples whose top-1 must equal the float model's, 0 to 1",
       &GateLimits::min_agreement, false},
      {"min_sqnr_db", "--min-sqnr", false, "SQNR that every output must reach, in dB", &GateLimits::min_sqnr_db, false},
      {"min_integer_macs", "--min-integer-macs", false, "share of the MACs that must run on integer kernels, 0 to 1",
       &GateLimits::min_integer_macs, false},
      {"max_size_ratio", "--max-size-ratio", true, "size of the quantized file against the float file, at most",
       &GateLimits::max_size_ratio, false},
  };
  return gates;
}

bool GateLimits::any() const {
  const auto& rows = gate_table();
  return std::any_of(rows.begin(), rows.end(), [&](const GateRow& row) { return (this->*row.limit).has_value(); });
}

GateLimits read_gates(JsonObject& gates) {
  GateLimits limits;
  for (const GateRow& row : gate_table()) {
    const std::string key(row.name);
    if (gates.has(key)) {
      const auto limit = gates.get<double>(key);
      if (const auto problem = limit_problem(row, limit)) gates.fail(key, *problem);
      limits.*row.limit = limit;
    } else {
      gates.get_or<double>(key, 0);  // makes the name known, so that a misspelt one gets a suggestion
    }
  }
  gates.finish();
  return limits;
}

std::optional<std::string> limit_problem(const GateRow& row, double limit) {
  if (!std::isfinite(limit)) return fmt::format("{} is not a number", limit);
  const bool share = row.name == "min_agreement" || row.name == "min_integer_macs";
  if (share && (limit < 0 || limit > 1)) return fmt::format("{} is not a share from 0 to 1", limit);
  return std::nullopt;
}

std::string got_text(const Gate& gate, int digits) {
  if (!gate.got) return "not measured";
  return std::isnan(*gate.got) ? "not a number" : fmt::format("{:.{}g}", *gate.got, digits);
}

Json to_json(const Gate& gate) {
  return {{"name", gate.name},
          {"limit", gate.at_most ? "at_most" : "at_least"},
          {"wanted", gate.wanted},
          {"got", json_number(gate.got)},
          {"passed", gate.passed}};
}

Json to_json(const GateLimits& limits) {
  Json json = Json::object();
  for (const GateRow& row : gate_table()) {
    if (limits.*row.limit) json[std::string(row.name)] = *(limits.*row.limit);
  }
  return json;
}

std::vector<Gate> evaluate_gates(const GateLimits& limits, const Report& report) {
  std::vector<Gate> gates;
  for (const GateRow& row : gate_table()) {
    if (!(limits.*row.limit)) continue;
    Gate gate{.name = std::string(row.name),
              .at_most = row.at_most,
              .wanted = *(limits.*row.limit),
              .got = measure(row.name, report),
              .passed = false};
    gate.passed = gate.got && (row.at_most ? *gate.got <= gate.wanted : *gate.got >= gate.wanted);
    gates.push_back(gate);
  }
  return gates;
}

bool all_passed(const std::vector<Gate>& gates) {
  return std::all_of(gates.begin(), gates.end(), [](const Gate& gate) { return gate.passed; });
}

}  // namespace narrow::report
