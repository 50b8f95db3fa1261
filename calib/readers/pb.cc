// One TensorProto a file, as ONNX's own test data keep inputs.
#include "calib/readers/array_file.h"
#include "lib/base/error.h"
#include "lib/base/file.h"
#include "lib/graph/model.h"

namespace narrow::calib {

FileArray read_tensor_proto(const std::filesystem::path& path) {
  const MappedFile file(path);
  onnx::TensorProto proto;
  const auto bytes = file.bytes();
  constexpr size_t kMaxBytes = 0x7FFFFFFF;  // protobuf's limit
  if (bytes.empty() || bytes.size() > kMaxBytes ||
      !proto.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())) || proto.data_type() == 0) {
    throw Error(ErrorKind::kData, "{}: not an ONNX tensor", quoted(path));
  }
  if (proto.data_location() == onnx::TensorProto::EXTERNAL) {
    throw Error(ErrorKind::kData, "{}: the tensor is in another file, which is not supported", quoted(path));
  }
  try {
    const Tensor tensor = graph::embedded_tensor(proto);
    return {proto.name(), tensor.type(), tensor.shape(), tensor};
  } catch (const Error& error) {
    throw Error(ErrorKind::kData, "{}: {}", quoted(path), error.what());
  }
}

}  // namespace narrow::calib
