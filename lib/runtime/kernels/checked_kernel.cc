#include "lib/runtime/kernels/checked_kernel.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "lib/runtime/kernels/linear_kernels.h"

namespace narrow::runtime {
namespace {

constexpr double kRealTolerance = 1e-4;

KernelCheck compare_steps(const Tensor& actual, const Tensor& expected) {
  KernelCheck found;
  const bool is_signed = actual.type() == DataType::kInt8;
  for (int64_t i = 0; i < actual.size(); ++i) {
    const uint8_t a = bytes_of(actual)[i];
    const uint8_t b = bytes_of(expected)[i];
    const int steps = is_signed ? std::abs(static_cast<int8_t>(a) - static_cast<int8_t>(b)) : std::abs(a - b);
    found.unequal += steps != 0 ? 1 : 0;
    found.beyond_one += steps > 1 ? 1 : 0;
    found.most = std::max<int64_t>(found.most, steps);
  }
  return found;
}

KernelCheck compare_reals(const Tensor& actual, const Tensor& expected) {
  KernelCheck found;
  const auto a = actual.data<float>();
  const auto b = expected.data<float>();
  double largest = 0;
  for (const float value : b) largest = std::max(largest, static_cast<double>(std::abs(value)));
  for (size_t i = 0; i < a.size(); ++i) {
    const double difference = std::abs(static_cast<double>(a[i]) - b[i]);
    found.unequal += difference != 0 ? 1 : 0;
    found.beyond_one += difference > kRealTolerance * largest ? 1 : 0;
  }
  return found;
}

class CheckedKernel : public exec::Kernel {
 public:
  CheckedKernel(exec::KernelPtr fast, exec::KernelPtr reference, std::shared_ptr<KernelChecks> checks, size_t row)
      : fast_(std::move(fast)), reference_(std::move(reference)), checks_(std::move(checks)), row_(row) {}

  void run(std::span<Tensor> inputs, std::span<Tensor> outputs, Workspace& workspace) const override {
    // Kernels may compute into inputs that are theirs; held twice, these are nobody's.
    std::vector<Tensor> held(inputs.begin(), inputs.end());
    std::vector<Tensor> plain;
    for (const Tensor& input : held) plain.push_back(input.rank() >= 3 ? to_layout(input, Layout::kPlain) : input);
    std::vector<Tensor> expected(outputs.size());
    const bool same_layout = fast_->layout_use() == reference_->layout_use();
    reference_->run(same_layout ? std::span<Tensor>(held) : std::span<Tensor>(plain), expected, workspace);
    fast_->run(inputs, outputs, workspace);
    checks_->compare(row_, outputs[0], expected[0]);
  }
  exec::LayoutUse layout_use() const override { return fast_->layout_use(); }
  std::string implementation() const override { return fast_->implementation(); }

 private:
  exec::KernelPtr fast_;
  exec::KernelPtr reference_;
  std::shared_ptr<KernelChecks> checks_;
  size_t row_;
};

}  // namespace

size_t KernelChecks::add_row(const std::string& node, const std::string& op_type) {
  const std::lock_guard lock(mutex_);
  rows_.push_back({.node = node, .op_type = op_type});
  return rows_.size() - 1;
}

void KernelChecks::compare(size_t row, const Tensor& actual, const Tensor& expected) {
  const Tensor a = to_layout(actual, Layout::kPlain);
  const Tensor b = to_layout(expected, Layout::kPlain);
  const KernelCheck found = a.type() == DataType::kFloat32 ? compare_reals(a, b) : compare_steps(a, b);
  const std::lock_guard lock(mutex_);
  KernelCheck& sum = rows_[row];
  sum.elements += a.size();
  sum.unequal += found.unequal;
  sum.beyond_one += found.beyond_one;
  sum.most = std::max(sum.most, found.most);
}

std::vector<KernelCheck> KernelChecks::rows() const {
  const std::lock_guard lock(mutex_);
  return rows_;
}

std::vector<KernelCheck> results_of(const KernelChecks& checks) {
  return checks.rows();
}

exec::KernelPtr make_checked(exec::KernelPtr fast, exec::KernelPtr reference, std::shared_ptr<KernelChecks> checks,
                             size_t row) {
  return std::make_unique<CheckedKernel>(std::move(fast), std::move(reference), std::move(checks), row);
}

}  // namespace narrow::runtime
