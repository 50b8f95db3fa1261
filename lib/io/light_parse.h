// Parsing a model without copying its weights.
#pragma once

#include <filesystem>
#include <memory>
#include <vector>

#include "lib/base/file.h"
#include "lib/graph/model.h"

namespace narrow::io {

/// Where the elements of one initializer lie in the model's own file.
struct Payload {
  int initializer = 0;  // index in the main graph
  uint64_t offset = 0;  // bytes
  uint64_t length = 0;  // bytes
};

/// A parsed model whose large initializers have empty raw_data, and where their elements are.
struct LightModel {
  onnx::ModelProto proto;
  std::vector<Payload> payloads;
};

/// Throws Error(kModel) when the file is empty, truncated or no protobuf.
LightModel parse_light(const MappedFile& file);

/// The same with each emptied initializer replaced by a small one, for checks that want every tensor to hold something.
onnx::ModelProto with_placeholders(const LightModel& light);

/// The payloads become external data at `location`, so that copies of the model share them and none is in memory
/// before it is read. Throws Error(kModel) naming the tensor whose shape and type need another length.
void attach_payloads(onnx::ModelProto& proto, const std::vector<Payload>& payloads, const std::string& location);

}  // namespace narrow::io
