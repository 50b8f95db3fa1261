// ONNX files in and out.
#pragma once

#include <cstdint>
#include <filesystem>
#include <vector>

#include "lib/graph/model.h"

namespace narrow::io {

/// Reads and checks a model: protobuf, ONNX's checker, strict shape inference (the result is in the model's value
/// infos). Throws Error(kData) when the file can not be read, Error(kModel) when it is empty, truncated, no protobuf or
/// not a valid model, Error(kUnsupported) for an operator or opset that ONNX does not know, each naming what is wrong.
/// Accepted as runtimes do, and put right: nodes out of order, inputs and outputs without shapes, initializers that are
/// no inputs in old files, sparse tensors (made dense, up to 1 GiB each).
graph::Model load_model(const std::filesystem::path& path);

/// The same from a proto made in memory (tests, rewrites); `folder` is where external data lies.
graph::Model check_model(onnx::ModelProto proto, const std::filesystem::path& folder = {});

/// Fills value infos by strict shape inference, replacing what was inferred before; dimensions that it can not know get
/// no name. Throws Error(kModel).
void infer_shapes(graph::Model& model);

struct SaveOptions {
  // Protobuf's own limit, less room for what surrounds the tensors.
  uint64_t largest_file = (uint64_t{1} << 31) - (uint64_t{1} << 24);
};

/// Writes the model, weight by weight; tensors still in external files are embedded while the file stays below 2 GB,
/// and go to "<file name>.data" beside it otherwise. Value infos that were inferred are left out, and put back
/// afterwards. Appears under its name only when complete. The same model gives the same bytes. Returns the files it
/// wrote, `path` first. Throws Error(kData).
std::vector<std::filesystem::path> save_model(graph::Model& model, const std::filesystem::path& path,
                                              const SaveOptions& options = {});
inline std::vector<std::filesystem::path> save_model(graph::Model&& model, const std::filesystem::path& path,
                                                     const SaveOptions& options = {}) {
  return save_model(model, path, options);
}

/// Bytes of the files that save_model would write, within what the padding of a data file adds.
int64_t saved_bytes(const graph::Model& model);

}  // namespace narrow::io
