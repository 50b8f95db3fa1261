#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "lib/base/file.h"
#include "lib/graph/onnx_proto.h"
#include "lib/tensor/tensor.h"

namespace narrow::graph {

/// A piece of a file.
struct ExternalRange {
  std::string location;  // relative to the model's folder
  uint64_t offset = 0;   // bytes
  uint64_t length = 0;   // bytes
};

/// Marks a tensor as stored there; what the proto held of it before is the caller's to clear.
void set_external(onnx::TensorProto& tensor, const ExternalRange& range);

/// The files beside a model that hold its large tensors, mapped on first use. Thread-safe.
class ExternalData {
 public:
  /// `folder`: where the model lies. Locations that leave it (absolute, "..") are refused; links in it are followed.
  explicit ExternalData(std::filesystem::path folder) : folder_(std::move(folder)) {}

  /// A read-only tensor over the mapped file; it keeps the mapping alive. Throws Error(kModel) naming the tensor when
  /// the location, offset or length is wrong, Error(kData) when the file can not be read.
  Tensor tensor(const onnx::TensorProto& initializer) const;

  /// Lets what is mapped leave memory; it comes back from the files when it is read again.
  void release() const;

  /// `location` names this mapping from now on: the model's own file, whose tensors stay in it.
  void adopt(const std::string& location, std::shared_ptr<const MappedFile> file);

 private:
  std::shared_ptr<const MappedFile> file(const std::string& location) const;

  std::filesystem::path folder_;
  mutable std::mutex mutex_;
  mutable std::map<std::string, std::shared_ptr<const MappedFile>> files_;
};

}  // namespace narrow::graph
