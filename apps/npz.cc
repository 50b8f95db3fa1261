#include "apps/npz.h"

#include <fmt/format.h>
#include <zip.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>

#include "lib/base/error.h"
#include "lib/base/file.h"
#include "lib/base/utf8.h"
#include "lib/tensor/convert.h"
#include "lib/tensor/packed.h"

namespace narrow::apps {
namespace {

struct DescriptorRow {
  DataType type;
  std::string_view descriptor;
};

// https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
constexpr std::array kDescriptors{
    DescriptorRow{DataType::kFloat32, "<f4"},   DescriptorRow{DataType::kFloat64, "<f8"},
    DescriptorRow{DataType::kFloat16, "<f2"},   DescriptorRow{DataType::kInt8, "|i1"},
    DescriptorRow{DataType::kUint8, "|u1"},     DescriptorRow{DataType::kInt16, "<i2"},
    DescriptorRow{DataType::kUint16, "<u2"},    DescriptorRow{DataType::kInt32, "<i4"},
    DescriptorRow{DataType::kUint32, "<u4"},    DescriptorRow{DataType::kInt64, "<i8"},
    DescriptorRow{DataType::kUint64, "<u8"},    DescriptorRow{DataType::kBool, "|b1"},
    DescriptorRow{DataType::kComplex64, "<c8"}, DescriptorRow{DataType::kComplex128, "<c16"},
};

std::string_view descriptor_of(DataType type) {
  for (const DescriptorRow& row : kDescriptors) {
    if (row.type == type) return row.descriptor;
  }
  return {};
}

/// The elements of an array, and how NumPy calls their type.
struct Elements {
  std::string descriptor;
  std::string texts;  // those of strings
  Tensor numbers;     // all others

  std::string_view bytes() const {
    if (!numbers.defined()) return texts;
    return {reinterpret_cast<const char*>(numbers.bytes()), numbers.byte_size()};
  }
};

/// Code points, filled up with zeros to the length of the longest string.
Elements string_elements(const std::vector<std::string>& texts) {
  std::vector<std::u32string> wide;
  size_t longest = 1;  // NumPy has no shorter strings
  for (const std::string& text : texts) {
    wide.push_back(*utf8_to_utf32(text));
    longest = std::max(longest, wide.back().size());
  }
  Elements elements{fmt::format("<U{}", longest), std::string(texts.size() * longest * sizeof(char32_t), '\0'), {}};
  char* target = elements.texts.data();
  for (const std::u32string& text : wide) {
    if (!text.empty()) std::memcpy(target, text.data(), text.size() * sizeof(char32_t));
    target += longest * sizeof(char32_t);
  }
  return elements;
}

Elements elements_of(const Tensor& given) {
  if (given.type() == DataType::kString) return string_elements(given.strings());
  Tensor tensor = given;
  Workspace workspace;
  if (is_small_float(tensor.type()) && tensor.type() != DataType::kFloat16) tensor = to_float32(tensor);
  if (is_packed(tensor.type())) tensor = unpacked(tensor, workspace);
  tensor = to_layout(tensor, Layout::kPlain);
  return {std::string(descriptor_of(tensor.type())), {}, tensor};
}

/// Magic, version 1.0, header padded so that the elements start at a multiple of 64 bytes.
std::string npy_bytes(const std::string& name, const Tensor& tensor) {
  if (const auto lack = numpy_lack(tensor)) throw Error(ErrorKind::kUnsupported, "output '{}': {}", name, *lack);
  const Elements elements = elements_of(tensor);
  std::string shape;
  for (const int64_t size : tensor.shape()) shape += fmt::format("{}, ", size);
  if (tensor.rank() > 1) shape.resize(shape.size() - 2);
  if (tensor.rank() == 1) shape.resize(shape.size() - 1);
  std::string header =
      fmt::format("{{'descr': '{}', 'fortran_order': False, 'shape': ({}), }}", elements.descriptor, shape);
  constexpr size_t kPreamble = 10;
  header.append(63 - (kPreamble + header.size()) % 64, ' ');
  header += '\n';
  std::string bytes = "\x93NUMPY";
  bytes += '\x01';
  bytes += '\x00';
  bytes += static_cast<char>(header.size() & 0xFFU);
  bytes += static_cast<char>(header.size() >> 8U);
  bytes += header;
  bytes += elements.bytes();
  return bytes;
}

[[noreturn]] void fail_zip(zip_error_t* error) {
  throw Error(ErrorKind::kInternal, "zip archive: {}", zip_error_strerror(error));
}

[[noreturn]] void fail_name(const std::string& name, const std::string& why) {
  throw Error(ErrorKind::kUnsupported, "output '{}' can not be named in a .npz: {}", name, why);
}

/// The archive in memory, so that it reaches the disk in one step.
class MemoryZip {
 public:
  MemoryZip() {
    zip_error_init(&error_);
    source_ = zip_source_buffer_create(nullptr, 0, 0, &error_);
    if (source_ == nullptr) fail_zip(&error_);
    zip_source_keep(source_);
    archive_ = zip_open_from_source(source_, ZIP_TRUNCATE, &error_);
    if (archive_ == nullptr) fail_zip(&error_);
  }
  ~MemoryZip() {
    if (archive_ != nullptr) zip_discard(archive_);
    zip_source_free(source_);
    zip_error_fini(&error_);
  }
  MemoryZip(const MemoryZip&) = delete;
  MemoryZip& operator=(const MemoryZip&) = delete;

