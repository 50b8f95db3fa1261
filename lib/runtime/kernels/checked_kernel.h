// A kernel beside its oracle.
#pragma once

#include <memory>
#include <mutex>
#include <vector>

#include "lib/exec/kernel.h"
#include "lib/runtime/lower.h"

namespace narrow::runtime {

class KernelChecks {
 public:
  /// The row's index.
  size_t add_row(const std::string& node, const std::string& op_type);
  /// Counts the elements of `actual` that differ from `expected`.
  void compare(size_t row, const Tensor& actual, const Tensor& expected);
  std::vector<KernelCheck> rows() const;

 private:
  mutable std::mutex mutex_;
  std::vector<KernelCheck> rows_;
};

/// Runs both on the same inputs and hands on what `fast` makes; the first output is compared.
exec::KernelPtr make_checked(exec::KernelPtr fast, exec::KernelPtr reference, std::shared_ptr<KernelChecks> checks,
                             size_t row);

}  // namespace narrow::runtime
