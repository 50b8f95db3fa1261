#include "apps/join.h"

#include <algorithm>
#include <cstring>

#include "lib/base/error.h"
#include "lib/tensor/convert.h"
#include "lib/tensor/packed.h"

namespace narrow::apps {
namespace {

bool fits(const Tensor& part, const Tensor& first) {
  const Shape& a = part.shape();
  const Shape& b = first.shape();
  return part.type() == first.type() && a.size() == b.size() &&
         (a.empty() || std::equal(a.begin() + 1, a.end(), b.begin() + 1));
}

/// Elements of 4 and 2 bits have no gaps between them, so each part's must be taken out of its bytes.
Tensor joined_packed(const std::vector<Tensor>& parts, DataType type, Shape shape) {
  Workspace workspace;
  std::vector<Tensor> bytes;
  for (const Tensor& part : parts) bytes.push_back(unpacked(part, workspace));
  Tensor all(bytes.front().type(), std::move(shape));
  std::byte* target = all.mutable_bytes();
  for (const Tensor& part : bytes) {
    target = std::copy(part.bytes(), part.bytes() + part.byte_size(), target);
  }
  return packed(all, type, workspace);
}

}  // namespace

Tensor joined(const std::vector<Tensor>& parts, const std::string& what) {
  const Tensor& first = parts.front();
  if (first.type() == DataType::kSequence || first.type() == DataType::kEmptyOptional) {
    throw Error(ErrorKind::kUsage, "{}: values of several feeds that are no tensors can not be joined", what);
  }
  Shape shape = first.shape();
  if (shape.empty()) shape = {1};
  shape[0] = 0;
  for (const Tensor& part : parts) {
    if (!fits(part, first)) {
      throw Error(ErrorKind::kUsage, "{} is {} {} for one feed and {} {} for another", what,
                  data_type_name(first.type()), shape_text(first.shape()), data_type_name(part.type()),
                  shape_text(part.shape()));
    }
    shape[0] += part.shape().empty() ? 1 : part.shape()[0];
  }
  if (first.type() == DataType::kString) {
    std::vector<std::string> texts;
    for (const Tensor& part : parts) texts.insert(texts.end(), part.strings().begin(), part.strings().end());
    return Tensor::of_strings(std::move(shape), std::move(texts));
  }
  if (is_packed(first.type())) return joined_packed(parts, first.type(), std::move(shape));
  Tensor all(first.type(), std::move(shape));
  std::byte* target = all.mutable_bytes();
  for (const Tensor& part : parts) {
    if (part.byte_size() > 0) std::memcpy(target, part.bytes(), part.byte_size());
    target += part.byte_size();
  }
  return all;
}

}  // namespace narrow::apps
