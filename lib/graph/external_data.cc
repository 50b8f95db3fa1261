#include "lib/graph/external_data.h"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <optional>

#include "lib/base/error.h"
#include "lib/base/mapped_pages.h"
#include "lib/base/progress.h"
#include "lib/base/scratch_file.h"
#include "lib/graph/axis_swap.h"
#include "lib/graph/external_keys.h"
#include "lib/graph/tensor_shape.h"
#include "lib/graph/widened_data.h"

namespace narrow::graph {
namespace fs = std::filesystem;

namespace {

struct Location {
  std::string path;
  uint64_t offset = 0;
  uint64_t length = 0;
  bool has_length = false;
  std::optional<DataType> stored;  // where it is not the tensor's type: see widen_external
  std::vector<AxisSwap> swaps;     // see transpose_external
};

constexpr const char* kStoredHalf = "float16";

void set_entry(onnx::TensorProto& tensor, std::string_view key, const std::string& value) {
  auto* entry = tensor.add_external_data();
  entry->set_key(std::string(key));
  entry->set_value(value);
}

uint64_t parse_number(const std::string& text, const std::string& tensor, const std::string& key) {
  uint64_t value = 0;
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (failure != std::errc() || end != text.data() + text.size()) {
    throw Error(ErrorKind::kModel, "external data of '{}': {} '{}' is not a number", tensor, key, text);
  }
  return value;
}

AxisSwap parse_swap(const std::string& text, const onnx::TensorProto& tensor) {
  const auto swap = swap_from_text(text, static_cast<uint64_t>(element_count(shape_of(tensor))));
  if (!swap) throw Error(ErrorKind::kModel, "external data of '{}': '{}' is no swap of axes", tensor.name(), text);
  return *swap;
}

Location location_of(const onnx::TensorProto& initializer) {
  Location location;
  for (const auto& entry : initializer.external_data()) {
    if (entry.key() == "location") location.path = entry.value();
    if (entry.key() == "offset") location.offset = parse_number(entry.value(), initializer.name(), "offset");
    if (entry.key() == "length") {
      location.length = parse_number(entry.value(), initializer.name(), "length");
      location.has_length = true;
    }
    const bool is_float = initializer.data_type() == onnx::TensorProto::FLOAT;
    if (is_float && entry.key() == kStoredTypeKey && entry.value() == kStoredHalf) location.stored = DataType::kFloat16;
    if (entry.key() == kSwapKey) location.swaps.push_back(parse_swap(entry.value(), initializer));
  }
  if (location.path.empty())
    throw Error(ErrorKind::kModel, "external data of '{}' has no location", initializer.name());
  return location;
}

// Smaller tensors are not worth a call of the system.
constexpr uint64_t kLarge = uint64_t{1} << 18;

/// Keeps the mapping alive, and lets the pages of a large tensor leave memory when nobody holds it any more.
std::shared_ptr<const void> held(std::shared_ptr<const MappedFile> file, uint64_t offset, uint64_t length) {
  if (length < kLarge) return file;
  const void* const mapping = file.get();
  return {mapping, [file = std::move(file), offset, length](const void*) { file->release(offset, length); }};
}

/// Of a tensor that lies where its elements can not be read. What is copied leaves the mapping.
Tensor aligned_copy(const MappedFile& file, uint64_t offset, DataType type, const Shape& shape) {
  constexpr size_t kPiece = size_t{4} << 20;
  Tensor copy(type, shape);
  for (size_t begin = 0; begin < copy.byte_size(); begin += kPiece) {
    const size_t count = std::min(kPiece, copy.byte_size() - begin);
    std::memcpy(copy.mutable_bytes() + begin, file.bytes().data() + offset + begin, count);
    if (copy.byte_size() >= kLarge) file.release(offset + begin, count);
  }
  return copy;
}

}  // namespace

void set_external(onnx::TensorProto& tensor, const ExternalRange& range) {
  tensor.clear_external_data();
  tensor.set_data_location(onnx::TensorProto::EXTERNAL);
  set_entry(tensor, "location", range.location);
  set_entry(tensor, "offset", std::to_string(range.offset));
  set_entry(tensor, "length", std::to_string(range.length));
}

void widen_external(onnx::TensorProto& tensor) {
  set_entry(tensor, kStoredTypeKey, kStoredHalf);
  tensor.set_data_type(onnx::TensorProto::FLOAT);
}

void ExternalData::adopt(const std::string& location, std::shared_ptr<const MappedFile> file) {
  const std::lock_guard lock(mutex_);
  files_[location] = std::move(file);
}

void ExternalData::release() const {
  const std::lock_guard lock(mutex_);
  for (const auto& [location, file] : files_) {
    if (file) file->release();
  }
}

std::shared_ptr<const MappedFile> ExternalData::file(const std::string& location) const {
  const std::lock_guard lock(mutex_);
  auto& entry = files_[location];
  if (entry) return entry;
  // By its text: what a model file says can not lead out of the folder, whatever the disk holds.
  const fs::path inside = fs::path(location).lexically_normal();
  if (inside.is_absolute() || inside.empty() || *inside.begin() == "..") {
    throw Error(ErrorKind::kModel, "'{}' lies outside the model's folder", location);
  }
  entry = std::make_shared<const MappedFile>(folder_ / inside);
  return entry;
}

namespace {

Tensor stored_tensor(const onnx::TensorProto& initializer, const Location& location, DataType type,
                     const std::shared_ptr<const MappedFile>& mapped) {
  const Shape shape = shape_of(initializer);
  if (data_type_bits(type) == 0) {
    throw Error(ErrorKind::kModel, "external data of '{}': elements of type {} can not be stored so",
                initializer.name(), data_type_name(type));
  }
  const uint64_t wanted = storage_bytes(type, element_count(shape));
  const uint64_t size = mapped->bytes().size();
  if (location.has_length && location.length != wanted) {
    throw Error(ErrorKind::kModel, "the data of tensor '{}' has {} bytes, its shape and type need {}",
                initializer.name(), location.length, wanted);
  }
  if (location.offset > size || wanted > size - location.offset) {
    throw Error(ErrorKind::kModel, "external data of '{}' ends after '{}' does", initializer.name(), location.path);
  }
  const std::byte* data = mapped->bytes().data() + location.offset;
  const size_t alignment = std::max<size_t>(1, static_cast<size_t>(data_type_bits(type)) / 8);
  if (reinterpret_cast<uintptr_t>(data) % alignment == 0) {
    return Tensor(type, shape, Layout::kPlain, held(mapped, location.offset, wanted), data, false);
  }
  return aligned_copy(*mapped, location.offset, type, shape);
}

// Results from this size on go to a file.
constexpr size_t kWorthAFile = size_t{1} << 24;

/// Swaps the elements of a tensor in memory, or in a new file, which is `file` then.
Tensor swapped(const Tensor& from, const AxisSwap& swap, std::shared_ptr<const MappedFile>& file) {
  const auto width = static_cast<size_t>(data_type_bits(from.type())) / 8;
  const std::function<void()> read = [&] {
    check_interruption();
    release_pages(from.bytes(), from.byte_size());
  };
  const auto scratch = from.byte_size() >= kWorthAFile ? ScratchFile::create(from.byte_size()) : nullptr;
  bool written = scratch != nullptr;
  if (scratch != nullptr) {
    swap_axes(
        from.bytes(), swap, width,
        [&](size_t offset, auto bytes) { written = written && scratch->write(offset, bytes); }, read);
  }
  if (written) {
    file = scratch->mapped();
    return Tensor(from.type(), from.shape(), Layout::kPlain, held(file, 0, from.byte_size()), file->bytes().data(),
                  false);
  }
  Tensor result(from.type(), from.shape());
  std::byte* const to = result.mutable_bytes();
  swap_axes(
      from.bytes(), swap, width, [&](size_t offset, auto bytes) { std::copy(bytes.begin(), bytes.end(), to + offset); },
      read);
  file = nullptr;
  return result;
}

}  // namespace

Tensor ExternalData::tensor(const onnx::TensorProto& initializer) const {
  const Location location = location_of(initializer);
  const auto type = static_cast<DataType>(initializer.data_type());
  const DataType stored_type = location.stored.value_or(type);
  const auto mapped =
      in_context(fmt::format("external data of '{}'", initializer.name()), [&] { return file(location.path); });
  const auto as_read = [&](const Tensor& stored) { return stored.type() == type ? stored : to_float32(stored); };
  if (location.swaps.empty()) return as_read(stored_tensor(initializer, location, stored_type, mapped));

  // No location is called so: what leads out of the folder is refused.
  std::string name = fmt::format("//{}/{}/{}", location.path, location.offset, data_type_name(stored_type));
  for (const AxisSwap& swap : location.swaps) name += "/" + swap_text(swap);
  const std::lock_guard lock(mutex_);
  if (const auto made = files_.find(name); made != files_.end()) {
    const Shape shape = shape_of(initializer);
    return as_read(Tensor(stored_type, shape, Layout::kPlain, held(made->second, 0, made->second->bytes().size()),
                          made->second->bytes().data(), false));
  }
  Tensor value = stored_tensor(initializer, location, stored_type, mapped);
  if (data_type_bits(stored_type) % 8 != 0) {
    throw Error(ErrorKind::kModel, "external data of '{}': elements that share bytes change places",
                initializer.name());
  }
  std::shared_ptr<const MappedFile> swapped_file;
  for (const AxisSwap& swap : location.swaps) value = swapped(value, swap, swapped_file);
  if (swapped_file) files_.emplace(name, swapped_file);
  return as_read(value);
}

}  // namespace narrow::graph
