// What a model needs that uses operators of com.microsoft.
#pragma once

#include <string_view>

#include "lib/graph/model.h"

namespace narrow::rewrite {

inline constexpr std::string_view kMicrosoftDomain = "com.microsoft";

/// Adds the domain to the model's imports, and has the types of what its operators make saved: nobody infers them.
void import_microsoft(graph::Model& model);

}  // namespace narrow::rewrite
