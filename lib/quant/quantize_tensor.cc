// Tensors to codes and back. Elements go through a small buffer, so that a large weight is never in memory twice.
#include <algorithm>
#include <array>
#include <cmath>

#include "lib/base/error.h"
#include "lib/base/parallel.h"
#include "lib/quant/code_grid.h"
#include "lib/quant/codebook.h"
#include "lib/quant/element_groups.h"
#include "lib/quant/kept_sums.h"
#include "lib/quant/quant_params.h"
#include "lib/tensor/convert.h"
#include "lib/tensor/packed.h"
#include "lib/tensor/visit_type.h"

namespace narrow::quant {
namespace {

constexpr size_t kChunk = size_t{1} << 14;  // elements; a multiple of what one packed byte holds
constexpr size_t kChunksKept = 64;          // that a thread reads before their pages may leave memory

using StoredTypes = TypeList<int8_t, uint8_t, int16_t, uint16_t, int32_t>;

ElementGroups groups_of(const Tensor& tensor, const QuantParams& params) {
  ensure(tensor.layout() == Layout::kPlain || !params.axis, "grouped parameters need the plain layout");
  const ElementGroups groups(tensor.shape(), params.grouping());
  ensure(params.scales.size() == groups.count() && params.zero_points.size() == groups.count(),
         "as many scales and zero points as groups of elements");
  return groups;
}

/// The integer of one element, with the limits of its type at hand.
class Rounder {
 public:
  explicit Rounder(const QuantParams& params)
      : qmin_(static_cast<double>(row(params.type).qmin)),
        qmax_(static_cast<double>(row(params.type).qmax)),
        noise_(params.noise) {}

  int32_t operator()(size_t element, float x, float scale, int32_t zero_point) const {
    if (std::isnan(x)) return zero_point;
    // Not rounded to float32 before it is at random: that would prefer one side.
    const double q = noise_ ? std::floor(static_cast<double>(x) / scale + noise_->at(element))
                            : static_cast<double>(std::nearbyintf(x / scale));
    return static_cast<int32_t>(std::clamp(q + zero_point, qmin_, qmax_));
  }

 private:
  double qmin_;
  double qmax_;
  std::optional<RoundingNoise> noise_;
};

/// The number of a small floating-point format that stands for one element. To the nearest is the encoder's work.
class FloatRounder {
 public:
  explicit FloatRounder(const QuantParams& params) : noise_(params.noise) {
    if (noise_ && row(params.type).is_float) numbers_ = finite_numbers(row(params.type).storage);
  }

  float operator()(size_t element, float x, float scale) const {
    const float value = x / scale;
    if (!noise_ || std::isnan(value)) return value;
    const auto above = std::lower_bound(numbers_.begin(), numbers_.end(), value);
    if (above == numbers_.begin() || above == numbers_.end()) return value;
    const float low = *(above - 1);
    return noise_->at(element) * (static_cast<double>(*above) - low) < static_cast<double>(value) - low ? *above : low;
  }

 private:
  std::optional<RoundingNoise> noise_;
  std::vector<float> numbers_ = {};  // all finite ones, ascending
};

/// -1 below 0, else 1; at random 1 the more often the larger x is, always from the scale on.
int8_t binary_code(const QuantParams& params, size_t element, float x, float scale) {
  const bool negative = params.noise ? params.noise->at(element) * 2 >= static_cast<double>(x) / scale + 1 : x < 0;
  return negative ? -1 : 1;
}

/// Collects codes as numbers, and writes them by the chunk as their type lies in memory.
class CodeWriter {
 public:
  CodeWriter(DataType storage, std::byte* to) : storage_(storage), to_(to) {}

  void add(float value) {  // floating-point types: the value; integers: the integer
    values_[count_++] = value;
    if (count_ == kChunk) flush();
  }

  /// For `count` numbers, no more than a chunk, that come all at once; flush() follows.
  std::span<float> room(size_t count) {
    count_ = count;
    return {values_.data(), count};
  }

  void flush() {
    const std::span<const float> values(values_.data(), count_);
    const bool plain = visit_type(StoredTypes{}, storage_, [&]<class Q>() {
      std::transform(values.begin(), values.end(), reinterpret_cast<Q*>(to_),
                     [](float value) { return static_cast<Q>(static_cast<int32_t>(value)); });
    });
    if (plain) {
      // Done.
    } else if (is_packed(storage_)) {
      fill_codes(values);
      pack(storage_, std::span<const uint8_t>(codes_.data(), count_), to_);
    } else {
      encode_floats(storage_, values, to_);
    }
    to_ += storage_bytes(storage_, static_cast<int64_t>(count_));
    count_ = 0;
  }

