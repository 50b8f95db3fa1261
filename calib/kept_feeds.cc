#include "calib/kept_feeds.h"

#include <mutex>
#include <unordered_map>

namespace narrow::calib {
namespace {

int64_t bytes_of(const exec::Feed& feed) {
  int64_t total = 0;
  for (const auto& [name, tensor] : feed) {
    const bool flat = tensor.type() != DataType::kString && tensor.type() != DataType::kSequence;
    if (flat) total += static_cast<int64_t>(tensor.byte_size());
  }
  return total;
}

class KeptFeeds : public DataReader {
 public:
  KeptFeeds(std::unique_ptr<DataReader> reader, int64_t most_bytes)
      : reader_(std::move(reader)), left_bytes_(most_bytes) {}

  int64_t size() const override { return reader_->size(); }
  int64_t samples() const override { return reader_->samples(); }
  std::string source(int64_t index) const override { return reader_->source(index); }
  std::vector<std::filesystem::path> files() const override { return reader_->files(); }

  exec::Feed read(int64_t index) const override {
    {
      const std::lock_guard lock(mutex_);
      const auto found = kept_.find(index);
      if (found != kept_.end()) return found->second;
    }
    exec::Feed feed = reader_->read(index);
    const int64_t bytes = bytes_of(feed);
    const std::lock_guard lock(mutex_);
    if (bytes <= left_bytes_ && kept_.emplace(index, feed).second) left_bytes_ -= bytes;
    return feed;
  }

 private:
  std::unique_ptr<DataReader> reader_;
  mutable std::mutex mutex_;
  mutable int64_t left_bytes_;
  mutable std::unordered_map<int64_t, exec::Feed> kept_;
};

}  // namespace

std::unique_ptr<DataReader> keep_feeds(std::unique_ptr<DataReader> reader, int64_t most_bytes) {
  return std::make_unique<KeptFeeds>(std::move(reader), most_bytes);
}

}  // namespace narrow::calib
