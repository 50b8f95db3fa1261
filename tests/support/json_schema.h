// JSON Schema (draft 7), as much of it as configs/*.schema.json use.
#pragma once

#include <string>
#include <vector>

#include "lib/base/json.h"

namespace narrow::test {

/// What the schema says against the value, each with its path; empty if it is valid. Fails the test for a keyword that
/// is not known here, so that none is passed over.
std::vector<std::string> schema_violations(const Json& schema, const Json& value);

}  // namespace narrow::test
