#include "lib/onednn/dense_convolution.h"

#include <algorithm>
#include <vector>

#include "lib/base/parallel.h"
#include "lib/onednn/dense32.h"
#include "lib/onednn/dense8.h"
#include "lib/onednn/padded_rows.h"

namespace narrow::onednn {
namespace {

// Bytes of the source that all columns are computed from before the next: they stay in the second cache.
constexpr int64_t kSourceAtOnce = 128 * 1024;
// Of a padded copy, which is written, too.
constexpr int64_t kCopyAtOnce = 64 * 1024;
// What the loops may read behind the last run.
constexpr int64_t kReadBehind = 64;

// A buffer of the calling thread.
std::byte* scratch(int64_t bytes) {
  thread_local std::vector<std::byte> buffer;
  if (buffer.size() < static_cast<size_t>(bytes)) buffer.resize(static_cast<size_t>(bytes));
  return buffer.data();
}

const std::byte* moved(const std::byte* from, int64_t bytes) {
  return from == nullptr ? nullptr : from + bytes;
}

// Rows [begin, end) and blocks of columns [first, last).
struct Part {
  int64_t begin = 0;
  int64_t end = 0;
  int64_t first = 0;
  int64_t last = 0;
};

template <class Product>
void multiply_part(const Product& product, const DenseRows& rows, const Part& part) {
  const int64_t width = product.run_bytes();
  const bool copies = product.flips_signs() || width % 4 != 0;
  constexpr int64_t kFewest = 48;  // positions; fewer would read the weights too often
  const int64_t at_once = std::max(kFewest, (copies ? kCopyAtOnce : kSourceAtOnce) / width);
  for (int64_t row = part.begin; row < part.end; row += at_once) {
    const int64_t count = std::min(at_once, part.end - row);
    const std::byte* source = rows.source + row * width;
    if (copies) {
      std::byte* copy = scratch(at_once * width + kReadBehind);
      copy_bytes(source, copy, count * width, product.flips_signs());
      source = copy;
    }
    const DenseLine line{.source = source,
                         .step = width,
                         .run_step = 0,
                         .result = rows.result + row * product.result_bytes(),
                         .result_step = product.result_bytes(),
                         .count = count,
                         .residual = moved(rows.residual, row * product.result_bytes())};
    product.compute({&line, 1}, part.first, part.last);
  }
}

}  // namespace

Tensor by_rows_of_window(const Tensor& weights) {
  return to_layout(weights, Layout::kChannelsLast);
}

template <class Product>
void multiply_rows(const Product& product, const DenseRows& rows) {
  const int64_t grain = product.fewest_positions();
  constexpr int64_t kFewRows = 8;  // of one thread: its weights are read for too little
  if (rows.count >= kFewRows * thread_count() || product.blocks() == 1) {
    parallel_for(rows.count, grain, [&](int64_t begin, int64_t end) {
      multiply_part(product, rows, {.begin = begin, .end = end, .first = 0, .last = product.blocks()});
    });
    return;
  }
  const int64_t blocks_grain = std::max<int64_t>(1, grain * product.blocks() / std::max<int64_t>(1, rows.count));
  parallel_for(product.blocks(), blocks_grain, [&](int64_t first, int64_t last) {
    multiply_part(product, rows, {.begin = 0, .end = rows.count, .first = first, .last = last});
  });
}

template <class Product>
bool DenseConvolution<Product>::is_matrix_product(const Shape& source, const Shape& result) const {
  constexpr std::array<int64_t, 2> kOnes{1, 1};
  return window_.kernel == kOnes && window_.strides == kOnes && window_.pads_begin == std::array<int64_t, 2>{0, 0} &&
         source[2] == result[2] && source[3] == result[3];
}

template <class Product>
void DenseConvolution<Product>::run(const Tensor& source, const Tensor& residual, Tensor& result) const {
  if (!is_matrix_product(source.shape(), result.shape())) return run_padded(source, residual, result);
  multiply_rows(product_, {.source = source.bytes(),
                           .residual = residual.defined() ? residual.bytes() : nullptr,
                           .result = result.mutable_bytes(),
                           .count = source.shape()[0] * source.shape()[2] * source.shape()[3]});
}

// Rows of the result from padded copies of the rows of the source that they see.
template <class Product>
void DenseConvolution<Product>::run_padded(const Tensor& source, const Tensor& residual, Tensor& result) const {
  const Shape& shape = source.shape();
  const int64_t rows = result.shape()[2];
  const int64_t width = result.shape()[3];
  const int64_t pixel = product_.run_bytes() / window_.kernel[1];
  const PaddedRows copy{.pixel_bytes = pixel,
                        .height = shape[2],
                        .width = shape[3],
                        .left = window_.pads_begin[1],
                        .padded_width = (width - 1) * window_.strides[1] + window_.kernel[1],
                        .padding = product_.padding(),
                        .flip_signs = product_.flips_signs()};
  const int64_t row_bytes = copy.padded_width * pixel;
  const int64_t extent = (window_.kernel[0] - 1) * window_.row_dilation + 1;
  const int64_t at_once = std::max<int64_t>(1, kCopyAtOnce / (row_bytes * window_.strides[0]));
  const int64_t result_bytes = width * product_.result_bytes();
  const int64_t grain = std::max<int64_t>(1, product_.fewest_positions() / width);
  const std::byte* added = residual.defined() ? residual.bytes() : nullptr;
  std::byte* target = result.mutable_bytes();
  parallel_for(shape[0] * rows, grain, [&](int64_t begin, int64_t end) {
    std::vector<DenseLine> lines;
    for (int64_t row = begin; row < end; row += static_cast<int64_t>(lines.size())) {
      const int64_t first = row % rows;
      const int64_t count = std::min({at_once, rows - first, end - row});
      const int64_t seen = (count - 1) * window_.strides[0] + extent;
      std::byte* padded = scratch(seen * row_bytes + kReadBehind);
      copy.copy(source.bytes() + row / rows * shape[2] * shape[3] * pixel,
                first * window_.strides[0] - window_.pads_begin[0], seen, padded);
      lines.clear();
      for (int64_t i = 0; i < count; ++i) {
        lines.push_back({.source = padded + i * window_.strides[0] * row_bytes,
                         .step = window_.strides[1] * pixel,
                         .run_step = window_.row_dilation * row_bytes,
                         .result = target + (row + i) * result_bytes,
                         .result_step = product_.result_bytes(),
                         .count = width,
                         .residual = moved(added, (row + i) * result_bytes)});
      }
      product_.compute(lines, 0, product_.blocks());
    }
  });
}

template class DenseConvolution<Dense8>;
template class DenseConvolution<Dense32>;
template void multiply_rows(const Dense8& product, const DenseRows& rows);
template void multiply_rows(const Dense32& product, const DenseRows& rows);

}  // namespace narrow::onednn
