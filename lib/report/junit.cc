#include <fmt/format.h>

#include <algorithm>

#include "lib/report/format.h"
#include "lib/report/report.h"

namespace narrow::report {
namespace {

std::string escape(std::string_view text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      default:
        // XML 1.0 has no other control characters.
        out += static_cast<unsigned char>(c) < 0x20 && c != '\t' && c != '\n' ? ' ' : c;
    }
  }
  return out;
}

std::string failure_text(const Gate& gate) {
  const std::string got = gate.got ? fmt::format("{:.6g}", *gate.got) : "not measured";
  return fmt::format("{}: {}, wanted at {} {:.6g}", gate.name, got, gate.at_most ? "most" : "least", gate.wanted);
}

}  // namespace

std::string render_junit(const Report& report) {
  const auto failures =
      std::count_if(report.gates.begin(), report.gates.end(), [](const Gate& gate) { return !gate.passed; });
  std::string out = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n";
  out += fmt::format("<testsuites>\n  <testsuite name=\"narrow {}\" tests=\"{}\" failures=\"{}\">\n", report.command,
                     report.gates.size(), failures);
  for (const Gate& gate : report.gates) {
    out += fmt::format("    <testcase classname=\"{}\" name=\"{}\"", escape(report.quantized_model.path), gate.name);
    if (gate.passed) {
      out += "/>\n";
    } else {
      out += fmt::format(">\n      <failure message=\"{}\"/>\n    </testcase>\n", escape(failure_text(gate)));
    }
  }
  return out + "  </testsuite>\n</testsuites>\n";
}

}  // namespace narrow::report
