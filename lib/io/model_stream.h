// Writes a model's protobuf tensor by tensor, so that no weight is in memory twice.
#pragma once

#include <cstdint>
#include <filesystem>
#include <vector>

#include "lib/base/file.h"
#include "lib/graph/model.h"

namespace narrow::io {

/// An initializer of the main graph as it is written.
struct WrittenTensor {
  enum class Form {
    kAsStored,  // as the model has it
    kHeader,    // `header`, and no elements
    kEmbedded,  // `header`, and the elements, which the model has in a file
  };
  const onnx::TensorProto* stored = nullptr;
  Form form = Form::kAsStored;
  onnx::TensorProto header = {};
  uint64_t bytes = 0;  // of the elements
};

/// Writes `model` with `initializers` in place of those of its main graph. They come last in the graph, the graph last
/// in the model, and elements last in a tensor, which protobuf allows. The model is taken apart meanwhile, and put
/// together again. Throws Error(kData), and Error(kModel) if it is too large.
void write_model(graph::Model& model, const std::vector<WrittenTensor>& initializers, AtomicFile& file,
                 const std::filesystem::path& path);

}  // namespace narrow::io
