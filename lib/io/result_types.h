// What operators make of which ONNX has no inference: those of com.microsoft, and some of ai.onnx.ml.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <utility>

#include "lib/graph/onnx_api.h"
#include "lib/graph/onnx_proto.h"

namespace narrow::io {

/// What shape inference looks operators up in: graph::schemas(), and for the operators above schemas that know the
/// types of results, and shapes where those follow from shapes. Only inference may use it: such a schema takes any
/// number of inputs of any type. A function of the model with an operator's name is left to be followed.
class ResultTypes final : public onnx::ISchemaRegistry {
 public:
  explicit ResultTypes(const onnx::ModelProto& model);

  // NOLINTNEXTLINE(google-default-arguments): as the interface has it
  const onnx::OpSchema* GetSchema(const std::string& name, int newest, const std::string& domain = "") const override;

 private:
  std::map<std::pair<std::string, std::string>, std::unique_ptr<onnx::OpSchema>> schemas_;  // by domain and name
};

}  // namespace narrow::io
