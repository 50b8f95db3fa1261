#include <optional>
#include <set>

#include "lib/base/error.h"
#include "lib/base/file.h"
#include "lib/graph/tensor_shape.h"
#include "lib/graph/traverse.h"
#include "lib/io/load.h"
#include "lib/io/model_stream.h"

namespace narrow::io {
namespace {

bool is_external(const onnx::TensorProto& tensor) {
  return tensor.data_location() == onnx::TensorProto::EXTERNAL;
}

uint64_t byte_size(const onnx::TensorProto& tensor) {
  const Shape shape = graph::shape_of(tensor);
  return storage_bytes(static_cast<DataType>(tensor.data_type()), element_count(shape));
}

/// Appends tensors to the data file at offsets of whole pages, so that readers can map them.
class DataFile {
 public:
  explicit DataFile(const std::filesystem::path& path) : file_(path), name_(path.filename().string()) {}

  /// The tensor's elements go to the file; `header`, the rest of it, gets their place.
  void move_out(const graph::Model& model, const onnx::TensorProto& tensor, onnx::TensorProto& header) {
    if (tensor.has_raw_data()) {
      const std::string& raw = tensor.raw_data();
      append(std::as_bytes(std::span(raw.data(), raw.size())), header);
    } else {
      const Tensor value = model.tensor(tensor);
      append(std::span(value.bytes(), value.byte_size()), header);
    }
  }
  void commit() { file_.commit(); }

 private:
  void append(std::span<const std::byte> bytes, onnx::TensorProto& header) {
    constexpr uint64_t kPage = 4096;
    const uint64_t start = (offset_ + kPage - 1) / kPage * kPage;
    file_.write(std::string(start - offset_, '\0'));
    file_.write(bytes);
    offset_ = start + bytes.size();
    graph::set_external(header, {.location = name_, .offset = start, .length = bytes.size()});
  }

  AtomicFile file_;
  std::string name_;
  uint64_t offset_ = 0;
};

/// Bytes of the tensors that lie in files.
uint64_t external_size(const onnx::ModelProto& proto) {
  uint64_t size = 0;
  graph::for_each_tensor(proto.graph(), [&](const onnx::TensorProto& tensor) {
    if (is_external(tensor)) size += byte_size(tensor);
  });
  return size;
}

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

/// The tensor without its elements, which are not copied on the way.
onnx::TensorProto header_of(onnx::TensorProto& tensor) {
  std::string raw;
  const bool has_raw = tensor.has_raw_data();
  if (has_raw) tensor.mutable_raw_data()->swap(raw);
  onnx::TensorProto header = tensor;
  if (has_raw) tensor.mutable_raw_data()->swap(raw);
  header.clear_raw_data();
  header.clear_external_data();
  header.clear_data_location();
  return header;
}

/// Stands other tensors in a model's places; the stored ones come back in the end, whatever the end.
class StandIns {
 public:
  StandIns() = default;
  StandIns(const StandIns&) = delete;
  StandIns& operator=(const StandIns&) = delete;
  ~StandIns() {
    for (auto& [tensor, stored] : stored_) tensor->Swap(&stored);
  }

  void put(onnx::TensorProto& place, onnx::TensorProto tensor) {
    stored_.emplace_back(&place, std::move(tensor));
    place.Swap(&stored_.back().second);
  }

 private:
  std::vector<std::pair<onnx::TensorProto*, onnx::TensorProto>> stored_;
};

/// Tensors of bodies and attributes that lie in files, as they are written.
void write_inner_tensors(graph::Model& model, DataFile* data, StandIns& stand_ins) {
  std::set<const onnx::TensorProto*> initializers;
  for (const onnx::TensorProto& tensor : model.graph().initializer()) initializers.insert(&tensor);
  graph::for_each_tensor(model.mutable_graph(), [&](onnx::TensorProto& tensor) {
    if (!is_external(tensor) || initializers.contains(&tensor)) return;
    onnx::TensorProto written = header_of(tensor);
    if (data != nullptr) {
      data->move_out(model, tensor, written);
    } else {
      const Tensor value = model.tensor(tensor);
      written.set_raw_data(value.bytes(), value.byte_size());
    }
    stand_ins.put(tensor, std::move(written));
  });
}

std::vector<WrittenTensor> written_initializers(graph::Model& model, DataFile* data) {
  constexpr size_t kSmall = 1024;  // shapes and scalars stay where every reader finds them
  std::vector<WrittenTensor> written;
  for (onnx::TensorProto& tensor : *model.mutable_graph().mutable_initializer()) {
    WrittenTensor& one = written.emplace_back(WrittenTensor{.stored = &tensor});
    const bool moves = data != nullptr && (is_external(tensor) || tensor.raw_data().size() > kSmall);
    if (!moves && !is_external(tensor)) continue;
    one.form = moves ? WrittenTensor::Form::kHeader : WrittenTensor::Form::kEmbedded;
    one.header = header_of(tensor);
    one.bytes = byte_size(tensor);
    if (moves) data->move_out(model, tensor, one.header);
  }
  return written;
}

}  // namespace

int64_t saved_bytes(const graph::Model& model) {
  return static_cast<int64_t>(model.proto().ByteSizeLong() - inferred_size(model) + external_size(model.proto()));
}

std::vector<std::filesystem::path> save_model(graph::Model& model, const std::filesystem::path& path,
                                              const SaveOptions& options) {
  const WithoutInferred saved(model);
  AtomicFile file(path);
  const bool large = model.proto().ByteSizeLong() + external_size(model.proto()) > options.largest_file;
  std::optional<DataFile> data;
  const std::filesystem::path data_path = path.string() + ".data";
  if (large) data.emplace(data_path);
  DataFile* const moves_to = data ? &*data : nullptr;
  StandIns stand_ins;
  write_inner_tensors(model, moves_to, stand_ins);
  write_model(model, written_initializers(model, moves_to), file, path);
  if (data) data->commit();
  file.commit();
  return large ? std::vector{path, data_path} : std::vector{path};
}

}  // namespace narrow::io
