#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "lib/exec/kernel.h"
#include "lib/runtime/kernels/byte_table.h"

namespace narrow::runtime {

struct ConcatStep {
  int64_t axis = 0;
  DataType result = DataType::kUint8;
  /// Per input: how its integers become the result's; absent where they are the same.
  std::vector<std::optional<Table>> tables;
};

/// Joins 8-bit tensors along an axis, in either memory order.
exec::KernelPtr make_concat(ConcatStep step);

}  // namespace narrow::runtime
