// What operators make in opsets from before ONNX had inference for them.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <utility>

#include "lib/graph/onnx_api.h"

namespace narrow::io {

/// What shape inference looks operators of old opsets up in: graph::schemas(), and where a version has no inference a
/// copy with that of the first later one that has, or with what the operator meant then. Only inference may use it;
/// what does not fit stays unknown.
class OldShapes final : public onnx::ISchemaRegistry {
 public:
  // NOLINTNEXTLINE(google-default-arguments): as the interface has it
  const onnx::OpSchema* GetSchema(const std::string& name, int newest, const std::string& domain = "") const override;

 private:
  mutable std::map<std::pair<std::string, int>, std::unique_ptr<onnx::OpSchema>> schemas_;  // by name and version
};

}  // namespace narrow::io
