#include <fmt/format.h>

#include <algorithm>

#include "lib/report/escape.h"
#include "lib/report/format.h"
#include "lib/report/report.h"

namespace narrow::report {
namespace {

std::string failure_text(const Gate& gate) {
  return fmt::format("{}: {}, wanted at {} {:.6g}", gate.name, got_text(gate, 6), gate.at_most ? "most" : "least",
                     gate.wanted);
}

}  // namespace

std::string render_junit(const GateSuite& suite, const std::vector<Gate>& gates) {
  const auto failures = std::count_if(gates.begin(), gates.end(), [](const Gate& gate) { return !gate.passed; });
  std::string out = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n";
  out += fmt::format("<testsuites>\n  <testsuite name=\"{}\" tests=\"{}\" failures=\"{}\">\n",
                     escape_markup(suite.name), gates.size(), failures);
  for (const Gate& gate : gates) {
    out += fmt::format("    <testcase classname=\"{}\" name=\"{}\"", escape_markup(suite.subject), gate.name);
    if (gate.passed) {
      out += "/>\n";
    } else {
      out += fmt::format(">\n      <failure message=\"{}\"/>\n    </testcase>\n", escape_markup(failure_text(gate)));
    }
  }
  return out + "  </testsuite>\n</testsuites>\n";
}

}  // namespace narrow::report
