#include "calib/data_reader.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "calib/input_adapter.h"
#include "calib/readers/array_file.h"
#include "calib/readers/arrays.h"
#include "calib/readers/images.h"
#include "lib/base/error.h"
#include "lib/base/spread.h"

namespace narrow::calib {
namespace fs = std::filesystem;

namespace {

constexpr std::array<std::string_view, 6> kImageExtensions{".JPEG", ".JPG", ".PNG", ".jpeg", ".jpg", ".png"};
constexpr std::array<std::string_view, 4> kTextExtensions{".csv", ".json", ".md", ".txt"};
constexpr std::string_view kDataSet = "test_data_set_";
constexpr std::string_view kUsable = ".npy, .npz, .pb, .bin, .jpg, .png";

template <size_t kCount>
bool has_extension(const fs::path& path, const std::array<std::string_view, kCount>& extensions) {
  return std::find(extensions.begin(), extensions.end(), path.extension().string()) != extensions.end();
}

std::vector<InputAdapter> make_adapters(const std::vector<InputSpec>& inputs, const InputConfig& config) {
  std::vector<std::string> names;
  for (const InputSpec& input : inputs) names.push_back(input.name);
  for (const auto& [name, options] : config) {
    if (std::find(names.begin(), names.end(), name) != names.end()) continue;
    throw Error(ErrorKind::kUsage, "inputs.{}: the model has no such input{}; its inputs are {}", name,
                did_you_mean(name, names), fmt::join(names, ", "));
  }
  std::vector<InputAdapter> adapters;
  for (const InputSpec& input : inputs) {
    const auto options = config.find(input.name);
    if (options != config.end() && !options->second.from_output.empty()) continue;
    adapters.emplace_back(input, options == config.end() ? InputOptions{} : options->second);
  }
  return adapters;
}

struct FolderContent {
  std::vector<fs::path> images;
  std::vector<fs::path> arrays;
  std::vector<fs::path> data_sets;  // test_data_set_* folders
};

/// ONNX numbers its sets without zeros in front: test_data_set_10 comes behind test_data_set_9.
void sort_by_number(std::vector<fs::path>& data_sets) {
  const auto number = [](const fs::path& path) {
    const std::string digits = path.filename().string().substr(kDataSet.size());
    const bool is_number = !digits.empty() && digits.find_first_not_of("0123456789") == std::string::npos;
    const size_t begin = std::min(digits.find_first_not_of('0'), digits.size());
    // A longer number is a larger one; what is none comes last.
    return is_number ? std::pair(digits.size() - begin, digits.substr(begin)) : std::pair(std::string::npos, digits);
  };
  std::stable_sort(data_sets.begin(), data_sets.end(),
                   [&](const fs::path& a, const fs::path& b) { return number(a) < number(b); });
}

FolderContent list_folder(const fs::path& folder) {
  FolderContent content;
  std::error_code failure;
  std::vector<fs::path> paths;
  for (fs::directory_iterator at(folder, failure), end; !failure && at != end; at.increment(failure)) {
    paths.push_back(at->path());
  }
  if (failure) throw Error(ErrorKind::kData, "can not read folder {}: {}", quoted(folder), failure.message());
  std::sort(paths.begin(), paths.end());
  for (const fs::path& path : paths) {
    const std::string name = path.filename().string();
    if (name.starts_with('.') || has_extension(path, kTextExtensions)) continue;
    if (fs::is_directory(path)) {
      if (name.starts_with(kDataSet)) content.data_sets.push_back(path);
    } else if (has_extension(path, kImageExtensions)) {
      content.images.push_back(path);
    } else if (is_array_file(path)) {
      content.arrays.push_back(path);
    } else if (!name.ends_with(".onnx")) {  // a model's folder holds its test data sets
      throw Error(ErrorKind::kData, "{}: a file of unknown kind; data are {}", quoted(path), kUsable);
    }
  }
  sort_by_number(content.data_sets);
  return content;
}

/// The files of a data set without its output_N.pb.
std::vector<fs::path> inputs_in(const std::vector<fs::path>& files) {
  std::vector<fs::path> inputs;
  std::copy_if(files.begin(), files.end(), std::back_inserter(inputs), [](const fs::path& file) {
    return file.extension() != ".pb" || !file.filename().string().starts_with("output_");
  });
  return inputs;
}

/// Feeds for a model without inputs.
class NothingReader : public DataReader {
 public:
  explicit NothingReader(std::vector<std::string> sources) : sources_(std::move(sources)) {}
  int64_t size() const override { return static_cast<int64_t>(sources_.size()); }
  int64_t samples() const override { return size(); }
  exec::Feed read(int64_t /*index*/) const override { return {}; }
  std::string source(int64_t index) const override { return sources_.at(static_cast<size_t>(index)); }
  std::vector<fs::path> files() const override { return {}; }

