// One value a file, as ONNX's own test data keep inputs.
#include "calib/readers/array_file.h"
#include "lib/base/error.h"
#include "lib/base/file.h"

namespace narrow::calib {

FileArray read_value_proto(const std::filesystem::path& path, graph::ValueForm form) {
  const MappedFile file(path);
  return in_context(quoted(path), [&] {
    const graph::NamedValue named = graph::parse_value(file.bytes(), form);
    return FileArray{named.name, named.value.type(), named.value.shape(), named.value};
  });
}

}  // namespace narrow::calib
