// ONNX's operator schemas, each made when it is first asked for.
#pragma once

#include "lib/graph/onnx_api.h"

namespace narrow::graph {

/// What ONNX's checker and shape inference look operators up in. ONNX's own registry makes all its schemas at the first
/// question, which takes longer than to run most models; this one has the same schemas, but makes only those that
/// models use. It also has what onnxruntime keeps in ONNX's domain, which its fused models hold. Thread-safe; a schema
/// lives as long as the program.
const onnx::ISchemaRegistry& schemas();

/// The same for ONNX's checker, which refuses operators that are deprecated: these have here a schema that asks of
/// nodes what theirs does, and is not deprecated. Files carry them (GroupNormalization of opset 18), and their text
/// says what they compute.
const onnx::ISchemaRegistry& checker_schemas();

/// The newest version of the node's operator that is not newer than `opset`, or nullptr if there is none.
const onnx::OpSchema* find_schema(const onnx::NodeProto& node, int opset);

}  // namespace narrow::graph
