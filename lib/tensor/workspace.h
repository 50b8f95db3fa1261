// Memory that one running thread reuses from tensor to tensor and from run to run.
#pragma once

#include <memory>

#include "lib/tensor/tensor.h"

namespace narrow {

/// Hands out tensors whose storage returns here when the last copy is gone, so that a steady run allocates nothing.
/// One Workspace serves one thread at a time; tensors may outlive it.
class Workspace {
 public:
  Workspace();
  ~Workspace();
  Workspace(const Workspace&) = delete;
  Workspace& operator=(const Workspace&) = delete;

  /// Uninitialized elements, aligned to 64 bytes.
  Tensor allocate(DataType type, Shape shape, Layout layout = Layout::kPlain);

  /// Bytes held, in use or free.
  size_t reserved_bytes() const;

 private:
  class Pool;
  std::shared_ptr<Pool> pool_;
};

/// to_layout() into memory of the workspace.
Tensor to_layout(const Tensor& tensor, Layout layout, Workspace& workspace);

}  // namespace narrow
