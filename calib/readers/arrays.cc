#include "calib/readers/arrays.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <charconv>
#include <list>
#include <mutex>
#include <optional>

#include "calib/readers/array_file.h"
#include "lib/base/error.h"

namespace narrow::calib {
namespace fs = std::filesystem;

namespace {

using Inputs = std::vector<InputAdapter>;

/// "input_2.pb" -> 2.
std::optional<size_t> position_in_name(const fs::path& path) {
  constexpr std::string_view kPrefix = "input_";
  const std::string stem = path.stem().string();
  if (!stem.starts_with(kPrefix)) return std::nullopt;
  size_t position = 0;
  const auto [end, failure] = std::from_chars(stem.data() + kPrefix.size(), stem.data() + stem.size(), position);
  if (failure != std::errc() || end != stem.data() + stem.size()) return std::nullopt;
  return position;
}

bool has_input(const Inputs& inputs, const std::string& name) {
  return std::any_of(inputs.begin(), inputs.end(), [&](const InputAdapter& i) { return i.spec().name == name; });
}

/// `name` must be an input.
const InputSpec& spec_of(const Inputs& inputs, const std::string& name) {
  const auto input =
      std::find_if(inputs.begin(), inputs.end(), [&](const InputAdapter& i) { return i.spec().name == name; });
  return input->spec();
}

/// A file that does not say which input it is for feeds the only one, or the one that the file is named after.
std::string only_input(const Inputs& inputs, const fs::path& path) {
  if (inputs.size() == 1) return inputs.front().spec().name;
  if (has_input(inputs, path.stem().string())) return path.stem().string();
  throw Error(ErrorKind::kData, "{}: one array, and the model has {} inputs; use a .npz with an array for each",
              quoted(path), inputs.size());
}

std::vector<FileArray> load_npy(const fs::path& path, const Inputs& inputs, Part) {
  FileArray array = read_npy(path);
  array.name = only_input(inputs, path);
  return {std::move(array)};
}

std::vector<FileArray> load_npz(const fs::path& path, const Inputs&, Part part) {
  return read_npz(path, part);
}

/// The file as the input that its own name says. Its bytes do not tell which kind of proto it is, so it is read as each
/// kind that an input wants.
std::optional<FileArray> read_named_value(const fs::path& path, const Inputs& inputs) {
  for (const auto form : {graph::ValueForm::kTensor, graph::ValueForm::kSequence, graph::ValueForm::kOptional}) {
    const auto wants_form = [&](const InputAdapter& input) { return input.spec().form == form; };
    if (std::none_of(inputs.begin(), inputs.end(), wants_form)) continue;
    try {
      FileArray array = read_value_proto(path, form);
      const bool named = std::any_of(inputs.begin(), inputs.end(), [&](const InputAdapter& input) {
        return wants_form(input) && input.spec().name == array.name;
      });
      if (named) return array;
    } catch (const Error&) {
      continue;  // of another kind, or broken: then the input that it is for says how
    }
  }
  return std::nullopt;
}

std::vector<FileArray> load_pb(const fs::path& path, const Inputs& inputs, Part) {
  if (auto named = read_named_value(path, inputs)) return {std::move(*named)};
  const auto position = position_in_name(path);
  if (position && *position >= inputs.size()) {
    throw Error(ErrorKind::kData, "{}: the model has {} inputs, there is none at position {}", quoted(path),
                inputs.size(), *position);
  }
  const InputSpec& spec = position ? inputs[*position].spec() : spec_of(inputs, only_input(inputs, path));
  FileArray array = read_value_proto(path, spec.form);
  array.name = spec.name;
  return {std::move(array)};
}

std::vector<FileArray> load_raw(const fs::path& path, const Inputs& inputs, Part) {
  const std::string name = only_input(inputs, path);
  const InputSpec& spec = spec_of(inputs, name);
  const bool fixed = spec.shape && !spec.shape->empty() && data_type_bits(spec.type) >= 8 &&
                     std::find(spec.shape->begin() + 1, spec.shape->end(), -1) == spec.shape->end();
  if (!fixed) {
    throw Error(ErrorKind::kData, "{}: raw elements have no shape, and input '{}' is {}, not of a fixed one",
                quoted(path), name, spec.shape ? shape_text(*spec.shape) : "of unknown rank");
  }
  FileArray array = read_raw(path, spec.type, {spec.shape->begin() + 1, spec.shape->end()});
  array.name = name;
  return {std::move(array)};
}

struct FormatRow {
  std::string_view extension;
  std::vector<FileArray> (*load)(const fs::path& path, const Inputs& inputs, Part part);
  bool fed_whole;
};

constexpr std::array kFormats{
    FormatRow{".bin", load_raw, false},
    FormatRow{".npy", load_npy, false},
    FormatRow{".npz", load_npz, false},
    FormatRow{".pb", load_pb, true},
};

const FormatRow* format_of(const fs::path& path) {
  const auto found = std::find_if(kFormats.begin(), kFormats.end(),
                                  [&](const FormatRow& row) { return row.extension == path.extension().string(); });
  return found == kFormats.end() ? nullptr : &*found;
}

/// The array of one input, with the way it becomes feeds.
struct InputArray {
  FileArray array;
  fs::path file;
  ArraySplit split;
};

/// The arrays of a group by input, complete and of one number of feeds.
struct LoadedGroup {
  std::vector<InputArray> arrays;  // in the order of the inputs
  int64_t feeds = 1;
  int64_t samples = 1;
};

class GroupLoader {
 public:
  explicit GroupLoader(Inputs inputs) : inputs_(std::move(inputs)) {
    for (const InputAdapter& input : inputs_) names_.push_back(input.spec().name);
  }

