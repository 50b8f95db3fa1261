// A small bounded cache, least recently used first out.
#pragma once

#include <list>
#include <memory>
#include <mutex>
#include <utility>

#include "lib/tensor/shape.h"

namespace narrow::onednn {

/// What a primitive is made for. oneDNN plans blocking for the thread count at creation and runs with that many, so the
/// count belongs to the key.
struct PrimitiveKey {
  Shape source;
  Shape other;  // second operand of a matrix product
  int threads = 1;
  bool operator==(const PrimitiveKey&) const = default;
};

/// Thread-safe. Values are shared: one that is pushed out lives on until its last user is done.
template <class Key, class Value>
class PrimitiveCache {
 public:
  explicit PrimitiveCache(size_t capacity = 16) : capacity_(capacity) {}

  /// The value of `key`, made by make() if it is not there. Makes one at a time, so that threads that start on the same
  /// shape together do not each make their own.
  template <class Make>
  std::shared_ptr<const Value> get(const Key& key, Make&& make) {
    const std::lock_guard lock(mutex_);
    for (auto entry = entries_.begin(); entry != entries_.end(); ++entry) {
      if (entry->first != key) continue;
      entries_.splice(entries_.begin(), entries_, entry);
      return entry->second;
    }
    std::shared_ptr<const Value> value = std::forward<Make>(make)();
    entries_.emplace_front(key, value);
    if (entries_.size() > capacity_) entries_.pop_back();
    return value;
  }

  /// The value last used; null before the first.
  std::shared_ptr<const Value> latest() const {
    const std::lock_guard lock(mutex_);
    return entries_.empty() ? nullptr : entries_.front().second;
  }

  size_t size() const {
    const std::lock_guard lock(mutex_);
    return entries_.size();
  }

 private:
  const size_t capacity_;
  mutable std::mutex mutex_;
  std::list<std::pair<Key, std::shared_ptr<const Value>>> entries_;
};

}  // namespace narrow::onednn
