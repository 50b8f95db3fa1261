#include "lib/tensor/workspace.h"

#include <map>
#include <mutex>
#include <new>

#include "lib/tensor/memory.h"

namespace narrow {

// A tensor made here may end on another thread (an output handed to the caller), hence the mutex; it is never contended
// in a run.
class Workspace::Pool : public std::enable_shared_from_this<Workspace::Pool> {
 public:
  Pool() = default;
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;
  ~Pool() {
    for (const auto& [bytes, block] : free_) ::operator delete(block, kTensorAlignment);
  }

  std::shared_ptr<const void> take(size_t bytes) {
    const size_t rounded = round_up(bytes);
    std::byte* block = take_free(rounded);
    if (block == nullptr) block = allocate(rounded);
    return {block, [pool = shared_from_this(), rounded](std::byte* p) { pool->give_back(rounded, p); }};
  }

  size_t reserved_bytes() const {
    const std::lock_guard lock(mutex_);
    return reserved_;
  }

 private:
  std::byte* allocate(size_t rounded) {
    try {
      return allocate_tensor(rounded);
    } catch (...) {
      const std::lock_guard lock(mutex_);
      reserved_ -= rounded;
      throw;
    }
  }

  // Eight sizes per power of two: a block fits its tensor within 12.5 %, and near sizes share blocks.
  static size_t round_up(size_t bytes) {
    size_t step = 64;
    while (step * 16 < bytes) step *= 2;
    return (bytes + step - 1) / step * step + (bytes == 0 ? step : 0);
  }

  std::byte* take_free(size_t rounded) {
    const std::lock_guard lock(mutex_);
    const auto found = free_.find(rounded);
    if (found == free_.end()) {
      reserved_ += rounded;
      return nullptr;
    }
    std::byte* block = found->second;
    free_.erase(found);
    return block;
  }

  void give_back(size_t rounded, std::byte* block) {
    const std::lock_guard lock(mutex_);
    free_.emplace(rounded, block);
  }

  mutable std::mutex mutex_;
  std::multimap<size_t, std::byte*> free_;
  size_t reserved_ = 0;
};

Workspace::Workspace() : pool_(std::make_shared<Pool>()) {}
Workspace::~Workspace() = default;

Tensor Workspace::allocate(DataType type, Shape shape, Layout layout) {
  const size_t bytes = storage_bytes(type, element_count(shape));
  auto storage = pool_->take(bytes);
  const auto* data = static_cast<const std::byte*>(storage.get());
  return Tensor(type, std::move(shape), layout, std::move(storage), data, /*writable=*/true);
}

size_t Workspace::reserved_bytes() const {
  return pool_->reserved_bytes();
}

}  // namespace narrow
