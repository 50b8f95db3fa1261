#include "calib/element_types.h"

#include <type_traits>
#include <utility>

#include "lib/base/error.h"
#include "lib/tensor/convert.h"
#include "lib/tensor/visit_type.h"
#include "lib/tensor/workspace.h"

namespace narrow::calib {
namespace {

bool is_integer(DataType type) {
  return visit_type(IntegerTypes(), type, []<class T>() {});
}

bool is_short_float(DataType type) {
  return type == DataType::kFloat16 || type == DataType::kBfloat16;
}

bool is_float(DataType type) {
  return type == DataType::kFloat32 || type == DataType::kFloat64 || is_short_float(type);
}

/// float32 holds all integers up to 2^24, not all beyond.
template <class From, class To>
bool is_exact(From x) {
  constexpr int64_t kLargest = int64_t{1} << 24;
  if constexpr (std::is_same_v<To, float>) {
    return std::cmp_less_equal(x, kLargest) && std::cmp_greater_equal(x, -kLargest);
  } else {
    return std::in_range<To>(x);
  }
}

/// Throws Error(kData) if To can not hold element `index`, which is `x`, exactly.
template <class From, class To>
To exact_value(From x, size_t index) {
  if (!is_exact<From, To>(x)) {
    throw Error(ErrorKind::kData, "element {} is {}, which {} can not hold exactly", index, x,
                data_type_name(data_type_of<To>()));
  }
  return static_cast<To>(x);
}

template <class From, class To>
Tensor convert(const Tensor& from) {
  Tensor result(data_type_of<To>(), from.shape());
  const auto source = from.data<From>();
  const auto target = result.mutable_data<To>();
  for (size_t i = 0; i < source.size(); ++i) target[i] = exact_value<From, To>(source[i], i);
  return result;
}

/// Booleans are stored as the bytes 0 and 1.
Tensor as_integers(const Tensor& tensor) {
  if (tensor.type() != DataType::kBool) return tensor;
  const auto owner = std::make_shared<const Tensor>(tensor);
  return Tensor(DataType::kUint8, tensor.shape(), Layout::kPlain, owner, tensor.bytes(), false);
}

}  // namespace

DataType fed_type(DataType type) {
  return is_short_float(type) ? DataType::kFloat32 : type;
}

bool feeds_type(DataType from, DataType to) {
  if (from == to) return true;
  to = fed_type(to);
  const bool whole = is_integer(from) || from == DataType::kBool;
  if (to == DataType::kFloat32) return whole || is_float(from);
  return whole && is_integer(to);
}

Tensor to_type(const Tensor& tensor, DataType to) {
  ensure(feeds_type(tensor.type(), to), "the types were checked");
  if (tensor.type() == to) return tensor;
  if (is_short_float(to)) {
    Workspace workspace;
    return convert_elements(to_type(tensor, DataType::kFloat32), to, workspace);
  }
  if (is_float(tensor.type())) return to_float32(tensor);
  const Tensor integers = as_integers(tensor);
  Tensor result;
  visit_type(IntegerTypes(), integers.type(), [&]<class From>() {
    if (to == DataType::kFloat32) {
      result = convert<From, float>(integers);
    } else {
      visit_type(IntegerTypes(), to, [&]<class To>() { result = convert<From, To>(integers); });
    }
  });
  return result;
}

void check_exact(const Tensor& tensor, DataType to) {
  if (!is_short_float(to) || is_float(tensor.type())) return;
  const Tensor whole = to_type(tensor, DataType::kFloat32);
  const Tensor kept = to_float32(to_type(whole, to));
  const auto wanted = whole.data<float>();
  const auto got = kept.data<float>();
  for (size_t i = 0; i < wanted.size(); ++i) {
    if (wanted[i] == got[i]) continue;
    throw Error(ErrorKind::kData, "element {} is {}, which {} can not hold exactly", i, wanted[i], data_type_name(to));
  }
}

}  // namespace narrow::calib
