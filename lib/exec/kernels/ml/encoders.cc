// LabelEncoder, CategoryMapper, OneHotEncoder and ArrayFeatureExtractor: values looked up in lists.
#include <bit>
#include <cmath>
#include <unordered_map>

#include "lib/exec/kernels/axis_rows.h"
#include "lib/exec/kernels/cast.h"
#include "lib/exec/kernels/ml/families.h"
#include "lib/graph/model.h"

namespace narrow::exec {
namespace {

// Equal keys have equal bits: one NaN, one zero; integers of any width as 64 bits.
template <class T>
uint64_t key_bits(T value) {
  if constexpr (std::is_floating_point_v<T>) {
    if (std::isnan(value)) return ~uint64_t{0};
    return std::bit_cast<uint64_t>(value == 0 ? 0.0 : static_cast<double>(value));
  } else {
    return static_cast<uint64_t>(static_cast<int64_t>(value));
  }
}

// The standard does not say which of equal keys counts; onnxruntime has the first in LabelEncoder of version 2 on, else
// the last.
enum class Equals { kFirst, kLast };

// Where a value stands in a list.
class Vocabulary {
 public:
  Vocabulary(const Tensor& keys, Equals equals) : type_(keys.type()), size_(keys.size()) {
    int64_t index = 0;
    const auto add = [&](auto& map, const auto& key) {
      const auto [place, is_new] = map.emplace(key, index);
      if (!is_new && equals == Equals::kLast) place->second = index;
      ++index;
    };
    if (type_ == DataType::kString) {
      for (const std::string& key : keys.strings()) add(strings_, key);
      return;
    }
    dispatch_type(FixedTypes(), type_, [&]<class T>() {
      for (const T key : keys.data<T>()) add(numbers_, key_bits(key));
    });
  }

  int64_t size() const { return size_; }

  /// Of each element of `x`, converted to the keys' type; size() for what is not in the list.
  std::vector<int64_t> find(const Tensor& x, Workspace& workspace) const {
    std::vector<int64_t> found;
    const auto add = [&](const auto& map, const auto& key) {
      const auto place = map.find(key);
      found.push_back(place == map.end() ? size_ : place->second);
    };
    if ((x.type() == DataType::kString) != (type_ == DataType::kString)) {
      throw Error(ErrorKind::kModel, "{} looked up among {}", data_type_name(x.type()), data_type_name(type_));
    }
    if (type_ == DataType::kString) {
      for (const std::string& key : x.strings()) add(strings_, key);
      return found;
    }
    const Tensor converted = cast_tensor(x, type_, workspace);
    dispatch_type(FixedTypes(), type_, [&]<class T>() {
      for (const T key : converted.data<T>()) add(numbers_, key_bits(key));
    });
    return found;
  }

