// Large tensors that lie in mapped files are read piece by piece; what was read may leave memory.
#pragma once

#include <cstddef>
#include <functional>

namespace narrow::quant {

/// Lets the pages of weights leave memory until they are read again. May be called by several threads at a time. Empty:
/// they stay.
using Release = std::function<void()>;

/// Calls it now and then, by what one thread has read.
class PageRelease {
 public:
  explicit PageRelease(const Release& release) : release_(release) {}

  /// So many elements were passed in memory, read or not.
  void passed(size_t elements) {
    passed_ += elements;
    if (passed_ < kElements || !release_) return;
    release_();
    passed_ = 0;
  }

 private:
  static constexpr size_t kElements = size_t{1} << 22;

  const Release& release_;
  size_t passed_ = 0;
};

}  // namespace narrow::quant
