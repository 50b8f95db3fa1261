#include "lib/exec/batch_parts.h"

#include <algorithm>
#include <cstring>

namespace narrow::exec {
namespace {

bool has_rows(const Tensor& tensor) {
  return tensor.rank() > 0 && tensor.layout() == Layout::kPlain && data_type_bits(tensor.type()) >= 8;
}

// Indices [first, first + count) of axis 0.
Tensor rows(const Tensor& tensor, int64_t first, int64_t count) {
  Shape shape = tensor.shape();
  const size_t row_bytes = tensor.byte_size() / static_cast<size_t>(shape[0]);
  shape[0] = count;
  auto owner = std::make_shared<const Tensor>(tensor);
  const std::byte* data = tensor.bytes() + static_cast<size_t>(first) * row_bytes;
  return Tensor(tensor.type(), std::move(shape), Layout::kPlain, std::move(owner), data, /*writable=*/false);
}

}  // namespace

std::unique_ptr<Workspace> SpareWorkspaces::take() {
  const std::lock_guard lock(mutex_);
  if (free_.empty()) return std::make_unique<Workspace>();
  auto workspace = std::move(free_.back());
  free_.pop_back();
  return workspace;
}

void SpareWorkspaces::give_back(std::unique_ptr<Workspace> workspace) {
  const std::lock_guard lock(mutex_);
  free_.push_back(std::move(workspace));
}

size_t sample_count(const std::vector<Tensor>& inputs) {
  const bool have_samples = !inputs.empty() && std::all_of(inputs.begin(), inputs.end(), [&](const Tensor& input) {
    return has_rows(input) && input.shape()[0] == inputs[0].shape()[0];
  });
  return have_samples ? static_cast<size_t>(inputs[0].shape()[0]) : 0;
}

size_t batch_parts(const std::vector<Tensor>& inputs, size_t threads) {
  const size_t samples = sample_count(inputs);
  if (threads < 2) return 1;
  // Waiting for the thread that has a sample more may cost more than the barriers that are saved.
  const size_t longest = (samples + threads - 1) / threads;
  return samples > 0 && samples * 4 >= longest * threads * 3 ? threads : 1;
}

std::vector<Tensor> rows_of_part(const std::vector<Tensor>& inputs, size_t part, size_t parts) {
  const auto samples = static_cast<size_t>(inputs[0].shape()[0]);
  const size_t first = samples * part / parts;
  const size_t end = samples * (part + 1) / parts;
  std::vector<Tensor> result;
  for (const Tensor& input : inputs) {
    result.push_back(rows(input, static_cast<int64_t>(first), static_cast<int64_t>(end - first)));
  }
  return result;
}

std::vector<Tensor> join_parts(const std::vector<std::vector<Tensor>>& parts, Workspace& workspace) {
  std::vector<Tensor> results;
  for (size_t i = 0; i < parts[0].size(); ++i) {
    Shape shape = parts[0][i].shape();
    shape[0] = 0;
    for (const auto& part : parts) shape[0] += part[i].shape()[0];
    Tensor result = workspace.allocate(parts[0][i].type(), std::move(shape));
    std::byte* to = result.mutable_bytes();
    for (const auto& part : parts) {
      std::memcpy(to, part[i].bytes(), part[i].byte_size());
      to += part[i].byte_size();
    }
    results.push_back(std::move(result));
  }
  return results;
}

}  // namespace narrow::exec
