#pragma once

#include "lib/report/report.h"

namespace narrow::test {

/// A small report with one of everything, names that need escaping among it.
report::Report sample_report();

}  // namespace narrow::test
