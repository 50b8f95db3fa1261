#include <optional>

#include "lib/base/error.h"
#include "lib/base/file.h"
#include "lib/graph/traverse.h"
#include "lib/io/load.h"

namespace narrow::io {
namespace {

// Protobuf's own limit, less room for what surrounds the tensors.
constexpr uint64_t kLargestFile = (uint64_t{1} << 31) - (uint64_t{1} << 24);

void set_entry(onnx::TensorProto& tensor, const std::string& key, const std::string& value) {
  auto* entry = tensor.add_external_data();
  entry->set_key(key);
  entry->set_value(value);
}

bool is_external(const onnx::TensorProto& tensor) {
  return tensor.data_location() == onnx::TensorProto::EXTERNAL;
}

void embed(const graph::Model& model, onnx::TensorProto& tensor) {
  const Tensor value = model.tensor(tensor);
  tensor.clear_external_data();
  tensor.clear_data_location();
  tensor.set_raw_data(value.bytes(), value.byte_size());
}

/// Appends tensors to the data file at offsets of whole pages, so that readers can map them.
class DataFile {
 public:
  explicit DataFile(const std::filesystem::path& path) : file_(path), name_(path.filename().string()) {}

  void move_out(const graph::Model& model, onnx::TensorProto& tensor) {
    constexpr uint64_t kPage = 4096;
    const Tensor value = model.tensor(tensor);
    const uint64_t start = (offset_ + kPage - 1) / kPage * kPage;
    file_.write(std::string(start - offset_, '\0'));
    file_.write(std::span(value.bytes(), value.byte_size()));
    offset_ = start + value.byte_size();
    tensor.clear_raw_data();
    tensor.clear_external_data();
    tensor.set_data_location(onnx::TensorProto::EXTERNAL);
    set_entry(tensor, "location", name_);
    set_entry(tensor, "offset", std::to_string(start));
    set_entry(tensor, "length", std::to_string(value.byte_size()));
  }
  void commit() { file_.commit(); }

 private:
  AtomicFile file_;
  std::string name_;
  uint64_t offset_ = 0;
};

uint64_t embedded_size(onnx::ModelProto& proto) {
  uint64_t size = proto.ByteSizeLong();
  graph::for_each_tensor(*proto.mutable_graph(), [&](const onnx::TensorProto& tensor) {
    if (!is_external(tensor)) return;
    const Shape shape(tensor.dims().begin(), tensor.dims().end());
    size += storage_bytes(static_cast<DataType>(tensor.data_type()), element_count(shape));
  });
  return size;
}

}  // namespace

void save_model(const graph::Model& model, const std::filesystem::path& path) {
  onnx::ModelProto proto = model.proto();
  std::optional<DataFile> data;
  if (embedded_size(proto) > kLargestFile) data.emplace(path.string() + ".data");
  constexpr size_t kSmall = 1024;  // shapes and scalars stay where every reader finds them
  graph::for_each_tensor(*proto.mutable_graph(), [&](onnx::TensorProto& tensor) {
    if (data && (is_external(tensor) || tensor.raw_data().size() > kSmall)) {
      data->move_out(model, tensor);
    } else if (is_external(tensor)) {
      embed(model, tensor);
    }
  });
  std::string bytes;
  if (!proto.SerializeToString(&bytes)) throw Error(ErrorKind::kModel, "'{}' is too large for protobuf", path.string());
  AtomicFile file(path);
  file.write(bytes);
  if (data) data->commit();
  file.commit();
}

}  // namespace narrow::io
