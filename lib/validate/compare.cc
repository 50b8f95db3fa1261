#include "lib/validate/compare.h"

#include <algorithm>

#include "lib/base/error.h"

namespace narrow::validate {
namespace {

Tensor plain_float(const Tensor& tensor) {
  return to_float32(to_layout(tensor, Layout::kPlain));
}

}  // namespace

void KeptIntegers::on_value(const std::string& value, const Tensor& tensor) {
  if (!wanted_.contains(value)) return;
  const Tensor plain = to_layout(tensor, Layout::kPlain);
  // Storage of its own: the run may write over what it lends.
  Tensor copy(plain.type(), plain.shape());
  std::copy(plain.bytes(), plain.bytes() + plain.byte_size(), copy.mutable_bytes());
  kept_[value] = std::move(copy);
}

std::optional<Tensor> KeptIntegers::dequantized(const std::string& value) const {
  const auto found = kept_.find(value);
  if (found == kept_.end()) return std::nullopt;
  return quant::dequantize(found->second, *wanted_.at(value));
}

std::optional<ErrorStatistics> compare(const std::string& value, const Tensor& reference, const Tensor& actual) {
  if (reference.rank() != actual.rank() || reference.type() != actual.type()) {
    throw Error(ErrorKind::kModel, "value '{}' is {} {} in the float model and {} {} in the quantized one", value,
                data_type_name(reference.type()), shape_text(reference.shape()), data_type_name(actual.type()),
                shape_text(actual.shape()));
  }
  const bool numbers = data_type_bits(reference.type()) > 0 && reference.type() != DataType::kComplex64 &&
                       reference.type() != DataType::kComplex128;
  if (reference.shape() != actual.shape() || !numbers) return std::nullopt;
  ErrorStatistics statistics;
  const Tensor x = plain_float(reference);
  const Tensor y = plain_float(actual);
  statistics.add(x.data<float>(), y.data<float>());
  return statistics;
}

bool is_real(DataType type) {
  return type == DataType::kFloat32 || type == DataType::kFloat16 || type == DataType::kBfloat16 ||
         type == DataType::kFloat64;
}

std::optional<ScoreRows> score_rows(const Tensor& tensor) {
  if (!is_real(tensor.type()) || tensor.rank() < 2 || tensor.size() == 0) return std::nullopt;
  const Shape& shape = tensor.shape();
  size_t axis = shape.size() - 1;
  while (axis > 0 && shape[axis] == 1) --axis;
  // Exactly one axis beside the batch: boxes, maps and sequences have no one answer per sample.
  if (axis == 0 || shape[axis] * shape[0] != tensor.size()) return std::nullopt;
  const Tensor plain = plain_float(tensor);
  return ScoreRows{{plain.data<float>().begin(), plain.data<float>().end()}, shape[axis]};
}

std::optional<Agreement> agreement(const Tensor& reference, const Tensor& actual) {
  const auto x = score_rows(reference);
  const auto y = score_rows(actual);
  if (!x || !y || x->rows() != y->rows() || x->columns != y->columns) return std::nullopt;
  Agreement result{.rows = x->rows(), .equal = 0};
  for (int64_t i = 0; i < x->rows(); ++i) result.equal += argmax(x->row(i)) == argmax(y->row(i)) ? 1 : 0;
  return result;
}

}  // namespace narrow::validate
