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
#include "lib/base/utf8.h"

namespace narrow::calib {
namespace {

constexpr std::string_view kMagic = "\x93NUMPY";
constexpr size_t kMaxRank = 32;  // NumPy's own limit

struct DescrRow {
  std::string_view descr;  // without the byte order
  DataType type;
};

constexpr std::array kDescrs{
    DescrRow{"b1", DataType::kBool},    DescrRow{"c16", DataType::kComplex128}, DescrRow{"c8", DataType::kComplex64},
    DescrRow{"f2", DataType::kFloat16}, DescrRow{"f4", DataType::kFloat32},     DescrRow{"f8", DataType::kFloat64},
    DescrRow{"i1", DataType::kInt8},    DescrRow{"i2", DataType::kInt16},       DescrRow{"i4", DataType::kInt32},
    DescrRow{"i8", DataType::kInt64},   DescrRow{"u1", DataType::kUint8},       DescrRow{"u2", DataType::kUint16},
    DescrRow{"u4", DataType::kUint32},  DescrRow{"u8", DataType::kUint64},
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
        read_type(quoted_word(), header);
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

  static void read_type(std::string_view descr, NpyHeader& header) {
    if (descr.starts_with('>')) fail("element type '{}' is big-endian, which is not supported", descr);
    std::string_view plain = descr;
    if (plain.starts_with('<') || plain.starts_with('|') || plain.starts_with('=')) plain.remove_prefix(1);
    if (read_string_type(plain, header)) return;
    if (plain == "O") fail("elements are pickled Python objects, which are not supported; strings are '<U' arrays");
    const auto found =
        std::find_if(kDescrs.begin(), kDescrs.end(), [&](const DescrRow& row) { return row.descr == plain; });
    if (found == kDescrs.end()) fail("element type '{}' is not supported", descr);
    header.type = found->type;
    header.element_bytes = static_cast<size_t>(data_type_bits(found->type) / 8);
  }

  /// "U5" is five UTF-32 characters, "S5" five bytes.
  static bool read_string_type(std::string_view plain, NpyHeader& header) {
    if (!plain.starts_with('U') && !plain.starts_with('S')) return false;
    constexpr size_t kMostCharacters = size_t{1} << 29;  // NumPy counts their bytes in an int
    const auto [end, failure] = std::from_chars(plain.data() + 1, plain.data() + plain.size(), header.element_bytes);
    if (failure != std::errc() || end != plain.data() + plain.size() || header.element_bytes == 0 ||
        header.element_bytes > kMostCharacters) {
      return false;
    }
    header.type = DataType::kString;
    header.wide = plain.starts_with('U');
    if (header.wide) header.element_bytes *= 4;
    return true;
  }

  std::string_view text_;
  size_t at_ = 0;
};

/// Bytes of the elements, or nothing if the product overflows.
std::optional<size_t> bytes_of(const NpyHeader& header) {
  uint64_t bytes = header.element_bytes;
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
void reorder(const NpyHeader& header, const std::byte* source, std::byte* target) {
  const size_t width = header.element_bytes;
  const size_t rank = header.shape.size();
  std::array<size_t, kMaxRank> steps{};
  size_t step = width;
  for (size_t axis = 0; axis < rank; ++axis) {
    steps[axis] = step;
    step *= static_cast<size_t>(header.shape[axis]);
  }
  std::array<int64_t, kMaxRank> index{};
  const int64_t count = element_count(header.shape);
  size_t from = 0;
  for (int64_t i = 0; i < count; ++i, target += width) {
    std::memcpy(target, source + from, width);
    for (size_t axis = rank; axis-- > 0;) {
      from += steps[axis];
      if (++index[axis] < header.shape[axis]) break;
      from -= steps[axis] * static_cast<size_t>(header.shape[axis]);
      index[axis] = 0;
    }
  }
}

/// One element of a 'U' array as UTF-8. Zeros behind the text fill the element up.
std::string text_of(const std::byte* source, size_t bytes, int64_t index) {
  std::string text;
  size_t length = bytes;
  const auto is_zero = [&](size_t at) { return source[at] == std::byte{0}; };
  while (length >= 4 && is_zero(length - 1) && is_zero(length - 2) && is_zero(length - 3) && is_zero(length - 4)) {
    length -= 4;
  }
  for (size_t at = 0; at < length; at += 4) {
    uint32_t code = 0;
    std::memcpy(&code, source + at, sizeof code);
    const bool surrogate = code >= 0xD800 && code < 0xE000;
    if (code > 0x10FFFF || surrogate) fail("element {} holds {:#x}, which is no character", index, code);
    append_utf8(code, text);
  }
  return text;
}

Tensor strings_of(const NpyHeader& header, const std::byte* source) {
  std::vector<std::string> texts;
  const int64_t count = element_count(header.shape);
  for (int64_t i = 0; i < count; ++i, source += header.element_bytes) {
    if (header.wide) {
      texts.push_back(text_of(source, header.element_bytes, i));
    } else {
      texts.emplace_back(reinterpret_cast<const char*>(source), header.element_bytes);
      texts.back().resize(texts.back().find_last_not_of('\0') + 1);
    }
  }
  return Tensor::of_strings(header.shape, std::move(texts));
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
  const bool reorders = header.fortran_order && header.shape.size() > 1 && size > 0;
  if (header.type == DataType::kString) {
    if (!reorders) return strings_of(header, data);
    std::vector<std::byte> ordered(size);
    reorder(header, data, ordered.data());
    return strings_of(header, ordered.data());
  }
  if (reorders) {
    Tensor ordered(header.type, header.shape);
    reorder(header, data, ordered.mutable_bytes());
    return ordered;
  }
  const auto width = static_cast<uintptr_t>(header.element_bytes);
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