 private:
  DataType type_;
  int64_t size_;
  std::unordered_map<std::string, int64_t> strings_;
  std::unordered_map<uint64_t, int64_t> numbers_;
};

Tensor strings_tensor(const std::vector<std::string>& values) {
  return Tensor::of_strings({static_cast<int64_t>(values.size())}, values);
}

template <class T>
Tensor vector_of(const std::vector<T>& values) {
  return Tensor::of<T>({static_cast<int64_t>(values.size())}, std::span<const T>(values));
}

// The list that the node has under "<prefix>_floats" and its like; undefined if it has none.
Tensor list_attribute(const onnx::NodeProto& node, const std::string& prefix) {
  const auto has = [&](const char* suffix) { return graph::find_attribute(node, prefix + suffix) != nullptr; };
  if (has("_tensor")) return graph::embedded_tensor(graph::find_attribute(node, prefix + "_tensor")->t());
  if (has("_strings")) return strings_tensor(graph::strings_attribute(node, prefix + "_strings"));
  if (has("_int64s")) return vector_of<int64_t>(graph::ints_attribute(node, prefix + "_int64s"));
  if (has("_floats")) return vector_of<float>(graph::floats_attribute(node, prefix + "_floats"));
  return {};
}

// What stands for a value that is not in the list.
Tensor default_value(const onnx::NodeProto& node, DataType type) {
  if (const auto* tensor = graph::find_attribute(node, "default_tensor")) {
    return graph::embedded_tensor(tensor->t()).reshaped({1});
  }
  switch (type) {
    case DataType::kString:
      return strings_tensor({graph::string_attribute(node, "default_string", "_Unused")});
    case DataType::kFloat32:
      return vector_of<float>({graph::float_attribute(node, "default_float", -0.0F)});
    default:
      return vector_of<int64_t>({graph::int_attribute(node, "default_int64", -1)});
  }
}

Tensor with_default(const Tensor& values, const Tensor& otherwise) {
  if (otherwise.type() != values.type()) throw Error(ErrorKind::kModel, "a default of another type");
  if (values.type() == DataType::kString) {
    std::vector<std::string> all = values.strings();
    all.push_back(otherwise.strings()[0]);
    return strings_tensor(all);
  }
  Tensor all(values.type(), {values.size() + 1});
  dispatch_width(values.type(), [&]<class U>() {
    U* end = std::copy_n(elements<U>(values), values.size(), mutable_elements<U>(all));
    *end = elements<U>(otherwise)[0];
  });
  return all;
}

KernelPtr lookup(const KernelRequest& request, const Tensor& keys, const Tensor& values) {
  if (!keys.defined() || !values.defined() || keys.size() != values.size()) refuse(request, "keys and values differ");
  const Tensor all = with_default(values, default_value(*request.node, values.type()));
  return kernel_of([vocabulary = Vocabulary(keys, Equals::kFirst), all](
                       std::span<Tensor> inputs, std::span<Tensor> outputs, Workspace& workspace) {
    const Tensor& x = required(inputs, 0);
    outputs[0] = gather_blocks(all, x.shape(), vocabulary.find(x, workspace), /*inner=*/1, workspace);
  });
}

// Strings to their numbers or back, whichever the input is.
KernelPtr two_way_lookup(const KernelRequest& request, const std::vector<std::string>& words,
                         const std::vector<int64_t>& numbers) {
  const Tensor strings = strings_tensor(words);
  const Tensor integers = vector_of<int64_t>(numbers);
  if (strings.size() != integers.size()) refuse(request, "lists of different length");
  const Tensor to_strings = with_default(strings, default_value(*request.node, DataType::kString));
  const Tensor to_integers = with_default(integers, default_value(*request.node, DataType::kInt64));
  return kernel_of(
      [=, of_strings = Vocabulary(strings, Equals::kLast), of_integers = Vocabulary(integers, Equals::kLast)](
          std::span<Tensor> inputs, std::span<Tensor> outputs, Workspace& workspace) {
        const Tensor& x = required(inputs, 0);
        const bool forward = x.type() == DataType::kString;
        outputs[0] = gather_blocks(forward ? to_integers : to_strings, x.shape(),
                                   (forward ? of_strings : of_integers).find(x, workspace), /*inner=*/1, workspace);
      });
}

}  // namespace

KernelPtr make_label_encoder(const KernelRequest& request) {
  if (request.opset < 2) {
    const auto words = graph::strings_attribute(*request.node, "classes_strings");
    std::vector<int64_t> numbers(words.size());
    for (size_t i = 0; i < numbers.size(); ++i) numbers[i] = static_cast<int64_t>(i);
    return two_way_lookup(request, words, numbers);
  }
  return lookup(request, list_attribute(*request.node, "keys"), list_attribute(*request.node, "values"));
}

KernelPtr make_category_mapper(const KernelRequest& request) {
  return two_way_lookup(request, graph::strings_attribute(*request.node, "cats_strings"),
                        graph::ints_attribute(*request.node, "cats_int64s"));
}

KernelPtr make_one_hot_encoder(const KernelRequest& request) {
  const Tensor keys = list_attribute(*request.node, "cats");
  if (!keys.defined()) refuse(request, "it has no categories");
  const bool zeros = graph::int_attribute(*request.node, "zeros", 1) != 0;
  return kernel_of([vocabulary = Vocabulary(keys, Equals::kLast), zeros](
                       std::span<Tensor> inputs, std::span<Tensor> outputs, Workspace& workspace) {
    const Tensor& x = required(inputs, 0);
    const std::vector<int64_t> found = vocabulary.find(x, workspace);
    Shape shape = x.shape();
    shape.push_back(vocabulary.size());
    outputs[0] = workspace.allocate(DataType::kFloat32, shape);
    const auto to = outputs[0].mutable_data<float>();
    std::fill(to.begin(), to.end(), 0.0F);
    for (size_t i = 0; i < found.size(); ++i) {
      const bool known = found[i] < vocabulary.size();
      if (!known && !zeros) throw Error(ErrorKind::kModel, "element {} is in no category", i);
      if (known) to[i * static_cast<size_t>(vocabulary.size()) + static_cast<size_t>(found[i])] = 1;
    }
  });
}

// Columns of the last axis; a vector gives one row.
KernelPtr make_array_feature_extractor(const KernelRequest& /*request*/) {
  return kernel_of([](std::span<Tensor> inputs, std::span<Tensor> outputs, Workspace& workspace) {
    const Tensor& x = required(inputs, 0);
    const std::vector<int64_t> columns = int_list(required(inputs, 1));
    if (x.rank() == 0) throw Error(ErrorKind::kModel, "a scalar has no features");
    const int64_t width = x.shape().back();
    std::vector<int64_t> blocks;
    for (int64_t row = 0; row < product(std::span(x.shape()).first(x.rank() - 1)); ++row) {
      for (const int64_t column : columns) {
        if (column < 0 || column >= width) throw Error(ErrorKind::kModel, "feature {} of {}", column, width);
        blocks.push_back(row * width + column);
      }
    }
    Shape shape = x.rank() == 1 ? Shape{1, 0} : x.shape();
    shape.back() = static_cast<int64_t>(columns.size());
    outputs[0] = gather_blocks(x, shape, blocks, /*inner=*/1, workspace);
  });
}

}  // namespace narrow::exec
