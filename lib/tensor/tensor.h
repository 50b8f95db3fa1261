// A tensor: element type, shape, memory order and shared storage.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "lib/tensor/data_type.h"
#include "lib/tensor/shape.h"

namespace narrow {

/// Order of the elements in memory. kChannelsLast keeps the logical shape [N, C, spatial...] but stores C innermost;
/// only tensors of rank 3 and above have it.
enum class Layout { kPlain, kChannelsLast };

/// Copies share storage; mutable access to shared or foreign storage copies it first, so a tensor behaves as a value.
class Tensor {
 public:
  /// An empty tensor of undefined type: an optional input that is absent.
  Tensor() = default;
  /// Uninitialized elements, aligned to 64 bytes (strings are empty).
  Tensor(DataType type, Shape shape, Layout layout = Layout::kPlain);
  /// Elements kept in `storage`, which must hold at least storage_bytes() from `data` on; written only if `writable`.
  Tensor(DataType type, Shape shape, Layout layout, std::shared_ptr<const void> storage, const std::byte* data,
         bool writable);

  template <class T>
  static Tensor of(Shape shape, std::span<const T> values);
  template <class T>
  static Tensor of(Shape shape, std::initializer_list<T> values) {
    return of<T>(std::move(shape), std::span<const T>(values.begin(), values.size()));
  }
  static Tensor of_strings(Shape shape, std::vector<std::string> values);
  template <class T>
  static Tensor scalar(T value) {
    return of<T>({}, {value});
  }
  /// A sequence, which travels as a tensor of type kSequence and shape [number of elements]. Elements are plain.
  static Tensor of_sequence(std::vector<Tensor> elements);
  static Tensor empty_optional();

  bool defined() const { return type_ != DataType::kUndefined; }
  DataType type() const { return type_; }
  const Shape& shape() const { return shape_; }
  size_t rank() const { return shape_.size(); }
  Layout layout() const { return layout_; }
  int64_t size() const { return size_; }
  size_t byte_size() const { return storage_bytes(type_, size_); }

  /// Elements in memory order. T must be the element type (WrongElementType otherwise).
  template <class T>
  std::span<const T> data() const {
    check_type(data_type_of<T>());
    return {reinterpret_cast<const T*>(data_), static_cast<size_t>(size_)};
  }
  template <class T>
  std::span<T> mutable_data() {
    check_type(data_type_of<T>());
    return {reinterpret_cast<T*>(mutable_bytes()), static_cast<size_t>(size_)};
  }
  const std::byte* bytes() const { return data_; }
  std::byte* mutable_bytes();
  const std::vector<std::string>& strings() const;
  const std::vector<Tensor>& sequence() const;
  /// The elements, moved out where nobody else holds them; leaves the tensor undefined.
  std::vector<Tensor> take_sequence();

  /// The same elements under another shape of as many; of a channels-last tensor only the spatial axes may differ.
  Tensor reshaped(Shape shape) const;

  bool shares_storage_with(const Tensor& other) const { return storage_ == other.storage_; }
  /// True if no other tensor shares the storage and it may be written: safe to compute into.
  bool exclusive() const { return writable_ && storage_.use_count() == 1; }

 private:
  void check_type(DataType wanted) const;

  DataType type_ = DataType::kUndefined;
  Layout layout_ = Layout::kPlain;
  bool writable_ = false;
  Shape shape_;
  int64_t size_ = 0;
  const std::byte* data_ = nullptr;
  std::shared_ptr<const void> storage_;
};

/// The same tensor stored in another order; shares storage if the order is the same already.
Tensor to_layout(const Tensor& tensor, Layout layout);

/// Every element of a numeric type converted to float32 (see convert_elements()); float32 is shared, not copied.
Tensor to_float32(const Tensor& tensor);

template <class T>
Tensor Tensor::of(Shape shape, std::span<const T> values) {
  Tensor result(data_type_of<T>(), std::move(shape));
  const auto target = result.mutable_data<T>();
  for (size_t i = 0; i < target.size(); ++i) target[i] = values[i];
  return result;
}

}  // namespace narrow
