// The .npy format: magic, version, header length, then a Python dictionary literal with the keys 'descr',
// 'fortran_order' and 'shape', then the elements.
// https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <cstring>
#include <limits>
#include <map>
#include <optional>

#include "calib/readers/array_file.h"
#include "lib/base/error.h"
#include "lib/base/file.h"

namespace narrow::calib {
namespace {

constexpr std::string_view kMagic = "\x93NUMPY";
constexpr size_t kMaxRank = 32;  // NumPy's own limit

struct DescrRow {
  std::string_view descr;  // without the byte order
  DataType type;
};

constexpr std::array kDescrs{
    DescrRow{"b1", DataType::kBool},    DescrRow{"f2", DataType::kFloat16}, DescrRow{"f4", DataType::kFloat32},
    DescrRow{"f8", DataType::kFloat64}, DescrRow{"i1", DataType::kInt8},    DescrRow{"i2", DataType::kInt16},
    DescrRow{"i4", DataType::kInt32},   DescrRow{"i8", DataType::kInt64},   DescrRow{"u1", DataType::kUint8},
    DescrRow{"u2", DataType::kUint16},  DescrRow{"u4", DataType::kUint32},  DescrRow{"u8", DataType::kUint64},
};

template <class... Args>
[[noreturn]] void fail(fmt::format_string<Args...> format, Args&&... args) {
  throw Error(ErrorKind::kData, fmt::format(format, std::forward<Args>(args)...));
}

/// Reads the dictionary literal; only what NumPy writes is in its grammar.
class HeaderParser {
 public:
  explicit HeaderParser(std::string_view text) : text_(text) {}

  NpyHeader parse() {
    NpyHeader header;
    bool has_type = false;
    bool has_order = false;
    bool has_shape = false;
    expect('{');
    while (!accept('}')) {
      const std::string_view key = quoted_word();
      expect(':');
      if (key == "descr") {
        header.type = type_of(quoted_word());
        has_type = true;
      } else if (key == "fortran_order") {
        header.fortran_order = boolean();
        has_order = true;
      } else if (key == "shape") {
        header.shape = tuple();
        has_shape = true;
      } else {
        fail("not a valid .npy header: unknown key '{}'", key);
      }
      if (!accept(',')) {
        expect('}');
        break;
      }
    }
    if (!has_type || !has_order || !has_shape) fail("not a valid .npy header: a key is missing");
    return header;
  }

 private:
  void skip_space() {
    while (at_ < text_.size() && std::isspace(static_cast<unsigned char>(text_[at_])) != 0) ++at_;
  }

