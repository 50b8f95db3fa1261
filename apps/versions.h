#pragma once

#include <string>

#include "lib/report/report.h"

namespace narrow::apps {

report::Versions versions();
/// For `narrow --version`.
std::string version_text();

}  // namespace narrow::apps