  const Inputs& inputs() const { return inputs_; }

  LoadedGroup load(const ArrayGroup& group, Part part) const {
    std::vector<std::optional<InputArray>> found(inputs_.size());
    for (const fs::path& file : group.files) {
      const FormatRow& format = *format_of(file);
      for (FileArray& array : format.load(file, inputs_, part)) {
        const size_t input = index_of(array.name, file);
        if (found[input]) throw Error(ErrorKind::kData, "{}: a second array for input '{}'", quoted(file), array.name);
        const ArraySplit split = in_context(fmt::format("{}: input '{}'", quoted(file), array.name), [&] {
          return format.fed_whole ? inputs_[input].whole(array.type, array.shape)
                                  : inputs_[input].split(array.type, array.shape);
        });
        found[input] = InputArray{std::move(array), file, split};
      }
    }
    LoadedGroup result;
    for (size_t i = 0; i < found.size(); ++i) {
      if (!found[i]) {
        throw Error(ErrorKind::kData, "{}: no array for input '{}'{}", quoted(group.name), names_[i],
                    names_[i].find('/') == std::string::npos ? "" : "; a .npz may have one of that name, a folder not");
      }
      result.arrays.push_back(std::move(*found[i]));
    }
    if (is_one_feed(result)) {
      for (size_t i = 0; i < result.arrays.size(); ++i) {
        const FileArray& array = result.arrays[i].array;
        result.arrays[i].split = inputs_[i].whole(array.type, array.shape);
      }
    }
    count_feeds(group, result);
    return result;
  }

 private:
  /// The model fixes the first axis of some inputs, and those have one feed; where others disagree, their free first
  /// axes are not samples but steps of a sequence, say, and each array is fed as it is.
  bool is_one_feed(const LoadedGroup& loaded) const {
    bool fixed = false;
    bool disagree = false;
    for (size_t i = 0; i < loaded.arrays.size(); ++i) {
      const InputArray& array = loaded.arrays[i];
      if (array.split.repeats) continue;
      const auto& wanted = inputs_[i].spec().shape;
      if (!wanted || wanted->size() != array.array.shape.size()) return false;
      const bool free = wanted->front() == -1;
      if (!free && array.split.feeds != 1) return false;
      fixed |= !free;
      disagree |= array.split.feeds != 1;
    }
    return fixed && disagree;
  }

  size_t index_of(const std::string& name, const fs::path& file) const {
    const auto at = std::find(names_.begin(), names_.end(), name);
    if (at != names_.end()) return static_cast<size_t>(at - names_.begin());
    throw Error(ErrorKind::kData, "{}: array '{}' is no input of the model{}; its inputs are {}", quoted(file), name,
                did_you_mean(name, names_), fmt::join(names_, ", "));
  }

  void count_feeds(const ArrayGroup& group, LoadedGroup& loaded) const {
    const InputArray* counted = nullptr;  // the first that tells how many feeds there are
    for (const InputArray& array : loaded.arrays) {
      if (array.split.repeats) continue;
      if (counted == nullptr) counted = &array;
      if (array.split.feeds != counted->split.feeds) {
        throw Error(ErrorKind::kData, "{}: input '{}' has {} samples, input '{}' has {}", quoted(group.name),
                    counted->array.name, counted->split.feeds, array.array.name, array.split.feeds);
      }
    }
    const ArraySplit& split = counted == nullptr ? loaded.arrays.front().split : counted->split;
    loaded.feeds = split.feeds;
    loaded.samples = split.feeds * split.batch;
  }

  Inputs inputs_;
  std::vector<std::string> names_;
};

class ArrayReader : public DataReader {
 public:
  ArrayReader(std::vector<ArrayGroup> groups, Inputs inputs) : groups_(std::move(groups)), loader_(std::move(inputs)) {
    for (const ArrayGroup& group : groups_) {
      const LoadedGroup headers = loader_.load(group, Part::kHeaders);
      first_feed_.push_back(size_);
      size_ += headers.feeds;
      samples_ += headers.samples;
    }
  }

