// What a layer may become in a search, and the rules that make it so.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "lib/plan/rules.h"

namespace narrow::tune {

enum class Choice {
  kConfig,       // as the config says
  kInt4,         // the same with int4 weights
  kStoredInt16,  // computes in float32 on a weight stored as int16
  kStoredInt8,   // ... as int8
  kStoredInt4,   // ... as int4 in blocks
  kStoredInt2,   // ... as int2, a scale for each channel
  kFloat,        // float32
};

/// As tables and trails spell it.
std::string_view choice_name(Choice choice);
/// Throws Error(kUsage) for an unknown name.
Choice choice_from_name(std::string_view name);
std::vector<Choice> all_choices();
/// Computes in float32 on a weight in fewer bits.
bool is_stored(Choice choice);

/// The rules with one more for each layer whose choice is not kConfig. `nodes` and `choices` are of one length.
plan::Rules rules_for(const plan::Rules& base, const std::vector<std::string>& nodes,
                      const std::vector<Choice>& choices);

}  // namespace narrow::tune
