// Arrays as files hold them. All throw Error(kData) with the file's name in front.
#pragma once

#include <fmt/format.h>

#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "lib/base/file.h"
#include "lib/graph/value_proto.h"
#include "lib/tensor/tensor.h"

namespace narrow::calib {

struct FileArray {
  std::string name;  // of the input it is for; "" if the file does not tell
  DataType type = DataType::kUndefined;
  Shape shape;
  Tensor tensor;                                       // undefined if only headers were asked for
  std::shared_ptr<const MappedFile> mapped = nullptr;  // the file that `tensor` may be a view of
};

/// What to read: headers tell how many samples there are, without the elements.
enum class Part { kHeaders, kAll };

/// NumPy's .npy, versions 1 to 3, C or Fortran order, little-endian; strings are its 'U' and 'S' arrays. Mapped, not
/// copied, where order and alignment allow.
FileArray read_npy(const std::filesystem::path& path);

/// NumPy's .npz: one array per entry "name.npy", stored or deflated, zip64 too; sorted by name.
std::vector<FileArray> read_npz(const std::filesystem::path& path, Part part);

/// One ONNX TensorProto, SequenceProto or OptionalProto, as test_data_set_*/input_N.pb holds it.
FileArray read_value_proto(const std::filesystem::path& path, graph::ValueForm form);

/// The file as rows of `row` elements each: the shape is [n, row...].
FileArray read_raw(const std::filesystem::path& path, DataType type, const Shape& row);

/// The header of a .npy, for both containers.
struct NpyHeader {
  DataType type = DataType::kUndefined;
  Shape shape;
  bool fortran_order = false;
  size_t data_offset = 0;
  size_t element_bytes = 0;  // strings have their own number
  bool wide = false;         // strings are UTF-32 ('U'), not bytes ('S')
};

/// `bytes` begin with the header; `total_bytes` is the length of the whole .npy, which must be what the shape needs.
/// Errors do not name the file.
NpyHeader parse_npy_header(std::span<const std::byte> bytes, size_t total_bytes);

/// The elements behind a header in C order. `owner` keeps `bytes`, the whole .npy, alive.
Tensor npy_tensor(const NpyHeader& header, std::span<const std::byte> bytes, std::shared_ptr<const void> owner);

/// "'path'", as messages spell a file.
inline std::string quoted(const std::filesystem::path& path) {
  return fmt::format("'{}'", path.string());
}

}  // namespace narrow::calib
