#include "lib/io/light_parse.h"

#include <limits>
#include <optional>
#include <span>
#include <string>

#include "lib/base/error.h"
#include "lib/graph/external_data.h"
#include "lib/graph/tensor_shape.h"

namespace narrow::io {
namespace {

using Bytes = std::span<const std::byte>;

// Smaller tensors stay in the proto: ONNX's shape inference and version converter look into them.
constexpr size_t kLargePayload = 4096;

// Protobuf's wire types.
enum WireType : uint32_t { kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5 };

/// One field on the wire: `whole` with its tag, `content` what a length-delimited field holds or a varint's value.
struct Field {
  uint32_t number = 0;
  uint32_t wire_type = 0;
  uint64_t varint = 0;
  Bytes content;
  Bytes whole;
};

/// Reads field by field; nullopt at the end and where the bytes are no protobuf (`failed` tells them apart).
class WireReader {
 public:
  explicit WireReader(Bytes bytes) : bytes_(bytes) {}

  std::optional<Field> next() {
    if (position_ == bytes_.size() || failed_) return std::nullopt;
    const size_t start = position_;
    const uint64_t tag = varint();
    Field field{.number = static_cast<uint32_t>(tag >> 3), .wire_type = static_cast<uint32_t>(tag & 7)};
    switch (field.wire_type) {
      case kVarint:
        field.varint = varint();
        break;
      case kFixed64:
        take(8);
        break;
      case kFixed32:
        take(4);
        break;
      case kBytes:
        field.content = take(varint());
        break;
      default:
        failed_ = true;
    }
    if (failed_) return std::nullopt;
    field.whole = bytes_.subspan(start, position_ - start);
    return field;
  }
  bool failed() const { return failed_; }

 private:
  uint64_t varint() {
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
      if (position_ == bytes_.size()) break;
      const auto byte = static_cast<uint64_t>(bytes_[position_++]);
      value |= (byte & 0x7F) << shift;
      if (byte < 0x80) return value;
    }
    failed_ = true;
    return 0;
  }

  Bytes take(uint64_t count) {
    if (count > bytes_.size() - position_) {
      failed_ = true;
      return {};
    }
    position_ += count;
    return bytes_.subspan(position_ - count, count);
  }

  Bytes bytes_;
  size_t position_ = 0;
  bool failed_ = false;
};

void append(std::string& text, Bytes bytes) {
  text.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
}

void append_varint(std::string& text, uint64_t value) {
  for (; value >= 0x80; value >>= 7) text += static_cast<char>((value & 0x7F) | 0x80);
  text += static_cast<char>(value);
}

void append_field(std::string& text, uint32_t number, std::string_view content) {
  append_varint(text, number << 3 | kBytes);
  append_varint(text, content.size());
  text += content;
}

/// Copies a model's bytes but for the payloads.
class Lightener {
 public:
  explicit Lightener(Bytes file) : file_(file) {}

  std::string model() {
    return copy_with(file_, onnx::ModelProto::kGraphFieldNumber, [&](Bytes graph) {
      return copy_with(graph, onnx::GraphProto::kInitializerFieldNumber, [&](Bytes tensor) {
        std::string light = initializer(tensor);
        ++initializers_;
        return light;
      });
    });
  }
  bool failed() const { return failed_; }
  std::vector<Payload>& payloads() { return payloads_; }

 private:
  /// The message, fields of `number` replaced by what `inner` makes of them.
  template <class Inner>
  std::string copy_with(Bytes message, uint32_t number, const Inner& inner) {
    std::string light;
    WireReader reader(message);
    while (const auto field = reader.next()) {
      if (field->number == number && field->wire_type == kBytes) {
        append_field(light, number, inner(field->content));
      } else {
        append(light, field->whole);
      }
    }
    failed_ = failed_ || reader.failed();
    return light;
  }

  std::string initializer(Bytes tensor) {
    WireReader reader(tensor);
    std::optional<Field> payload;
    bool movable = true;
    while (const auto field = reader.next()) {
      // Floats in a field of their own lie as in raw data, if they are all in one piece.
      if (field->number == onnx::TensorProto::kRawDataFieldNumber ||
          field->number == onnx::TensorProto::kFloatDataFieldNumber) {
        movable = movable && !payload && field->wire_type == kBytes;
        payload = field;
      }
      if (field->number == onnx::TensorProto::kDataLocationFieldNumber) movable = false;
      // Shape inference computes with integers of any number; complex numbers are pairs of floats.
      if (field->number == onnx::TensorProto::kDataTypeFieldNumber && !may_move(field->varint)) movable = false;
    }
    failed_ = failed_ || reader.failed();
    if (!movable || !payload || payload->content.size() < kLargePayload) {
      return {reinterpret_cast<const char*>(tensor.data()), tensor.size()};
    }
    payloads_.push_back({.initializer = initializers_,
                         .offset = static_cast<uint64_t>(payload->content.data() - file_.data()),
                         .length = payload->content.size()});
    return copy_with(tensor, payload->number, [](Bytes) { return std::string(); });
  }

  static bool may_move(uint64_t type) {
    return type != onnx::TensorProto::INT64 && type != onnx::TensorProto::INT32 && type != onnx::TensorProto::COMPLEX64;
  }

  Bytes file_;
  std::vector<Payload> payloads_;
  int initializers_ = 0;
  bool failed_ = false;
};

}  // namespace

LightModel parse_light(const MappedFile& file) {
  if (file.bytes().empty()) throw Error(ErrorKind::kModel, "the file is empty");
  Lightener lightener(file.bytes());
  const std::string light = lightener.model();
  LightModel result;
  const bool fits = light.size() <= static_cast<size_t>(std::numeric_limits<int>::max());
  if (lightener.failed() || !fits || !result.proto.ParseFromString(light)) {
    throw Error(ErrorKind::kModel, "not an ONNX model, or truncated: protobuf can not parse it");
  }
  result.payloads = std::move(lightener.payloads());
  return result;
}

onnx::ModelProto with_placeholders(const LightModel& light) {
  onnx::ModelProto proto = light.proto;
  for (const Payload& payload : light.payloads) {
    onnx::TensorProto& tensor = *proto.mutable_graph()->mutable_initializer(payload.initializer);
    tensor.clear_dims();
    tensor.set_data_type(onnx::TensorProto::UINT8);
    tensor.set_raw_data(std::string(1, '\0'));
  }
  return proto;
}

void attach_payloads(onnx::ModelProto& proto, const std::vector<Payload>& payloads, const std::string& location) {
  for (const Payload& payload : payloads) {
    onnx::TensorProto& tensor = *proto.mutable_graph()->mutable_initializer(payload.initializer);
    const Shape shape = graph::shape_of(tensor);
    const size_t needed = storage_bytes(static_cast<DataType>(tensor.data_type()), element_count(shape));
    if (needed != payload.length) {
      throw Error(ErrorKind::kModel, "tensor '{}' has {} bytes, its shape and type need {}", tensor.name(),
                  payload.length, needed);
    }
    tensor.clear_raw_data();
    graph::set_external(tensor, {.location = location, .offset = payload.offset, .length = payload.length});
  }
}

}  // namespace narrow::io
