// Max and average pooling over channels-last tensors, by oneDNN: float32, uint8 or int8.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "lib/tensor/tensor.h"
#include "lib/tensor/workspace.h"

namespace narrow::onednn {

/// Integers keep their scale and zero point; averages of integers round half to even. kAverageIncludingPad counts
/// padded cells as code 0: with another zero point that is not the real 0.
enum class PoolingKind { kMax, kAverage, kAverageIncludingPad };

struct PoolingSpec {
  PoolingKind kind = PoolingKind::kMax;
  std::vector<int64_t> kernel;
  std::vector<int64_t> strides;
  std::vector<int64_t> dilations;
  std::vector<int64_t> pads_begin;
  std::vector<int64_t> pads_end;  // already enlarged for ceil_mode
};

class Pooling {
 public:
  explicit Pooling(PoolingSpec spec);
  Pooling(const Pooling&) = delete;
  Pooling& operator=(const Pooling&) = delete;
  ~Pooling();
  /// `source` [N, C, spatial...] channels-last; so is the result, of the same type. Thread-safe. Throws Error(kModel)
  /// for shapes that do not fit, Error(kUnsupported) if oneDNN can not (a window wholly inside the padding).
  Tensor run(const Tensor& source, Workspace& workspace) const;
  std::string implementation() const;

 private:
  class State;
  std::unique_ptr<State> state_;
};

}  // namespace narrow::onednn
