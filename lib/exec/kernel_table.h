// Which operators have a float kernel.
#pragma once

#include <span>
#include <string_view>

#include "lib/exec/type_adapter.h"

namespace narrow::exec {

struct KernelRow {
  std::string_view domain;
  std::string_view op_type;
  KernelFactory make;
  TypeUse types = TypeUse::kBySchema;
};

/// Sorted by domain, then operator.
std::span<const KernelRow> kernel_table();

/// The row, or nullptr.
const KernelRow* find_kernel_row(std::string_view domain, std::string_view op_type);

}  // namespace narrow::exec
