// ONNX's shape inference, in our language of errors.
#pragma once

#include <string>
#include <string_view>

#include "lib/graph/onnx_api.h"

namespace narrow::graph {

/// ONNX reports in paragraphs; an error line is one line.
std::string one_line(std::string_view text);

/// Types and shapes of values as operators make them. What ONNX throws becomes Error(kModel), which names the node
/// where it is about one, such as a type that an attribute names and that there is not.
void infer_shapes(onnx::ModelProto& model, const onnx::ISchemaRegistry& schemas,
                  const onnx::ShapeInferenceOptions& options = onnx::ShapeInferenceOptions());

}  // namespace narrow::graph
