#include "lib/io/model_stream.h"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>
#include <google/protobuf/wire_format_lite.h>

#include <exception>
#include <string>

#include "lib/base/error.h"

namespace narrow::io {
namespace {

using google::protobuf::internal::WireFormatLite;
using google::protobuf::io::CodedInputStream;
using google::protobuf::io::CodedOutputStream;

/// Protobuf is not made for exceptions: they are kept until it has returned.
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

/// A field whose content is so long.
uint64_t field_size(int number, uint64_t length) {
  return CodedOutputStream::VarintSize32(WireFormatLite::MakeTag(number, WireFormatLite::WIRETYPE_LENGTH_DELIMITED)) +
         CodedOutputStream::VarintSize64(length) + length;
}

void begin_field(CodedOutputStream& out, int number, uint64_t length) {
  out.WriteTag(WireFormatLite::MakeTag(number, WireFormatLite::WIRETYPE_LENGTH_DELIMITED));
  out.WriteVarint64(length);
}

using Form = WrittenTensor::Form;

uint64_t tensor_size(const WrittenTensor& tensor) {
  if (tensor.form == Form::kAsStored) return tensor.stored->ByteSizeLong();
  const uint64_t header = tensor.header.ByteSizeLong();
  if (tensor.form == Form::kHeader) return header;
  return header + field_size(onnx::TensorProto::kRawDataFieldNumber, tensor.bytes);
}

void write_tensor(const graph::Model& model, const WrittenTensor& tensor, CodedOutputStream& out) {
  begin_field(out, onnx::GraphProto::kInitializerFieldNumber, tensor_size(tensor));
  if (tensor.form == Form::kAsStored) return tensor.stored->SerializeWithCachedSizes(&out);
  if (tensor.form == Form::kHeader) return tensor.header.SerializeWithCachedSizes(&out);
  tensor.header.SerializeWithCachedSizes(&out);
  begin_field(out, onnx::TensorProto::kRawDataFieldNumber, tensor.bytes);
  const Tensor value = model.tensor(*tensor.stored);
  out.WriteRaw(value.bytes(), static_cast<int>(value.byte_size()));
}

void write_graph(const graph::Model& model, const onnx::GraphProto& graph,
                 const std::vector<WrittenTensor>& initializers, CodedOutputStream& out) {
  uint64_t size = graph.ByteSizeLong();
  for (const WrittenTensor& tensor : initializers) {
    size += field_size(onnx::GraphProto::kInitializerFieldNumber, tensor_size(tensor));
  }
  begin_field(out, onnx::ModelProto::kGraphFieldNumber, size);
  graph.SerializeWithCachedSizes(&out);
  for (const WrittenTensor& tensor : initializers) write_tensor(model, tensor, out);
}

/// How many bytes of a model without its graph are fields that stand in front of it: those of lower numbers, in
/// everybody's files. OpenVINO takes a file for a model only if its first three fields are different ones, and a
/// version and two opset imports are not.
size_t size_in_front_of_graph(const std::string& around) {
  CodedInputStream in(reinterpret_cast<const uint8_t*>(around.data()), static_cast<int>(around.size()));
  int size = 0;
  for (uint32_t tag = in.ReadTag(); tag != 0; tag = in.ReadTag()) {
    if (WireFormatLite::GetTagFieldNumber(tag) > onnx::ModelProto::kGraphFieldNumber) break;
    if (!WireFormatLite::SkipField(&in, tag)) break;
    size = in.CurrentPosition();
  }
  return static_cast<size_t>(size);
}

/// A model without its graph, and the graph without its initializers, for as long as this lives. The initializers stay
/// where they are in memory.
class TakenApart {
 public:
  explicit TakenApart(onnx::ModelProto& proto) : proto_(proto) {
    graph_.Swap(proto_.mutable_graph());
    proto_.clear_graph();
    initializers_.Swap(graph_.mutable_initializer());
  }
  TakenApart(const TakenApart&) = delete;
  TakenApart& operator=(const TakenApart&) = delete;
  ~TakenApart() {
    initializers_.Swap(graph_.mutable_initializer());
    graph_.Swap(proto_.mutable_graph());
  }

  const onnx::GraphProto& graph() const { return graph_; }

 private:
  onnx::ModelProto& proto_;
  onnx::GraphProto graph_;
  google::protobuf::RepeatedPtrField<onnx::TensorProto> initializers_;
};

}  // namespace

void write_model(graph::Model& model, const std::vector<WrittenTensor>& initializers, AtomicFile& file,
                 const std::filesystem::path& path) {
  FileStream stream(file);
  google::protobuf::io::CopyingOutputStreamAdaptor adaptor(&stream, 1 << 20);
  bool failed = false;
  {
    CodedOutputStream out(&adaptor);
    const TakenApart apart(model.mutable_proto());
    const std::string around = model.proto().SerializeAsString();
    const size_t front = size_in_front_of_graph(around);
    out.WriteRaw(around.data(), static_cast<int>(front));
    write_graph(model, apart.graph(), initializers, out);
    out.WriteRaw(around.data() + front, static_cast<int>(around.size() - front));
    failed = out.HadError();
  }
  if (failed || !adaptor.Flush()) {
    stream.rethrow_failure();
    throw Error(ErrorKind::kModel, "'{}' is too large for protobuf", path.string());
  }
}

}  // namespace narrow::io
