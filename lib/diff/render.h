// Differences for people and for programs.
#pragma once

#include <string>
#include <vector>

#include "lib/diff/diff.h"
#include "lib/report/document.h"
#include "lib/report/gates.h"
#include "lib/report/report.h"

namespace narrow::diff {

/// "2 of 42 layers changed, 1 value added", or "nothing changed".
std::string summary_text(const Diff& diff);

/// Groups in which nothing changed are left out.
report::Document to_document(const Diff& diff, const std::vector<report::Gate>& gates);

std::string render(const Diff& diff, const std::vector<report::Gate>& gates, report::ReportFormat format);

}  // namespace narrow::diff