  int64_t size() const override { return size_; }
  int64_t samples() const override { return samples_; }

  std::string source(int64_t index) const override {
    const size_t group = group_of(index);
    const int64_t feeds = (group + 1 < groups_.size() ? first_feed_[group + 1] : size_) - first_feed_[group];
    if (feeds == 1) return quoted(groups_[group].name);
    return fmt::format("{}[{}]", quoted(groups_[group].name), index - first_feed_[group]);
  }

  std::vector<fs::path> files() const override {
    std::vector<fs::path> result;
    for (const ArrayGroup& group : groups_) result.insert(result.end(), group.files.begin(), group.files.end());
    std::sort(result.begin(), result.end());
    return result;
  }

  exec::Feed read(int64_t index) const override {
    const size_t group = group_of(index);
    const auto loaded = cached(group);
    const int64_t local = index - first_feed_[group];
    if (local >= loaded->feeds) {
      throw Error(ErrorKind::kData, "{}: has changed while it was read", quoted(groups_[group].name));
    }
    exec::Feed feed;
    for (size_t i = 0; i < loaded->arrays.size(); ++i) {
      const InputArray& array = loaded->arrays[i];
      feed[array.array.name] = in_context(fmt::format("{}: input '{}'", quoted(array.file), array.array.name), [&] {
        return loader_.inputs()[i].feed(array.array.tensor, array.split, local);
      });
    }
    release_pages(*loaded);
    return feed;
  }

 private:
  using CachedGroup = std::pair<size_t, std::shared_ptr<const LoadedGroup>>;
  static constexpr size_t kCachedGroups = 4;
  static constexpr int64_t kResidentBytes = int64_t{8} << 20;

  size_t group_of(int64_t index) const {
    ensure(index >= 0 && index < size_, "a feed is one of the reader's");
    return static_cast<size_t>(std::upper_bound(first_feed_.begin(), first_feed_.end(), index) - first_feed_.begin()) -
           1;
  }

  // A large file is read once from front to back as a rule: what has been read need not stay in memory. Feeds still in
  // use read their pages again.
  void release_pages(const LoadedGroup& loaded) const {
    int64_t bytes = 0;
    for (const InputArray& array : loaded.arrays) {
      if (array.array.mapped) bytes += static_cast<int64_t>(array.array.mapped->bytes().size()) / loaded.feeds;
    }
    if (read_bytes_.fetch_add(bytes) + bytes < kResidentBytes) return;
    read_bytes_.store(0);
    for (const InputArray& array : loaded.arrays) {
      if (array.array.mapped) array.array.mapped->release();
    }
  }

  // Loading is done under the lock: two threads that want the same large file must not both unpack it.
  std::shared_ptr<const LoadedGroup> cached(size_t group) const {
    const std::lock_guard lock(mutex_);
    for (auto entry = cache_.begin(); entry != cache_.end(); ++entry) {
      if (entry->first != group) continue;
      cache_.splice(cache_.begin(), cache_, entry);
      return entry->second;
    }
    auto loaded = std::make_shared<const LoadedGroup>(loader_.load(groups_[group], Part::kAll));
    cache_.emplace_front(group, loaded);
    if (cache_.size() > kCachedGroups) cache_.pop_back();
    return loaded;
  }

  std::vector<ArrayGroup> groups_;
  GroupLoader loader_;
  std::vector<int64_t> first_feed_;
  int64_t size_ = 0;
  int64_t samples_ = 0;
  mutable std::mutex mutex_;
  mutable std::list<CachedGroup> cache_;        // latest first
  mutable std::atomic<int64_t> read_bytes_{0};  // of mapped files, since pages were last released
};

}  // namespace

std::vector<std::string> names_of_arrays(const fs::path& path) {
  std::vector<std::string> names{path.stem().string()};
  if (path.extension() == ".npz") {
    names.clear();
    for (const FileArray& array : read_npz(path, Part::kHeaders)) names.push_back(array.name);
  }
  if (path.extension() != ".pb") return names;
  for (const auto form : {graph::ValueForm::kTensor, graph::ValueForm::kSequence, graph::ValueForm::kOptional}) {
    try {
      names.push_back(read_value_proto(path, form).name);
    } catch (const Error&) {
      continue;  // of another kind; whoever reads the values says what is wrong
    }
  }
  return names;
}

bool is_array_file(const fs::path& path) {
  return format_of(path) != nullptr;
}

std::unique_ptr<DataReader> read_arrays(std::vector<ArrayGroup> groups, std::vector<InputAdapter> inputs) {
  return std::make_unique<ArrayReader>(std::move(groups), std::move(inputs));
}

}  // namespace narrow::calib
