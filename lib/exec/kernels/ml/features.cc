// Binarizer, Normalizer, Scaler, Imputer and FeatureVectorizer: numbers to numbers, feature by feature.
#include <cmath>
#include <limits>
#include <numeric>

#include "lib/exec/kernels/cast.h"
#include "lib/exec/kernels/ml/families.h"
#include "lib/exec/kernels/support.h"

namespace narrow::exec {
namespace {

// [N, C], or [C] as one row.
struct FeatureRows {
  int64_t rows = 1;
  int64_t features = 0;
};

FeatureRows feature_rows(const Tensor& x) {
  if (x.rank() == 0 || x.rank() > 2) {
    throw Error(ErrorKind::kModel, "expected [N, C] or [C], got {}", shape_text(x.shape()));
  }
  return {x.rank() == 2 ? x.shape()[0] : 1, x.shape().back()};
}

// One value for all features, or one for each.
void check_count(size_t count, int64_t features, const char* what) {
  if (count != 1 && static_cast<int64_t>(count) != features) {
    throw Error(ErrorKind::kModel, "{} {} for {} features", count, what, features);
  }
}

// MAX is the largest value, not the largest magnitude: it may be negative, and then turns the signs.
float row_norm(const std::string& kind, const float* row, int64_t count) {
  if (kind == "MAX")
    return std::accumulate(row, row + count, std::numeric_limits<float>::lowest(),
                           [](float a, float b) { return std::max(a, b); });
  double sum = 0;
  for (int64_t i = 0; i < count; ++i) {
    const double value = std::abs(static_cast<double>(row[i]));
    if (kind == "L1") sum += value;
    if (kind == "L2") sum += value * value;
  }
  return static_cast<float>(kind == "L2" ? std::sqrt(sum) : sum);
}

}  // namespace

KernelPtr make_binarizer(const KernelRequest& request) {
  const auto threshold = static_cast<double>(graph::float_attribute(*request.node, "threshold", 0.0F));
  return kernel_of([threshold](std::span<Tensor> inputs, std::span<Tensor> outputs, Workspace& workspace) {
    const Tensor& x = required(inputs, 0);
    outputs[0] = workspace.allocate(x.type(), x.shape());
    dispatch_type(NumberTypes(), x.type(), [&]<class T>() {
      const auto from = x.data<T>();
      const auto to = outputs[0].mutable_data<T>();
      for (size_t i = 0; i < to.size(); ++i) to[i] = static_cast<double>(from[i]) > threshold ? T{1} : T{0};
    });
  });
}

KernelPtr make_row_normalizer(const KernelRequest& request) {
  const std::string kind = graph::string_attribute(*request.node, "norm", "MAX");
  if (kind != "MAX" && kind != "L1" && kind != "L2") refuse(request, "unknown norm '" + kind + "'");
  return kernel_of([kind](std::span<Tensor> inputs, std::span<Tensor> outputs, Workspace& workspace) {
    const Tensor x = cast_tensor(required(inputs, 0), DataType::kFloat32, workspace);
    const FeatureRows shape = feature_rows(x);
    outputs[0] = workspace.allocate(DataType::kFloat32, x.shape());
    const float* from = x.data<float>().data();
    float* to = outputs[0].mutable_data<float>().data();
    for (int64_t row = 0; row < shape.rows; ++row) {
      const int64_t first = row * shape.features;
      const float norm = row_norm(kind, from + first, shape.features);
      // A row of zeros stays one.
      for (int64_t i = first; i < first + shape.features; ++i) to[i] = norm == 0 ? from[i] : from[i] / norm;
    }
  });
}

// (x - offset) * scale.
KernelPtr make_scaler(const KernelRequest& request) {
  const std::vector<float> offset = graph::floats_attribute(*request.node, "offset");
  const std::vector<float> scale = graph::floats_attribute(*request.node, "scale");
  if (offset.empty() || scale.empty()) refuse(request, "offset or scale is missing");
  return kernel_of([=](std::span<Tensor> inputs, std::span<Tensor> outputs, Workspace& workspace) {
    const Tensor x = cast_tensor(required(inputs, 0), DataType::kFloat32, workspace);
    const FeatureRows shape = feature_rows(x);
    check_count(offset.size(), shape.features, "offsets");
    check_count(scale.size(), shape.features, "scales");
    outputs[0] = workspace.allocate(DataType::kFloat32, x.shape());
    const auto to = outputs[0].mutable_data<float>();
    for (size_t i = 0; i < to.size(); ++i) {
      const size_t feature = i % static_cast<size_t>(shape.features);
      to[i] = (x.data<float>()[i] - offset[offset.size() == 1 ? 0 : feature]) * scale[scale.size() == 1 ? 0 : feature];
    }
  });
}

KernelPtr make_imputer(const KernelRequest& request) {
  const std::vector<float> floats = graph::floats_attribute(*request.node, "imputed_value_floats");
  const std::vector<int64_t> integers = graph::ints_attribute(*request.node, "imputed_value_int64s");
  if (floats.empty() == integers.empty()) refuse(request, "it needs either floats or integers to put in");
  std::vector<double> values(floats.begin(), floats.end());
  for (const int64_t value : integers) values.push_back(static_cast<double>(value));
  const double replaced =
      floats.empty() ? static_cast<double>(graph::int_attribute(*request.node, "replaced_value_int64", 0))
                     : static_cast<double>(graph::float_attribute(*request.node, "replaced_value_float", 0.0F));
  return kernel_of([=](std::span<Tensor> inputs, std::span<Tensor> outputs, Workspace& workspace) {
    const Tensor& x = required(inputs, 0);
    const FeatureRows shape = feature_rows(x);
    check_count(values.size(), shape.features, "values");
    outputs[0] = workspace.allocate(x.type(), x.shape());
    dispatch_type(TypeList<float, double, int32_t, int64_t>(), x.type(), [&]<class T>() {
      const auto to = outputs[0].mutable_data<T>();
      for (size_t i = 0; i < to.size(); ++i) {
        const T value = x.data<T>()[i];
        const auto number = static_cast<double>(value);
        const bool missing = std::isnan(replaced) ? std::isnan(number) : number == replaced;
        const size_t feature = values.size() == 1 ? 0 : i % static_cast<size_t>(shape.features);
        to[i] = missing ? static_cast<T>(values[feature]) : value;
      }
    });
  });
}

// Inputs side by side, each cut or filled with zeros to the width that the node gives it.
KernelPtr make_feature_vectorizer(const KernelRequest& request) {
  const std::vector<int64_t> widths = graph::ints_attribute(*request.node, "inputdimensions");
  if (static_cast<int>(widths.size()) != request.node->input_size()) refuse(request, "inputdimensions do not fit");
  return kernel_of([widths](std::span<Tensor> inputs, std::span<Tensor> outputs, Workspace& workspace) {
    int64_t total = 0;
    for (const int64_t width : widths) total += width;
    const auto rows_of = [](const Tensor& x) { return x.rank() == 0 ? 1 : x.shape()[0]; };
    const int64_t rows = rows_of(required(inputs, 0));
    outputs[0] = workspace.allocate(DataType::kFloat32, {rows, total});
    float* to = outputs[0].mutable_data<float>().data();
    std::fill_n(to, rows * total, 0.0F);
    for (size_t k = 0; k < inputs.size(); ++k) {
      const Tensor x = cast_tensor(required(inputs, k), DataType::kFloat32, workspace);
      if (rows_of(x) != rows) throw Error(ErrorKind::kModel, "inputs of {} and {} rows", rows, rows_of(x));
      const int64_t width = rows == 0 ? 0 : x.size() / rows;
      for (int64_t row = 0; row < rows; ++row) {
        std::copy_n(x.data<float>().data() + row * width, std::min(width, widths[k]), to + row * total);
      }
      to += widths[k];
    }
  });
}

// [N, C] or [C], a row for each map: a sequence of maps, as graph::ValueForm::kMaps has them.
KernelPtr make_zip_map(const KernelRequest& request) {
  const std::vector<std::string> names = graph::strings_attribute(*request.node, "classlabels_strings");
  const std::vector<int64_t> numbers = graph::ints_attribute(*request.node, "classlabels_int64s");
  if (names.empty() == numbers.empty()) refuse(request, "labels have to be strings or integers");
  const auto count = static_cast<int64_t>(names.empty() ? numbers.size() : names.size());
  const Tensor keys = names.empty() ? Tensor::of<int64_t>({count}, std::span<const int64_t>(numbers))
                                    : Tensor::of_strings({count}, names);
  return kernel_of([keys, count](std::span<Tensor> inputs, std::span<Tensor> outputs, Workspace&) {
    const Tensor& x = required(inputs, 0);
    const FeatureRows size = feature_rows(x);
    if (size.features != count) throw Error(ErrorKind::kModel, "{} labels for {} columns", count, size.features);
    std::vector<Tensor> maps;
    for (int64_t row = 0; row < size.rows; ++row) {
      const auto values = x.data<float>().subspan(static_cast<size_t>(row * count), static_cast<size_t>(count));
      maps.push_back(Tensor::of_sequence({keys, Tensor::of<float>({count}, values)}));
    }
    outputs[0] = Tensor::of_sequence(std::move(maps));
  });
}

// DictVectorizer and CastMap.
KernelPtr make_map_operator(const KernelRequest& request) {
  refuse(request, "its input is a map, and there are only tensors");
}

}  // namespace narrow::exec
