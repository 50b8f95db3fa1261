#include "lib/diff/gates.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "lib/base/json_number.h"

namespace narrow::diff {
namespace {

constexpr std::string_view kAccuracy = "top-1";
constexpr std::string_view kAgreement = "agreement";
constexpr std::string_view kSqnr = "SQNR";
constexpr std::string_view kSize = "file size";
constexpr std::string_view kSpeed = "speed";

/// What a gate measures, and what a file without it was made without.
struct Measure {
  std::optional<double> Limits::*limit;
  std::string_view figure;
  std::string_view missing;
  double (*loss)(double before, double after);
};

double points(double before, double after) {
  return 100 * (before - after);
}

double decibel(double before, double after) {
  return before == after ? 0 : before - after;  // both may be infinite
}

double growth(double before, double after) {
  return 100 * (after / before - 1);
}

double slowdown(double before, double after) {
  return 100 * (before / after - 1);  // of the time: these are samples per second
}

const std::vector<Measure>& measures() {
  static const std::vector<Measure> rows{
      {&Limits::accuracy_drop, kAccuracy, "it was made without --labels", points},
      {&Limits::agreement_drop, kAgreement, "no output holds class scores, or nothing was validated", points},
      {&Limits::sqnr_drop, kSqnr, "nothing was validated", decibel},
      {&Limits::size_growth, kSize, "only reports and models have one", growth},
      {&Limits::slowdown, kSpeed, "it was made with --no-speed", slowdown},
  };
  return rows;
}

void take(const Json& object, const char* field, std::string_view figure, const std::string& output, Figures& figures) {
  const auto found = object.find(field);
  if (found == object.end() || found->is_null()) return;
  figures[std::string(figure)][output] = number_from_json(*found);
}

const Json& at(const Json& json, const char* pointer) {
  static const Json nothing = Json::object();
  const Json::json_pointer where(pointer);
  if (!json.contains(where) || json.at(where).is_null()) return nothing;
  return json.at(where);
}

double worst(const Measure& measure, const Compared& compared) {
  const auto find = [&](const Figures& figures, const std::string& file) -> const std::map<std::string, double>& {
    const auto found = figures.find(measure.figure);
    if (found != figures.end()) return found->second;
    throw Error(ErrorKind::kUsage, "'{}' has no {} to compare: {}", file, measure.figure, measure.missing);
  };
  const auto& before = find(compared.before, compared.diff.before);
  const auto& after = find(compared.after, compared.diff.after);
  double loss = -HUGE_VAL;
  for (const auto& [output, was] : before) {
    const auto is = after.find(output);
    if (is == after.end()) {
      throw Error(ErrorKind::kUsage, "'{}' has no {} of output '{}'", compared.diff.after, measure.figure, output);
    }
    const double one = measure.loss(was, is->second);
    if (std::isnan(one) || one > loss) loss = one;
    if (std::isnan(loss)) break;
  }
  return loss;
}

}  // namespace

Figures report_figures(const Json& report) {
  Figures figures;
  for (const Json& output : at(report, "/validation/outputs")) {
    const std::string name = output.value("name", "");
    take(output, "top1_quantized", kAccuracy, name, figures);
    take(output, "agreement", kAgreement, name, figures);
    take(output, "sqnr_db", kSqnr, name, figures);
  }
  take(at(report, "/quantized_model"), "file_bytes", kSize, "", figures);
  take(at(report, "/validation/speed"), "integer_samples_per_second", kSpeed, "", figures);
  return figures;
}

Figures model_figures(int64_t file_bytes) {
  Figures figures;
  figures[std::string(kSize)][""] = static_cast<double>(file_bytes);
  return figures;
}

bool Limits::any() const {
  const auto& rows = gate_table();
  return std::any_of(rows.begin(), rows.end(), [&](const GateRow& row) { return (this->*row.limit).has_value(); });
}

const std::vector<GateRow>& gate_table() {
  static const std::vector<GateRow> rows{
      {"max_accuracy_drop", "--max-accuracy-drop", "POINTS", "percentage points of top-1 that B may be below A",
       &Limits::accuracy_drop},
      {"max_agreement_drop", "--max-agreement-drop", "POINTS",
       "percentage points of agreement with the float model that B may be below A", &Limits::agreement_drop},
      {"max_sqnr_drop", "--max-sqnr-drop", "DB", "SQNR that an output of B may be below A's", &Limits::sqnr_drop},
      {"max_size_growth", "--max-size-growth", "PERCENT", "B's model file may be larger than A's",
       &Limits::size_growth},
      {"max_slowdown", "--max-slowdown", "PERCENT", "B may take longer for a sample than A", &Limits::slowdown},
      {"max_changes", "--max-changes", "N", "differences of any sort; 0: nothing may have changed", &Limits::changes},
  };
  return rows;
}

void check_limits(const Limits& limits) {
  for (const GateRow& row : gate_table()) {
    const std::optional<double>& limit = limits.*row.limit;
    if (!limit || (std::isfinite(*limit) && *limit >= 0)) continue;
    throw Error(ErrorKind::kUsage, "{}: {} is not a number from 0 on", row.flag, *limit);
  }
}

std::vector<report::Gate> evaluate_gates(const Limits& limits, const Compared& compared) {
  std::vector<report::Gate> gates;
  for (const GateRow& row : gate_table()) {
    if (!(limits.*row.limit)) continue;
    const auto measure =
        std::find_if(measures().begin(), measures().end(), [&](const Measure& m) { return m.limit == row.limit; });
    const double got = measure == measures().end()
                           ? static_cast<double>(compared.diff.differences())
                           : in_context(fmt::format("gate {}", row.name), [&] { return worst(*measure, compared); });
    const double wanted = *(limits.*row.limit);
    gates.push_back(
        {.name = std::string(row.name), .at_most = true, .wanted = wanted, .got = got, .passed = got <= wanted});
  }
  return gates;
}

}  // namespace narrow::diff
