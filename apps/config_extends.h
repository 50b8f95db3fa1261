#pragma once

#include <string>

#include "lib/base/json.h"

namespace narrow::apps {

/// A config file with the files that it "extends" (paths relative to it) put below it: objects are merged key by key,
/// rules come behind those of the base, anything else replaces what the base says. Throws Error(kUsage) for what is no
/// path, and for files that extend each other.
Json read_extended(const std::string& path);

}  // namespace narrow::apps
