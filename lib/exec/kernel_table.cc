#include "lib/exec/kernel_table.h"

#include <algorithm>
#include <array>

#include "lib/exec/kernels/families.h"
#include "lib/exec/kernels/support.h"
#include "lib/graph/model.h"

namespace narrow::exec {
namespace {

constexpr KernelRow kRows[] = {
    {"", "Abs", make_unary},     {"", "Add", make_arithmetic}, {"", "Cast", make_cast},
    {"", "CastLike", make_cast}, {"", "Clip", make_clip},      {"", "Relu", make_unary},
};

constexpr bool before(const KernelRow& row, const KernelRow& other) {
  return row.domain != other.domain ? row.domain < other.domain : row.op_type < other.op_type;
}
static_assert(std::is_sorted(std::begin(kRows), std::end(kRows), before));

}  // namespace

std::span<const KernelRow> kernel_table() {
  return kRows;
}

const KernelRow* find_kernel_row(std::string_view domain, std::string_view op_type) {
  const KernelRow wanted{graph::canonical_domain(domain), op_type, nullptr};
  const auto* found = std::lower_bound(std::begin(kRows), std::end(kRows), wanted, before);
  if (found == std::end(kRows) || found->domain != wanted.domain || found->op_type != wanted.op_type) return nullptr;
  return found;
}

bool has_kernel(std::string_view domain, std::string_view op_type) {
  return find_kernel_row(domain, op_type) != nullptr;
}

KernelPtr make_kernel(const KernelRequest& request) {
  const onnx::NodeProto& node = *request.node;
  const KernelRow* row = find_kernel_row(node.domain(), node.op_type());
  if (row == nullptr) {
    refuse(request, node.domain().empty() ? "there is no kernel for this operator"
                                          : fmt::format("there is no kernel in domain '{}'", node.domain()));
  }
  return row->make(request);
}

}  // namespace narrow::exec