  bool accept(char c) {
    skip_space();
    if (at_ >= text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }

  void expect(char c) {
    if (!accept(c)) fail("not a valid .npy header: expected '{}' at byte {}", c, at_);
  }

  std::string_view quoted_word() {
    skip_space();
    if (at_ < text_.size() && (text_[at_] == '[' || text_[at_] == '(')) fail("structured arrays are not supported");
    const char quote = accept('"') ? '"' : (expect('\''), '\'');
    const size_t end = text_.find(quote, at_);
    if (end == std::string_view::npos) fail("not a valid .npy header: a string does not end");
    const std::string_view word = text_.substr(at_, end - at_);
    at_ = end + 1;
    return word;
  }

  bool boolean() {
    skip_space();
    for (const auto& [word, value] : {std::pair{std::string_view("True"), true}, {std::string_view("False"), false}}) {
      if (text_.substr(at_, word.size()) != word) continue;
      at_ += word.size();
      return value;
    }
    fail("not a valid .npy header: 'fortran_order' is neither True nor False");
  }

  Shape tuple() {
    Shape shape;
    expect('(');
    while (!accept(')')) {
      skip_space();
      int64_t dimension = 0;
      const auto [end, failure] = std::from_chars(text_.data() + at_, text_.data() + text_.size(), dimension);
      if (failure != std::errc() || dimension < 0) fail("not a valid .npy header: bad shape");
      if (shape.size() == kMaxRank) fail("not a valid .npy header: more than {} dimensions", kMaxRank);
      shape.push_back(dimension);
      at_ = static_cast<size_t>(end - text_.data());
      if (!accept(',')) {
        expect(')');
        break;
      }
    }
    return shape;
  }

  static DataType type_of(std::string_view descr) {
    if (descr.starts_with('>')) fail("element type '{}' is big-endian, which is not supported", descr);
    std::string_view plain = descr;
    if (plain.starts_with('<') || plain.starts_with('|') || plain.starts_with('=')) plain.remove_prefix(1);
    const auto found =
        std::find_if(kDescrs.begin(), kDescrs.end(), [&](const DescrRow& row) { return row.descr == plain; });
    if (found == kDescrs.end()) fail("element type '{}' is not supported", descr);
    return found->type;
  }

  std::string_view text_;
  size_t at_ = 0;
};

/// Bytes of the elements, or nothing if the product overflows.
std::optional<size_t> bytes_of(const NpyHeader& header) {
  const auto element = static_cast<uint64_t>(data_type_bits(header.type) / 8);
  uint64_t bytes = element;
  if (std::find(header.shape.begin(), header.shape.end(), 0) != header.shape.end()) return 0;
  for (const int64_t dimension : header.shape) {
    if (__builtin_mul_overflow(bytes, static_cast<uint64_t>(dimension), &bytes)) return std::nullopt;
  }
  if (bytes > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) return std::nullopt;
  return bytes;
}

size_t read_length(std::span<const std::byte> bytes, size_t at, size_t width) {
  size_t length = 0;
  for (size_t i = 0; i < width; ++i) length |= std::to_integer<size_t>(bytes[at + i]) << (8 * i);
  return length;
}

/// Fortran order to C order: the last axis of the result has the largest step in the source.
Tensor reorder(const NpyHeader& header, const std::byte* source) {
  Tensor result(header.type, header.shape);
  const auto width = static_cast<size_t>(data_type_bits(header.type) / 8);
  const size_t rank = header.shape.size();
  std::array<size_t, kMaxRank> steps{};
  size_t step = width;
  for (size_t axis = 0; axis < rank; ++axis) {
    steps[axis] = step;
    step *= static_cast<size_t>(header.shape[axis]);
  }
  std::array<int64_t, kMaxRank> index{};
  std::byte* target = result.mutable_bytes();
  size_t from = 0;
  for (int64_t i = 0; i < result.size(); ++i, target += width) {
    std::memcpy(target, source + from, width);
    for (size_t axis = rank; axis-- > 0;) {
      from += steps[axis];
      if (++index[axis] < header.shape[axis]) break;
      from -= steps[axis] * static_cast<size_t>(header.shape[axis]);
      index[axis] = 0;
    }
  }
  return result;
}

}  // namespace

NpyHeader parse_npy_header(std::span<const std::byte> bytes, size_t total_bytes) {
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  constexpr size_t kVersionAt = 6;
  if (!text.starts_with(kMagic)) fail("not a .npy file: its first bytes are not NumPy's");
  if (text.size() < kVersionAt + 4) fail("the .npy header is truncated");
  const auto major = std::to_integer<int>(bytes[kVersionAt]);
  if (major < 1 || major > 3) fail("version {} of the .npy format is unknown", major);
  const size_t width = major == 1 ? 2 : 4;
  const size_t begin = kVersionAt + 2 + width;
  if (text.size() < begin) fail("the .npy header is truncated");
  const size_t length = read_length(bytes, kVersionAt + 2, width);
  if (length > text.size() - begin) fail("the .npy header is truncated");
  NpyHeader header = HeaderParser(text.substr(begin, length)).parse();
  header.data_offset = begin + length;
  const auto wanted = bytes_of(header);
  const size_t has = total_bytes - header.data_offset;
  if (!wanted || *wanted != has) {
    fail("has {} bytes of elements, its shape {} of {} needs {}", has, shape_text(header.shape),
         data_type_name(header.type), wanted ? std::to_string(*wanted) : std::string("more than any file has"));
  }
  return header;
}

Tensor npy_tensor(const NpyHeader& header, std::span<const std::byte> bytes, std::shared_ptr<const void> owner) {
  const std::byte* data = bytes.data() + header.data_offset;
  const size_t size = bytes.size() - header.data_offset;
  if (header.fortran_order && header.shape.size() > 1 && size > 0) return reorder(header, data);
  const auto width = static_cast<uintptr_t>(data_type_bits(header.type) / 8);
  if (reinterpret_cast<uintptr_t>(data) % width == 0) {
    return Tensor(header.type, header.shape, Layout::kPlain, std::move(owner), data, false);
  }
  Tensor aligned(header.type, header.shape);
  if (size > 0) std::memcpy(aligned.mutable_bytes(), data, size);
  return aligned;
}

FileArray read_npy(const std::filesystem::path& path) {
  const auto file = std::make_shared<const MappedFile>(path);
  return in_context(quoted(path), [&] {
    const NpyHeader header = parse_npy_header(file->bytes(), file->bytes().size());
    return FileArray{"", header.type, header.shape, npy_tensor(header, file->bytes(), file), file};
  });
}

FileArray read_raw(const std::filesystem::path& path, DataType type, const Shape& row) {
  const auto file = std::make_shared<const MappedFile>(path);
  const size_t size = file->bytes().size();
  const size_t row_bytes = storage_bytes(type, element_count(row));
  if (row_bytes == 0 || size == 0 || size % row_bytes != 0) {
    fail("{}: has {} bytes, no multiple of the {} that one sample of {} {} takes", quoted(path), size, row_bytes,
         data_type_name(type), shape_text(row));
  }
  Shape shape = row;
  shape.insert(shape.begin(), static_cast<int64_t>(size / row_bytes));
  return {"", type, shape, Tensor(type, shape, Layout::kPlain, file, file->bytes().data(), false), file};
}

}  // namespace narrow::calib
