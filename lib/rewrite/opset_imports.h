// The domains whose operators a model may use.
#pragma once

#include <string_view>

#include "lib/graph/model.h"

namespace narrow::rewrite {

inline constexpr std::string_view kMicrosoftDomain = "com.microsoft";

/// Adds the domain to the model's imports if it is not there.
inline void import_microsoft(graph::Model& model) {
  if (model.opset(kMicrosoftDomain) > 0) return;
  onnx::OperatorSetIdProto& import = *model.mutable_proto().add_opset_import();
  import.set_domain(std::string(kMicrosoftDomain));
  import.set_version(1);
}

}  // namespace narrow::rewrite
