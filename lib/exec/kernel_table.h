// Which operators have a float kernel.
#pragma once

#include <span>
#include <string_view>

#include "lib/exec/float_program.h"

namespace narrow::exec {

using KernelFactory = KernelPtr (*)(const KernelRequest& request);

struct KernelRow {
  std::string_view domain;
  std::string_view op_type;
  KernelFactory make;
};

/// Sorted by domain, then operator.
std::span<const KernelRow> kernel_table();

/// The row, or nullptr.
const KernelRow* find_kernel_row(std::string_view domain, std::string_view op_type);

}  // namespace narrow::exec
