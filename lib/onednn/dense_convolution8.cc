#include "lib/onednn/dense_convolution8.h"

#include <algorithm>
#include <vector>

#include "lib/base/parallel.h"
#include "lib/onednn/padded_rows.h"

namespace narrow::onednn {
namespace {

// Bytes of the source that all columns are computed from before the next: they stay in the second cache.
constexpr int64_t kSourceAtOnce = 128 * 1024;
// Of a padded copy, which is written, too.
constexpr int64_t kCopyAtOnce = 64 * 1024;
// What the loops may read behind the last run.
constexpr int64_t kReadBehind = 64;

Tensor by_rows_of_window(const Tensor& weights) {
  return to_layout(weights, Layout::kChannelsLast);
}

Dense8 make_product(const DenseConvolution8Spec& spec, const Tensor& weights, const OutputTransform& transform) {
  const Shape& shape = weights.shape();
  const Dense8Spec dense{.columns = shape[0],
                         .runs = shape[2],
                         .run_bytes = shape[3] * shape[1],
                         .signed_source = spec.signed_source,
                         .destination = spec.destination};
  return Dense8(dense, by_rows_of_window(weights).data<int8_t>().data(), transform);
}

int64_t bytes_of_row(const Dense8& product) {
  const bool bytes = product.spec().destination == DataType::kUint8 || product.spec().destination == DataType::kInt8;
  return product.spec().columns * (bytes ? 1 : 4);
}

// A buffer of the calling thread.
uint8_t* scratch(int64_t bytes) {
  thread_local std::vector<uint8_t> buffer;
  if (buffer.size() < static_cast<size_t>(bytes)) buffer.resize(static_cast<size_t>(bytes));
  return buffer.data();
}

// Rows [begin, end) and blocks of columns [first, last).
void multiply_part(const Dense8& product, const uint8_t* rows, int64_t begin, int64_t end, int64_t first, int64_t last,
                   std::byte* result) {
  const int64_t width = product.spec().run_bytes;
  const bool copies = product.spec().signed_source || width % 4 != 0;
  const int64_t at_once = std::max<int64_t>(48, (copies ? kCopyAtOnce : kSourceAtOnce) / width);
  for (int64_t row = begin; row < end; row += at_once) {
    const int64_t count = std::min(at_once, end - row);
    const uint8_t* source = rows + row * width;
    if (copies) {
      uint8_t* copy = scratch(at_once * width + kReadBehind);
      copy_bytes(source, copy, count * width, product.spec().signed_source);
      source = copy;
    }
    const Dense8Line line{.source = source,
                          .step = width,
                          .run_step = 0,
                          .result = result + row * bytes_of_row(product),
                          .result_step = bytes_of_row(product),
                          .count = count};
    product.compute({&line, 1}, first, last);
  }
}

}  // namespace

void multiply_rows(const Dense8& product, const uint8_t* rows, int64_t count, std::byte* result) {
  const int64_t grain = fewest_positions(product);
  constexpr int64_t kFewRows = 8;  // of one thread: its weights are read for too little
  if (count >= kFewRows * thread_count() || product.blocks() == 1) {
    parallel_for(count, grain, [&](int64_t begin, int64_t end) {
      multiply_part(product, rows, begin, end, 0, product.blocks(), result);
    });
    return;
  }
  const int64_t blocks_grain = std::max<int64_t>(1, grain * product.blocks() / std::max<int64_t>(1, count));
  parallel_for(product.blocks(), blocks_grain,
               [&](int64_t first, int64_t last) { multiply_part(product, rows, 0, count, first, last, result); });
}

DenseConvolution8::DenseConvolution8(const DenseConvolution8Spec& spec, const Tensor& weights,
                                     const OutputTransform& transform)
    : spec_(spec), product_(make_product(spec, weights, transform)) {}

bool DenseConvolution8::is_matrix_product(const Shape& source, const Shape& result) const {
  constexpr std::array<int64_t, 2> kOnes{1, 1};
  return spec_.kernel == kOnes && spec_.strides == kOnes && spec_.pads_begin == std::array<int64_t, 2>{0, 0} &&
         source[2] == result[2] && source[3] == result[3];
}

void DenseConvolution8::run(const uint8_t* source, const Shape& source_shape, std::byte* result,
                            const Shape& result_shape) const {
  if (is_matrix_product(source_shape, result_shape)) {
    multiply_rows(product_, source, source_shape[0] * source_shape[2] * source_shape[3], result);
  } else {
    run_padded(source, source_shape, result, result_shape);
  }
}

// Rows of the result from padded copies of the rows of the source that they see.
void DenseConvolution8::run_padded(const uint8_t* source, const Shape& source_shape, std::byte* result,
                                   const Shape& result_shape) const {
  const int64_t channels = source_shape[1];
  const int64_t rows = result_shape[2];
  const int64_t width = result_shape[3];
  const PaddedRows copy{.channels = channels,
                        .height = source_shape[2],
                        .width = source_shape[3],
                        .left = spec_.pads_begin[1],
                        .padded_width = (width - 1) * spec_.strides[1] + spec_.kernel[1],
                        .padding = product_.padding(),
                        .flip_signs = spec_.signed_source};
  const int64_t row_bytes = copy.padded_width * channels;
  const int64_t extent = (spec_.kernel[0] - 1) * spec_.row_dilation + 1;
  const int64_t at_once = std::max<int64_t>(1, kCopyAtOnce / (row_bytes * spec_.strides[0]));
  const int64_t result_bytes = width * bytes_of_row(product_);
  const int64_t grain = std::max<int64_t>(1, fewest_positions(product_) / width);
  parallel_for(result_shape[0] * rows, grain, [&](int64_t begin, int64_t end) {
    std::vector<Dense8Line> lines;
    for (int64_t row = begin; row < end; row += static_cast<int64_t>(lines.size())) {
      const int64_t first = row % rows;
      const int64_t count = std::min({at_once, rows - first, end - row});
      const int64_t seen = (count - 1) * spec_.strides[0] + extent;
      uint8_t* padded = scratch(seen * row_bytes + kReadBehind);
      copy.copy(source + row / rows * source_shape[2] * source_shape[3] * channels,
                first * spec_.strides[0] - spec_.pads_begin[0], seen, padded);
      lines.clear();
      for (int64_t i = 0; i < count; ++i) {
        lines.push_back({.source = padded + i * spec_.strides[0] * row_bytes,
                         .step = spec_.strides[1] * channels,
                         .run_step = spec_.row_dilation * row_bytes,
                         .result = result + (row + i) * result_bytes,
                         .result_step = bytes_of_row(product_),
                         .count = width});
      }
      product_.compute(lines);
    }
  });
}

}  // namespace narrow::onednn
