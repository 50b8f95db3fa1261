#include <google/protobuf/io/zero_copy_stream_impl_lite.h>

#include <exception>
#include <optional>

#include "lib/base/error.h"
#include "lib/base/file.h"
#include "lib/graph/traverse.h"
#include "lib/io/load.h"

namespace narrow::io {
namespace {

// Protobuf's own limit, less room for what surrounds the tensors.
constexpr uint64_t kLargestFile = (uint64_t{1} << 31) - (uint64_t{1} << 24);

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
    graph::set_external(tensor, {.location = name_, .offset = start, .length = value.byte_size()});
  }
  void commit() { file_.commit(); }

 private:
  AtomicFile file_;
  std::string name_;
  uint64_t offset_ = 0;
};

/// Bytes of the tensors that lie in files.
uint64_t external_size(const onnx::ModelProto& proto) {
  uint64_t size = 0;
  graph::for_each_tensor(proto.graph(), [&](const onnx::TensorProto& tensor) {
    if (!is_external(tensor)) return;
    const Shape shape(tensor.dims().begin(), tensor.dims().end());
    size += storage_bytes(static_cast<DataType>(tensor.data_type()), element_count(shape));
  });
  return size;
}

/// Protobuf writes piece by piece, so that the model is not in memory a second time. Protobuf is not made for
/// exceptions: they are kept until it has returned.
class FileStream : public google::protobuf::io::CopyingOutputStream {
 public:
  explicit FileStream(AtomicFile& file) : file_(file) {}
  bool Write(const void* buffer, int size) override {
    try {
      file_.write(std::span(static_cast<const std::byte*>(buffer), static_cast<size_t>(size)));
    } catch (const Error&) {
      failure_ = std::current_exception();
    }
    return !failure_;
  }
  void rethrow_failure() const {
    if (failure_) std::rethrow_exception(failure_);
  }

 private:
  AtomicFile& file_;
  std::exception_ptr failure_;
};

bool is_saved(const graph::Model& model, const onnx::ValueInfoProto& value) {
  return model.declared() == nullptr || model.declared()->contains(value.name());
}

/// A model without the value infos that inference added; they come back in the end.
class WithoutInferred {
 public:
  explicit WithoutInferred(graph::Model& model) {
    if (model.declared() == nullptr) return;
    graph::for_each_graph(model.mutable_graph(), [&](onnx::GraphProto& graph) {
      Values values;
      values.Swap(graph.mutable_value_info());
      for (const onnx::ValueInfoProto& value : values) {
        if (is_saved(model, value)) *graph.add_value_info() = value;
      }
      taken_.emplace_back(&graph, std::move(values));
    });
  }
  WithoutInferred(const WithoutInferred&) = delete;
  WithoutInferred& operator=(const WithoutInferred&) = delete;
  ~WithoutInferred() {
    for (auto& [graph, values] : taken_) graph->mutable_value_info()->Swap(&values);
  }

 private:
  using Values = google::protobuf::RepeatedPtrField<onnx::ValueInfoProto>;
  std::vector<std::pair<onnx::GraphProto*, Values>> taken_;
};

/// Bytes of the value infos that are not saved.
uint64_t inferred_size(const graph::Model& model) {
  constexpr uint64_t kTagAndLength = 2;
  uint64_t size = 0;
  graph::for_each_graph(model.graph(), [&](const onnx::GraphProto& graph) {
    for (const onnx::ValueInfoProto& value : graph.value_info()) {
      if (!is_saved(model, value)) size += value.ByteSizeLong() + kTagAndLength;
    }
  });
  return size;
}

void write_proto(const onnx::ModelProto& proto, AtomicFile& file, const std::filesystem::path& path) {
  FileStream stream(file);
  google::protobuf::io::CopyingOutputStreamAdaptor adaptor(&stream, 1 << 20);
  if (!proto.SerializeToZeroCopyStream(&adaptor) || !adaptor.Flush()) {
    stream.rethrow_failure();
    throw Error(ErrorKind::kModel, "'{}' is too large for protobuf", path.string());
  }
}

}  // namespace

int64_t saved_bytes(const graph::Model& model) {
  return static_cast<int64_t>(model.proto().ByteSizeLong() - inferred_size(model) + external_size(model.proto()));
}

std::vector<std::filesystem::path> save_model(graph::Model& model, const std::filesystem::path& path) {
  const WithoutInferred saved(model);
  AtomicFile file(path);
  const uint64_t external = external_size(model.proto());
  const bool large = model.proto().ByteSizeLong() + external > kLargestFile;
  if (external == 0 && !large) {
    write_proto(model.proto(), file, path);
    file.commit();
    return {path};
  }
  onnx::ModelProto proto = model.proto();
  std::optional<DataFile> data;
  const std::filesystem::path data_path = path.string() + ".data";
  if (large) data.emplace(data_path);
  constexpr size_t kSmall = 1024;  // shapes and scalars stay where every reader finds them
  graph::for_each_tensor(*proto.mutable_graph(), [&](onnx::TensorProto& tensor) {
    if (data && (is_external(tensor) || tensor.raw_data().size() > kSmall)) {
      data->move_out(model, tensor);
    } else if (is_external(tensor)) {
      embed(model, tensor);
    }
  });
  write_proto(proto, file, path);
  if (data) data->commit();
  file.commit();
  return large ? std::vector{path, data_path} : std::vector{path};
}

}  // namespace narrow::io