 private:
  void fill_codes(std::span<const float> values) {
    if (storage_ == DataType::kFloat4e2m1) {
      encode_floats(storage_, values, reinterpret_cast<std::byte*>(codes_.data()));
    } else {
      std::transform(values.begin(), values.end(), codes_.begin(),
                     [](float value) { return static_cast<uint8_t>(static_cast<int32_t>(value)); });
    }
  }

  DataType storage_;
  std::byte* to_;
  size_t count_ = 0;
  std::vector<float> values_ = std::vector<float>(kChunk);
  std::vector<uint8_t> codes_ = std::vector<uint8_t>(kChunk);
};

/// The other way: one code after the other as a number.
class CodeReader {
 public:
  CodeReader(DataType storage, const std::byte* from, int64_t count)
      : storage_(storage), from_(from), left_(static_cast<size_t>(count)) {}

  float next() {
    if (at_ == held_) fill();
    return values_[at_++];
  }

 private:
  void fill() {
    held_ = std::min(left_, kChunk);
    left_ -= held_;
    at_ = 0;
    const std::span<float> values(values_.data(), held_);
    if (is_packed(storage_)) {
      unpack(storage_, from_, std::span<uint8_t>(codes_.data(), held_));
      if (storage_ == DataType::kFloat4e2m1) {
        decode_floats(storage_, reinterpret_cast<const std::byte*>(codes_.data()), values);
      } else {
        const bool is_signed = storage_ == DataType::kInt4 || storage_ == DataType::kInt2;
        std::transform(codes_.begin(), codes_.begin() + static_cast<std::ptrdiff_t>(held_), values.begin(),
                       [&](uint8_t code) { return static_cast<float>(is_signed ? static_cast<int8_t>(code) : code); });
      }
    } else {
      decode_floats(storage_, from_, values);
    }
    from_ += storage_bytes(storage_, static_cast<int64_t>(held_));
  }

