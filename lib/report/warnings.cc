#include "lib/report/warnings.h"

#include <fmt/format.h>

#include "lib/report/format.h"

namespace narrow::report {
namespace {

constexpr double kLeastAgreement = 0.9;
constexpr double kLeastSqnrDb = 10;

std::string half_advice(std::optional<DataType> type) {
  if (!type) return {};
  const std::string keep = "keep the nodes whose values leave its range float32 (a rule with keep: \"float32\")";
  if (*type == DataType::kBfloat16) return ": " + keep;
  return ": float16 ends at 65504; " + keep + ", or take mode bfloat16";
}

}  // namespace

std::vector<std::string> not_finite_warnings(const Report& report) {
  std::vector<std::string> warnings;
  if (!report.validation) return warnings;
  for (const validate::OutputComparison& output : report.validation->outputs) {
    if (output.not_finite == 0) continue;
    warnings.push_back(fmt::format("output '{}': {} of {} are NaN or infinite where the float model's are finite{}",
                                   output.name, count_text(output.not_finite), plural(output.elements, "element"),
                                   half_advice(report.validation->half_type)));
  }
  return warnings;
}

std::vector<std::string> lost_warnings(const Report& report) {
  std::vector<std::string> warnings;
  if (!report.validation) return warnings;
  for (const validate::OutputComparison& output : report.validation->outputs) {
    const double sqnr_db = output.metrics.sqnr_db;
    const bool lost = output.agreement ? *output.agreement < kLeastAgreement : sqnr_db < kLeastSqnrDb;
    if (!lost) continue;
    const std::string agreement = output.agreement ? ", agreement " + percent_text(*output.agreement) : "";
    warnings.push_back(fmt::format(
        "output '{}': little is left of the float model (SQNR {} dB{}): give its layers more bits, or see narrow tune",
        output.name, number_text(sqnr_db, 1), agreement));
  }
  return warnings;
}

}  // namespace narrow::report