  /// `bytes` must live until finish().
  void add(const std::string& name, const std::string& bytes) {
    // libzip takes no control characters for UTF-8. Code page 437 is any bytes, and ASCII is the same in both.
    const bool ascii = std::all_of(name.begin(), name.end(), [](char c) { return c > 0; });
    const bool controls =
        std::any_of(name.begin(), name.end(), [](char c) { return (c >= 0 && c < ' ') || c == '\x7F'; });
    if (name.find('\0') != std::string::npos) fail_name(name, "it holds a zero");
    zip_source_t* content = zip_source_buffer(archive_, bytes.data(), bytes.size(), 0);
    const zip_int64_t index =
        zip_file_add(archive_, name.c_str(), content, ascii && controls ? ZIP_FL_ENC_CP437 : ZIP_FL_ENC_UTF_8);
    if (index < 0) {
      const std::string reason = zip_strerror(archive_);
      zip_source_free(content);
      fail_name(name, reason);
    }
    const auto at = static_cast<zip_uint64_t>(index);
    zip_set_file_compression(archive_, at, ZIP_CM_STORE, 0);
    // 1980-01-01, the first date of the format: the bytes must not depend on the clock.
    constexpr zip_uint16_t kFirstDosDate = (1U << 5U) | 1U;
    zip_file_set_dostime(archive_, at, 0, kFirstDosDate, 0);
  }

  std::string finish() {
    if (zip_close(archive_) != 0) fail_zip(zip_get_error(archive_));
    archive_ = nullptr;
    zip_stat_t stat;
    if (zip_source_stat(source_, &stat) != 0 || zip_source_open(source_) != 0) fail_zip(zip_source_error(source_));
    std::string bytes(stat.size, '\0');
    const zip_int64_t read = zip_source_read(source_, bytes.data(), bytes.size());
    zip_source_close(source_);
    ensure(read == static_cast<zip_int64_t>(bytes.size()), "the archive is read whole");
    return bytes;
  }

 private:
  zip_error_t error_{};
  zip_source_t* source_ = nullptr;
  zip_t* archive_ = nullptr;
};

}  // namespace

std::optional<std::string> numpy_lack(const Tensor& tensor) {
  if (tensor.type() == DataType::kString) {
    for (const std::string& text : tensor.strings()) {
      if (!utf8_to_utf32(text)) return "it holds bytes that are not UTF-8, which NumPy's strings must be";
      if (text.ends_with('\0')) return "it holds a string that ends in a zero, which NumPy's strings lose";
    }
    return std::nullopt;
  }
  const bool known = !descriptor_of(tensor.type()).empty() || is_small_float(tensor.type()) || is_packed(tensor.type());
  if (known) return std::nullopt;
  return fmt::format("NumPy has no {} arrays", data_type_name(tensor.type()));
}

void write_npz(const std::filesystem::path& path, const NamedArrays& arrays) {
  std::vector<std::string> contents;
  for (const auto& [name, tensor] : arrays) contents.push_back(npy_bytes(name, tensor));
  MemoryZip zip;
  for (size_t i = 0; i < arrays.size(); ++i) zip.add(arrays[i].first + ".npy", contents[i]);
  write_file(path, zip.finish());
}

}  // namespace narrow::apps
