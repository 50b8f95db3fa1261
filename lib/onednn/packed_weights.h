// Constant weights in the orders that primitives ask for.
#pragma once

#include <mutex>
#include <vector>

#include "lib/onednn/engine.h"

namespace narrow::onednn {

/// Packs once per distinct descriptor and shares the result between primitives. Thread-safe.
class PackedWeights {
 public:
  /// `desc` describes the elements of `weights` as they are.
  PackedWeights(Tensor weights, const dnnl::memory::desc& desc);

  /// Descriptor for "whatever order the implementation likes best".
  dnnl::memory::desc any_desc() const;

  /// The weights in the wanted order; with the compensation sums that integer kernels append if it asks for them.
  dnnl::memory get(const dnnl::memory::desc& wanted) const;

 private:
  Tensor weights_;
  dnnl::memory plain_;
  mutable std::mutex mutex_;
  mutable std::vector<dnnl::memory> packed_;
};

}  // namespace narrow::onednn