  DataType storage_;
  const std::byte* from_;
  size_t left_;
  size_t held_ = 0;
  size_t at_ = 0;
  std::vector<float> values_ = std::vector<float>(kChunk);
  std::vector<uint8_t> codes_ = std::vector<uint8_t>(kChunk);
};

/// body(element, scale, zero_point) over elements [begin, end), in the order of memory.
template <class Body>
void for_each_element(const ElementGroups& groups, const QuantParams& params, size_t begin, size_t end, Body body) {
  groups.for_each_run(begin, end, [&](const Run& run) {
    for (size_t i = run.begin, group = run.group; i < run.end; ++i, group += run.step) {
      body(i, params.scales[group], params.zero_points[group]);
    }
  });
}

/// ... over all of them.
template <class Body>
void for_each_element(const ElementGroups& groups, const QuantParams& params, Body body) {
  for_each_element(groups, params, 0, groups.elements(), body);
}

}  // namespace

namespace {

/// The nearest codes of the elements from `begin` on, as numbers.
void nearest_numbers(std::span<const float> source, const ElementGroups& groups, const QuantParams& params,
                     size_t begin, std::span<float> numbers) {
  const auto qmin = static_cast<float>(row(params.type).qmin);
  const auto qmax = static_cast<float>(row(params.type).qmax);
  groups.for_each_run(begin, begin + numbers.size(), [&](const Run& run) {
    const float* const from = source.data() + run.begin;
    float* const to = numbers.data() + (run.begin - begin);
    const float* const scales = params.scales.data() + run.group;
    const int32_t* const zeros = params.zero_points.data() + run.group;
    const auto round = [&](size_t i, float scale, float zero) {
      to[i] = nearest_integer(from[i] / scale, qmin - zero, qmax - zero) + zero;
    };
    const size_t count = run.end - run.begin;
    if (run.step == 0) {
      for (size_t i = 0; i < count; ++i) round(i, scales[0], static_cast<float>(zeros[0]));
    } else {
      for (size_t i = 0; i < count; ++i) round(i, scales[i], static_cast<float>(zeros[i]));
    }
  });
}

/// Codes of integer types up to 16 bits and of floating-point types, to the nearest.
Tensor quantize_to_nearest(const Tensor& real, const ElementGroups& groups, const QuantParams& params,
                           const Release& release) {
  const QuantTypeRow& type = row(params.type);
  Tensor result(type.storage, real.shape(), real.layout());
  const auto source = real.data<float>();
  std::byte* const to = result.mutable_bytes();
  const auto chunks = static_cast<int64_t>((source.size() + kChunk - 1) / kChunk);
  parallel_for(chunks, 1, [&](int64_t first, int64_t last) {
    CodeWriter writer(type.storage, to + storage_bytes(type.storage, first * static_cast<int64_t>(kChunk)));
    for (auto begin = static_cast<size_t>(first) * kChunk; begin < static_cast<size_t>(last) * kChunk;
         begin += kChunk) {
      const std::span<float> numbers = writer.room(std::min(kChunk, source.size() - begin));
      if (type.is_float) {
        for_each_element(
            groups, params, begin, begin + numbers.size(),
            [&](size_t i, float scale, int32_t /*zero_point*/) { numbers[i - begin] = source[i] / scale; });
      } else {
        nearest_numbers(source, groups, params, begin, numbers);
      }
      writer.flush();
      if (release && begin / kChunk % kChunksKept == kChunksKept - 1) release();
    }
  });
  return result;
}

Tensor quantize_keeping_sums(const Tensor& real, const QuantParams& params, const Release& release) {
  QuantParams nearest = params;
  nearest.sum_axes.clear();
  Tensor codes = quantize(real, nearest, release);
  const DataType storage = row(params.type).storage;
  Workspace workspace;
  Tensor bytes = is_packed(storage) ? unpacked(codes, workspace) : std::exchange(codes, Tensor());
  codes = Tensor();
  keep_sums(real, params, bytes, release);
  return is_packed(storage) ? packed(bytes, storage, workspace) : bytes;
}

}  // namespace

Tensor quantize(const Tensor& real, const QuantParams& params, const Release& release) {
  if (params.codebooks) return quantize_to_codebook(real, params);
  if (!params.sum_axes.empty()) return quantize_keeping_sums(real, params, release);
  const ElementGroups groups = groups_of(real, params);
  const QuantTypeRow& type = row(params.type);
  if (!params.noise && type.bits <= 16 && params.type != QuantType::kBinary) {
    return quantize_to_nearest(real, groups, params, release);
  }
  Tensor result(type.storage, real.shape(), real.layout());
  const auto source = real.data<float>();
  if (params.type == QuantType::kBinary) {
    const auto target = result.mutable_data<int8_t>();
    for_each_element(groups, params, [&](size_t i, float scale, int32_t /*zero_point*/) {
      target[i] = binary_code(params, i, source[i], scale);
    });
    return result;
  }
  const Rounder round(params);
  const bool plain = visit_type(StoredTypes{}, type.storage, [&]<class Q>() {
    const auto target = result.mutable_data<Q>();
    for_each_element(groups, params, [&](size_t i, float scale, int32_t zero_point) {
      target[i] = static_cast<Q>(round(i, source[i], scale, zero_point));
    });
  });
  if (plain) return result;
  const FloatRounder round_float(params);
  CodeWriter writer(type.storage, result.mutable_bytes());
  for_each_element(groups, params, [&](size_t i, float scale, int32_t zero_point) {
    writer.add(type.is_float ? round_float(i, source[i], scale)
                             : static_cast<float>(round(i, source[i], scale, zero_point)));
  });
  writer.flush();
  return result;
}

Tensor dequantize(const Tensor& quantized, const QuantParams& params) {
  if (params.codebooks) return dequantize_from_codebook(quantized, params);
  const ElementGroups groups = groups_of(quantized, params);
  Tensor result(DataType::kFloat32, quantized.shape(), quantized.layout());
  const auto target = result.mutable_data<float>();
  const DataType storage = row(params.type).storage;
  const bool plain = visit_type(StoredTypes{}, storage, [&]<class Q>() {
    const auto source = quantized.data<Q>();
    for_each_element(groups, params, [&](size_t i, float scale, int32_t zero_point) {
      target[i] = dequantize_value(static_cast<int32_t>(source[i]), scale, zero_point);
    });
  });
  if (plain) return result;
  CodeReader reader(storage, quantized.bytes(), quantized.size());
  for_each_element(groups, params, [&](size_t i, float scale, int32_t zero_point) {
    target[i] = (reader.next() - static_cast<float>(zero_point)) * scale;
  });
  return result;
}

}  // namespace narrow::quant
