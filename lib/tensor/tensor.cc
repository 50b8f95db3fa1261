#include "lib/tensor/tensor.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <utility>

#include "lib/base/parallel.h"
#include "lib/tensor/memory.h"
#include "lib/tensor/workspace.h"
#include "lib/tensor/wrong_element_type.h"

namespace narrow {
namespace {

std::shared_ptr<std::byte> allocate(size_t bytes) {
  return {allocate_tensor(std::max<size_t>(bytes, 1)), [](std::byte* p) { ::operator delete(p, kTensorAlignment); }};
}

// Elements that one piece of a copy has at least.
constexpr int64_t kCopyGrain = 16384;

// Few rows (the channels of an image): all of them at once, so that one side is walked once and the other a few times.
template <class Element, int64_t kRows>
void interleave_rows(const Element* source, Element* target, int64_t columns, int64_t begin, int64_t end) {
  for (int64_t c = begin; c < end; ++c) {
    for (int64_t r = 0; r < kRows; ++r) target[c * kRows + r] = source[r * columns + c];
  }
}

// Swaps the blocks of `kShift` bits that `mask` covers in b with those above them in a.
template <int kShift>
void swap_blocks(uint64_t& a, uint64_t& b, uint64_t mask) {
  const uint64_t different = ((a >> kShift) ^ b) & mask;
  b ^= different;
  a ^= different << kShift;
}

// Eight rows of eight bytes in registers, by halves, quarters and eighths.
void transpose_8x8(const uint8_t* source, int64_t source_step, uint8_t* target, int64_t target_step) {
  std::array<uint64_t, 8> rows{};
  for (size_t i = 0; i < 8; ++i) std::memcpy(&rows[i], source + static_cast<int64_t>(i) * source_step, 8);
  for (const size_t i : {0, 1, 2, 3}) swap_blocks<32>(rows[i], rows[i + 4], 0x00000000FFFFFFFFU);
  for (const size_t i : {0, 1, 4, 5}) swap_blocks<16>(rows[i], rows[i + 2], 0x0000FFFF0000FFFFU);
  for (const size_t i : {0, 2, 4, 6}) swap_blocks<8>(rows[i], rows[i + 1], 0x00FF00FF00FF00FFU);
  for (size_t i = 0; i < 8; ++i) std::memcpy(target + static_cast<int64_t>(i) * target_step, &rows[i], 8);
}

using FourWords [[gnu::vector_size(16)]] = uint32_t;

FourWords load_four(const uint32_t* source) {
  FourWords words;
  std::memcpy(&words, source, sizeof words);
  return words;
}

void store_four(FourWords words, uint32_t* target) {
  std::memcpy(target, &words, sizeof words);
}

// Four rows of four words in registers: pairs of rows, then pairs of pairs.
void transpose_4x4(const uint32_t* source, int64_t source_step, uint32_t* target, int64_t target_step) {
  const FourWords a = load_four(source);
  const FourWords b = load_four(source + source_step);
  const FourWords c = load_four(source + 2 * source_step);
  const FourWords d = load_four(source + 3 * source_step);
  const FourWords low_ab = __builtin_shufflevector(a, b, 0, 4, 1, 5);
  const FourWords high_ab = __builtin_shufflevector(a, b, 2, 6, 3, 7);
  const FourWords low_cd = __builtin_shufflevector(c, d, 0, 4, 1, 5);
  const FourWords high_cd = __builtin_shufflevector(c, d, 2, 6, 3, 7);
  store_four(__builtin_shufflevector(low_ab, low_cd, 0, 1, 4, 5), target);
  store_four(__builtin_shufflevector(low_ab, low_cd, 2, 3, 6, 7), target + target_step);
  store_four(__builtin_shufflevector(high_ab, high_cd, 0, 1, 4, 5), target + 2 * target_step);
  store_four(__builtin_shufflevector(high_ab, high_cd, 2, 3, 6, 7), target + 3 * target_step);
}

// Three rows of words, four columns at once.
void interleave_three_rows(const uint32_t* source, uint32_t* target, int64_t columns, int64_t begin, int64_t end) {
  int64_t c = begin;
  for (; c + 4 <= end; c += 4) {
    const FourWords x = load_four(source + c);
    const FourWords y = load_four(source + columns + c);
    const FourWords z = load_four(source + 2 * columns + c);
    const FourWords xy = __builtin_shufflevector(x, y, 0, 4, 1, 5);  // x0 y0 x1 y1
    const FourWords yz = __builtin_shufflevector(y, z, 1, 5, 2, 6);  // y1 z1 y2 z2
    const FourWords zx = __builtin_shufflevector(z, x, 2, 7, 0, 5);  // z2 x3 z0 x1
    const FourWords yx = __builtin_shufflevector(y, x, 3, 7, 2, 6);  // y3 x3 y2 x2
    store_four(__builtin_shufflevector(xy, zx, 0, 1, 6, 7), target + 3 * c);
    store_four(__builtin_shufflevector(yz, yx, 0, 1, 7, 2), target + 3 * c + 4);
    const FourWords last = __builtin_shufflevector(yx, z, 0, 7, 0, 7);  // y3 z3
    store_four(__builtin_shufflevector(zx, last, 0, 1, 4, 5), target + 3 * c + 8);
  }
  for (; c < end; ++c) {
    for (int64_t r = 0; r < 3; ++r) target[c * 3 + r] = source[r * columns + c];
  }
}

constexpr int64_t kTile = 16;  // elements of each side that stay in cache

// Columns [begin, end) of a transpose from [rows, columns] to [columns, rows], tile by tile.
template <class Element>
void transpose_tiles(const Element* source, Element* target, int64_t rows, int64_t columns, int64_t begin,
                     int64_t end) {
  constexpr int64_t kWhole = sizeof(Element) == 4 ? 4 : sizeof(Element) == 1 ? 8 : 1;  // in registers
  const int64_t whole_rows = rows / kWhole * kWhole;
  const int64_t whole_end = begin + (end - begin) / kWhole * kWhole;
  const auto move = [&](int64_t r, int64_t c) {
    if constexpr (kWhole == 4) {
      transpose_4x4(source + r * columns + c, columns, target + c * rows + r, rows);
    } else if constexpr (kWhole == 8) {
      transpose_8x8(source + r * columns + c, columns, target + c * rows + r, rows);
    } else {
      target[c * rows + r] = source[r * columns + c];
    }
  };
  for (int64_t c0 = begin; c0 < whole_end; c0 += kTile) {
    for (int64_t r0 = 0; r0 < whole_rows; r0 += kTile) {
      for (int64_t c = c0; c < std::min(c0 + kTile, whole_end); c += kWhole) {
        for (int64_t r = r0; r < std::min(r0 + kTile, whole_rows); r += kWhole) move(r, c);
      }
    }
  }
  for (int64_t c = begin; c < end; ++c) {
    for (int64_t r = c < whole_end ? whole_rows : 0; r < rows; ++r) target[c * rows + r] = source[r * columns + c];
  }
}

// Columns [begin, end) of a transpose from [rows, columns] to [columns, rows].
template <class Element>
void transpose_columns(const Element* source, Element* target, int64_t rows, int64_t columns, int64_t begin,
                       int64_t end) {
  if (rows == 3) {
    if constexpr (sizeof(Element) == 4) return interleave_three_rows(source, target, columns, begin, end);
    return interleave_rows<Element, 3>(source, target, columns, begin, end);
  }
  if (rows == 4) return interleave_rows<Element, 4>(source, target, columns, begin, end);
  transpose_tiles(source, target, rows, columns, begin, end);
}

// Copies between [N, C, S] and [N, S, C].
template <class Element>
void swap_channel_order(const std::byte* from, std::byte* to, int64_t outer, int64_t rows, int64_t columns) {
  const auto* source = reinterpret_cast<const Element*>(from);
  auto* target = reinterpret_cast<Element*>(to);
  parallel_for(outer * columns, std::max<int64_t>(1, kCopyGrain / rows), [&](int64_t begin, int64_t end) {
    while (begin < end) {
      const int64_t n = begin / columns;
      const int64_t first = begin % columns;
      const int64_t last = std::min(columns, first + end - begin);
      transpose_columns(source + n * rows * columns, target + n * rows * columns, rows, columns, first, last);
      begin += last - first;
    }
  });
}

void check_rank(const Tensor& tensor) {
  ensure(tensor.rank() >= 3, "only tensors of rank 3 and above have a channels-last order");
}

/// `result` has the tensor's type and shape, and the other layout.
void change_layout(const Tensor& tensor, Tensor& result) {
  const int64_t batch = tensor.shape()[0];
  const int64_t channels = tensor.shape()[1];
  if (tensor.size() == 0) return;
  const int64_t spatial = tensor.size() / (batch * channels);
  const bool last = result.layout() == Layout::kChannelsLast;
  const int64_t rows = last ? channels : spatial;
  const int64_t columns = last ? spatial : channels;
  std::byte* target = result.mutable_bytes();
  switch (data_type_bits(tensor.type())) {
    case 8:
      swap_channel_order<uint8_t>(tensor.bytes(), target, batch, rows, columns);
      break;
    case 16:
      swap_channel_order<uint16_t>(tensor.bytes(), target, batch, rows, columns);
      break;
    case 32:
      swap_channel_order<uint32_t>(tensor.bytes(), target, batch, rows, columns);
      break;
    case 64:
      swap_channel_order<uint64_t>(tensor.bytes(), target, batch, rows, columns);
      break;
    default:
      ensure(false, "no channels-last order for this element type");
  }
}

}  // namespace

Tensor::Tensor(DataType type, Shape shape, Layout layout)
    : type_(type), layout_(layout), writable_(true), shape_(std::move(shape)), size_(element_count(shape_)) {
  if (type_ == DataType::kString) {
    auto strings = std::make_shared<std::vector<std::string>>(static_cast<size_t>(size_));
    storage_ = strings;
    return;
  }
  auto memory = allocate(byte_size());
  data_ = memory.get();
  storage_ = std::move(memory);
}

Tensor::Tensor(DataType type, Shape shape, Layout layout, std::shared_ptr<const void> storage, const std::byte* data,
               bool writable)
    : type_(type),
      layout_(layout),
      writable_(writable),
      shape_(std::move(shape)),
      size_(element_count(shape_)),
      data_(data),
      storage_(std::move(storage)) {}

Tensor Tensor::of_strings(Shape shape, std::vector<std::string> values) {
  Tensor result(DataType::kString, std::move(shape));
  ensure(static_cast<size_t>(result.size()) == values.size(), "as many strings as the shape has elements");
  result.storage_ = std::make_shared<std::vector<std::string>>(std::move(values));
  return result;
}

Tensor Tensor::of_sequence(std::vector<Tensor> elements) {
  Tensor result;
  result.type_ = DataType::kSequence;
  result.writable_ = true;
  result.size_ = static_cast<int64_t>(elements.size());
  result.shape_ = {result.size_};
  result.storage_ = std::make_shared<std::vector<Tensor>>(std::move(elements));
  return result;
}

Tensor Tensor::empty_optional() {
  Tensor result;
  result.type_ = DataType::kEmptyOptional;
  return result;
}

void Tensor::check_type(DataType wanted) const {
  if (type_ == wanted) return;
  throw WrongElementType(ErrorKind::kInternal, "tensor of {} read as {}", data_type_name(type_),
                         data_type_name(wanted));
}

std::byte* Tensor::mutable_bytes() {
  ensure(type_ != DataType::kString && type_ != DataType::kSequence, "strings and sequences are not bytes");
  if (!exclusive()) {
    auto copy = allocate(byte_size());
    if (byte_size() > 0) std::memcpy(copy.get(), data_, byte_size());
    data_ = copy.get();
    storage_ = std::move(copy);
    writable_ = true;
  }
  return const_cast<std::byte*>(data_);
}

const std::vector<std::string>& Tensor::strings() const {
  check_type(DataType::kString);
  return *static_cast<const std::vector<std::string>*>(storage_.get());
}

const std::vector<Tensor>& Tensor::sequence() const {
  check_type(DataType::kSequence);
  return *static_cast<const std::vector<Tensor>*>(storage_.get());
}

std::vector<Tensor> Tensor::take_sequence() {
  check_type(DataType::kSequence);
  const Tensor taken = std::exchange(*this, Tensor());
  // of_sequence() made the storage from a vector that is not const.
  if (taken.exclusive()) return std::move(*const_cast<std::vector<Tensor>*>(&taken.sequence()));
  return taken.sequence();
}

Tensor Tensor::reshaped(Shape shape) const {
  ensure(layout_ == Layout::kPlain || (shape.size() >= 2 && shape[0] == shape_[0] && shape[1] == shape_[1]),
         "only spatial axes of a channels-last tensor are reshaped");
  ensure(element_count(shape) == size_, "a reshape keeps the number of elements");
  Tensor result = *this;
  result.shape_ = std::move(shape);
  return result;
}

Tensor to_layout(const Tensor& tensor, Layout layout) {
  if (tensor.layout() == layout) return tensor;
  check_rank(tensor);
  Tensor result(tensor.type(), tensor.shape(), layout);
  change_layout(tensor, result);
  return result;
}

Tensor to_layout(const Tensor& tensor, Layout layout, Workspace& workspace) {
  if (tensor.layout() == layout) return tensor;
  check_rank(tensor);
  Tensor result = workspace.allocate(tensor.type(), tensor.shape(), layout);
  change_layout(tensor, result);
  return result;
}

}  // namespace narrow
