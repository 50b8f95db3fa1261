// Weights as numbers of entries in tables: x ~ codebook[code] * scale.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>

#include "lib/quant/quant_params.h"

namespace narrow::quant {

inline constexpr int64_t kFewestEntries = 2;
inline constexpr int64_t kMostEntries = 256;

struct CodebookScheme {
  int64_t entries = 16;         // kFewestEntries to kMostEntries
  std::optional<int64_t> axis;  // channels: absent, one codebook serves the whole tensor
  int64_t channels = 0;         // so many neighbours along the axis share a codebook; 0: all
  bool scaled = false;          // each channel has a scale of its own too
};

/// Parameters of type kCodebook with the least squared error: optimal one-dimensional clusters of each codebook's
/// elements (cluster.h), exact where a codebook has at most 2^14 of them, else of a histogram with 2^14 bins from the
/// least to the largest value, each standing at the mean of its elements. With scales, clusters and
/// scales are fitted in turn, from the scales of the integer type of as many bits and from each channel's root mean
/// square; the better of the two stays, so the error is never larger than that type's.
QuantParams choose_codebook_params(const Tensor& weight, const CodebookScheme& scheme);

/// Codes (uint8, of the tensor's shape) for parameters of type kCodebook: the nearest entries, or one of the two
/// neighbours by params.noise. NaN has the code of 0.
Tensor quantize_to_codebook(const Tensor& real, const QuantParams& params);
Tensor dequantize_from_codebook(const Tensor& codes, const QuantParams& params);

/// Which elements of a tensor of shape `shape` have which channel and which codebook.
class CodebookLayout {
 public:
  CodebookLayout(const Shape& shape, const QuantParams& params);

  /// Codebooks.
  int64_t count() const { return (size_ + channels_ - 1) / channels_; }

  /// visit(begin, end, channel, codebook): the elements [begin, end) of one index of the axis, in the order of memory.
  template <class Visit>
  void for_each_run(Visit visit) const {
    for_each_run(0, size_, visit);
  }

  /// ... of one codebook only.
  template <class Visit>
  void for_each_run_of(int64_t codebook, Visit visit) const {
    for_each_run(codebook * channels_, std::min(size_, (codebook + 1) * channels_), visit);
  }

 private:
  template <class Visit>
  void for_each_run(int64_t first, int64_t last, Visit visit) const {
    for (int64_t i = 0; i < outer_; ++i) {
      for (int64_t channel = first; channel < last; ++channel) {
        const auto begin = static_cast<size_t>((i * size_ + channel) * inner_);
        visit(begin, begin + static_cast<size_t>(inner_), static_cast<size_t>(channel),
              static_cast<size_t>(channel / channels_));
      }
    }
  }

  int64_t outer_ = 1;
  int64_t size_ = 1;  // of the axis
  int64_t inner_ = 1;
  int64_t channels_ = 1;  // that share a codebook
};

}  // namespace narrow::quant