 private:
  std::vector<std::string> sources_;
};

/// Data sets that hold outputs alone, as ONNX's tests of models without inputs have them.
std::unique_ptr<DataReader> open_data_without_inputs(const fs::path& path) {
  std::vector<fs::path> folders;
  if (fs::is_directory(path)) folders = list_folder(path).data_sets;
  if (folders.empty()) folders.push_back(path);
  std::vector<std::string> sources;
  for (const fs::path& folder : folders) {
    const bool holds_data = !fs::is_directory(folder) || !list_folder(folder).images.empty() ||
                            !inputs_in(list_folder(folder).arrays).empty();
    if (holds_data) throw Error(ErrorKind::kData, "{}: the model has no inputs to feed", quoted(folder));
    sources.push_back(quoted(folder));
  }
  return std::make_unique<NothingReader>(std::move(sources));
}

/// The input_N.pb of one data set, in order; outputs are left out.
ArrayGroup proto_group(const fs::path& folder, const std::vector<fs::path>& files) {
  ArrayGroup group{folder, {}};
  const std::vector<fs::path> inputs = inputs_in(files);
  std::copy_if(inputs.begin(), inputs.end(), std::back_inserter(group.files),
               [](const fs::path& file) { return file.extension() == ".pb"; });
  if (group.files.empty()) throw Error(ErrorKind::kData, "{}: no input_N.pb", quoted(folder));
  return group;
}

std::unique_ptr<DataReader> open_images(std::vector<fs::path> files, std::vector<InputAdapter> inputs) {
  if (inputs.size() != 1) {
    throw Error(ErrorKind::kData, "{}: images feed a model of one input, this one has {}", quoted(files.front()),
                inputs.size());
  }
  if (!inputs.front().takes_images()) {
    const InputSpec& spec = inputs.front().spec();
    throw Error(ErrorKind::kData,
                "{}: input '{}' is {} {}, which images can not feed; if it is an image, set its 'layout'",
                quoted(files.front()), spec.name, data_type_name(spec.type),
                spec.shape ? shape_text(*spec.shape) : "of unknown rank");
  }
  return read_images(std::move(files), std::move(inputs.front()));
}

std::unique_ptr<DataReader> open_data_sets(const std::vector<fs::path>& folders, std::vector<InputAdapter> inputs) {
  std::vector<ArrayGroup> groups;
  for (const fs::path& folder : folders) groups.push_back(proto_group(folder, list_folder(folder).arrays));
  return read_arrays(std::move(groups), std::move(inputs));
}

/// True if the files are one array for each of several inputs, named after them.
bool named_after_inputs(const std::vector<fs::path>& files, const std::vector<InputAdapter>& inputs) {
  return inputs.size() > 1 && std::all_of(files.begin(), files.end(), [&](const fs::path& file) {
           return std::any_of(inputs.begin(), inputs.end(),
                              [&](const InputAdapter& input) { return input.spec().name == file.stem().string(); });
         });
}

std::unique_ptr<DataReader> open_folder(const fs::path& folder, std::vector<InputAdapter> inputs) {
  FolderContent content = list_folder(folder);
  if (content.images.empty() && content.arrays.empty() && content.data_sets.empty()) {
    throw Error(ErrorKind::kData, "{}: a folder without data; usable are {}, test_data_set_* folders", quoted(folder),
                kUsable);
  }
  const auto refuse_mix = [&](const fs::path& a, const fs::path& b) {
    throw Error(ErrorKind::kData, "{}: a folder with data of several kinds: '{}' and '{}'", quoted(folder),
                a.filename().string(), b.filename().string());
  };
  if (!content.images.empty() && !content.arrays.empty()) refuse_mix(content.arrays.front(), content.images.front());
  if (!content.images.empty()) return open_images(std::move(content.images), std::move(inputs));
  if (content.arrays.empty()) return open_data_sets(content.data_sets, std::move(inputs));
  for (const fs::path& file : content.arrays) {
    if (file.extension() != content.arrays.front().extension()) refuse_mix(content.arrays.front(), file);
  }
  if (content.arrays.front().extension() == ".pb") {
    return read_arrays({proto_group(folder, content.arrays)}, std::move(inputs));
  }
  std::vector<ArrayGroup> groups;
  if (named_after_inputs(content.arrays, inputs)) {
    groups.push_back({folder, content.arrays});
  } else {
    for (const fs::path& file : content.arrays) groups.push_back({file, {file}});
  }
  return read_arrays(std::move(groups), std::move(inputs));
}

}  // namespace

std::unique_ptr<DataReader> open_data(const fs::path& path, const std::vector<InputSpec>& inputs,
                                      const InputConfig& config) {
  std::vector<InputAdapter> adapters = make_adapters(inputs, config);
  std::error_code ignored;
  if (!fs::exists(path, ignored)) throw Error(ErrorKind::kData, "{}: no such file or folder", quoted(path));
  if (inputs.empty()) return open_data_without_inputs(path);
  if (adapters.empty()) throw Error(ErrorKind::kData, "{}: outputs feed all inputs of the model", quoted(path));
  if (fs::is_directory(path)) return open_folder(path, std::move(adapters));
  if (has_extension(path, kImageExtensions)) return open_images({path}, std::move(adapters));
  if (is_array_file(path)) return read_arrays({{path, {path}}}, std::move(adapters));
  throw Error(ErrorKind::kData, "{}: a file of unknown kind; data are {}", quoted(path), kUsable);
}

std::set<std::string> array_names(const fs::path& path) {
  std::error_code ignored;
  std::vector<fs::path> files;
  if (fs::is_directory(path, ignored)) {
    const FolderContent content = list_folder(path);
    files = inputs_in(content.arrays);
    for (const fs::path& folder : content.data_sets) {
      const std::vector<fs::path> inputs = inputs_in(list_folder(folder).arrays);
      files.insert(files.end(), inputs.begin(), inputs.end());
    }
  } else if (is_array_file(path) && fs::exists(path, ignored)) {
    files.push_back(path);
  }
  std::set<std::string> names;
  for (const fs::path& file : files) {
    for (std::string& name : names_of_arrays(file)) names.insert(std::move(name));
  }
  return names;
}

std::unique_ptr<DataReader> nothing_to_read() {
  return std::make_unique<NothingReader>(std::vector<std::string>{"no data"});
}

std::vector<int64_t> spread_samples(int64_t size, int64_t count) {
  return spread_indices(size, count);
}

}  // namespace narrow::calib
