// Class labels beside the data.
#include <algorithm>
#include <charconv>
#include <map>

#include "calib/data_reader.h"
#include "calib/readers/array_file.h"
#include "lib/base/error.h"
#include "lib/base/file.h"

namespace narrow::calib {
namespace {

constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";  // what some editors begin UTF-8 files with

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kSpace = " \t\r";
  const size_t begin = text.find_first_not_of(kSpace);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kSpace) - begin + 1);
}

int64_t class_of(std::string_view text, size_t line) {
  int64_t value = 0;
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (failure != std::errc() || end != text.data() + text.size() || value < 0) {
    throw Error(ErrorKind::kData, "line {}: '{}' is not a class number", line, text);
  }
  return value;
}

/// Calls visit(line, number) for each line that is not empty.
template <class Visit>
void for_each_line(std::string_view text, Visit visit) {
  for (size_t number = 1; !text.empty(); ++number) {
    const size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = trimmed(text.substr(0, end));
    if (!line.empty()) visit(line, number);
    text.remove_prefix(std::min(end + 1, text.size()));
  }
}

template <class T>
std::vector<int64_t> to_classes(const Tensor& tensor) {
  const auto values = tensor.data<T>();
  std::vector<int64_t> labels(values.begin(), values.end());
  const auto bad = std::find_if(labels.begin(), labels.end(), [](int64_t label) { return label < 0; });
  if (bad != labels.end())
    throw Error(ErrorKind::kData, "label {} is {}, not a class number", bad - labels.begin(), *bad);
  return labels;
}

std::vector<int64_t> read_npy_labels(const std::filesystem::path& path) {
  const FileArray array = read_npy(path);
  return in_context(quoted(path), [&] {
    const bool is_column = array.shape.size() == 2 && array.shape[1] == 1;
    if (array.shape.size() != 1 && !is_column) {
      throw Error(ErrorKind::kData, "labels have shape {}, expected one class a sample", shape_text(array.shape));
    }
    switch (array.type) {
      case DataType::kUint8:
        return to_classes<uint8_t>(array.tensor);
      case DataType::kInt8:
        return to_classes<int8_t>(array.tensor);
      case DataType::kUint16:
        return to_classes<uint16_t>(array.tensor);
      case DataType::kInt16:
        return to_classes<int16_t>(array.tensor);
      case DataType::kInt32:
        return to_classes<int32_t>(array.tensor);
      case DataType::kUint32:
        return to_classes<uint32_t>(array.tensor);
      case DataType::kInt64:
        return to_classes<int64_t>(array.tensor);
      default:
        throw Error(ErrorKind::kData, "labels are {}, expected integers", data_type_name(array.type));
    }
  });
}

std::vector<int64_t> read_text_labels(std::string_view text) {
  std::vector<int64_t> labels;
  for_each_line(text, [&](std::string_view line, size_t number) { labels.push_back(class_of(line, number)); });
  return labels;
}

/// Class by file name. The first line is a header unless it ends in a number.
std::map<std::string, int64_t, std::less<>> read_table(std::string_view text) {
  std::map<std::string, int64_t, std::less<>> table;
  for_each_line(text, [&](std::string_view line, size_t number) {
    const size_t comma = line.rfind(',');
    if (comma == std::string_view::npos) throw Error(ErrorKind::kData, "line {}: expected 'file name,class'", number);
    std::string_view name = trimmed(line.substr(0, comma));
    const std::string_view label = trimmed(line.substr(comma + 1));
    const bool is_header = number == 1 && label.find_first_not_of("0123456789") != std::string_view::npos;
    if (is_header) return;
    if (name.size() >= 2 && name.front() == '"' && name.back() == '"') name = name.substr(1, name.size() - 2);
    if (!table.emplace(name, class_of(label, number)).second) {
      throw Error(ErrorKind::kData, "line {}: a second class for '{}'", number, name);
    }
  });
  return table;
}

std::vector<int64_t> join_labels(std::string_view text, const DataReader& data) {
  const auto table = read_table(text);
  const auto files = data.files();
  if (static_cast<int64_t>(files.size()) != data.samples()) {
    throw Error(ErrorKind::kData, "classes by file name need one file a sample; the data are {} samples in {} files",
                data.samples(), files.size());
  }
  std::vector<int64_t> labels;
  for (const auto& file : files) {
    const std::string name = file.filename().string();
    const auto found = table.find(name);
    if (found == table.end()) throw Error(ErrorKind::kData, "no class for file '{}'", name);
    labels.push_back(found->second);
  }
  return labels;
}

}  // namespace

std::vector<int64_t> read_labels(const std::filesystem::path& path, const DataReader& data) {
  const std::string extension = path.extension().string();
  std::vector<int64_t> labels;
  if (extension == ".npy") {
    labels = read_npy_labels(path);
  } else if (extension == ".txt" || extension == ".csv") {
    const MappedFile file(path);
    labels = in_context(quoted(path), [&] {
      std::string_view text = file.text();
      if (text.starts_with(kByteOrderMark)) text.remove_prefix(kByteOrderMark.size());
      return extension == ".txt" ? read_text_labels(text) : join_labels(text, data);
    });
  } else {
    throw Error(ErrorKind::kData, "{}: labels of unknown kind; usable are .npy, .txt, .csv", quoted(path));
  }
  if (static_cast<int64_t>(labels.size()) != data.samples()) {
    throw Error(ErrorKind::kData, "{}: {} labels for {} samples", quoted(path), labels.size(), data.samples());
  }
  return labels;
}

}  // namespace narrow::calib
