#include "calib/state_feeds.h"

#include <fmt/format.h>

#include <deque>
#include <iterator>
#include <map>
#include <mutex>
#include <optional>
#include <utility>

#include "lib/base/error.h"
#include "lib/base/progress.h"

namespace narrow::calib {
namespace {

// Workers read neighbouring samples in no certain order: who comes second must not begin from far before.
constexpr size_t kRecent = 8;

class StateFeeds : public DataReader {
 public:
  StateFeeds(std::unique_ptr<DataReader> reader, std::function<exec::Program()> compile,
             std::vector<exec::StateLink> links, int64_t most_bytes)
      : reader_(std::move(reader)), compile_(std::move(compile)), links_(std::move(links)), most_bytes_(most_bytes) {}

  int64_t size() const override { return reader_->size(); }
  int64_t samples() const override { return reader_->samples(); }
  std::string source(int64_t index) const override { return reader_->source(index); }
  std::vector<std::filesystem::path> files() const override { return reader_->files(); }
  exec::Feed read_stateless(int64_t index) const override { return reader_->read(index); }

  exec::Feed read(int64_t index) const override {
    exec::Feed feed = reader_->read(index);
    const std::lock_guard lock(mutex_);
    return state_before(index).complete(std::move(feed));
  }

 private:
  /// What the samples before `index` leave to it.
  exec::State state_before(int64_t index) const {
    if (!program_) {
      exec::Program program = compile_();
      first_ = exec::State(program, links_);
      program_ = std::move(program);
    }
    const std::pair<int64_t, exec::State> known = nearest(index);
    exec::State state = known.second;
    for (int64_t at = known.first; at < index; ++at) {
      check_interruption();
      const exec::Feed feed = state.complete(reader_->read(at));
      in_context(fmt::format("the state that sample {} leaves: {}", at, reader_->source(at)),
                 [&] { state.update(program_->run(feed, workspace_)); });
      keep(at + 1, state);
    }
    return state;
  }

  /// The last known state that is not behind `index`, and the sample that it is for.
  std::pair<int64_t, exec::State> nearest(int64_t index) const {
    std::pair<int64_t, exec::State> best{0, first_};
    const auto behind = kept_.upper_bound(index);
    if (behind != kept_.begin()) best = *std::prev(behind);
    for (const auto& known : recent_) {
      if (known.first <= index && known.first > best.first) best = known;
    }
    return best;
  }

  void keep(int64_t index, const exec::State& state) const {
    recent_.emplace_back(index, state);
    if (recent_.size() > kRecent) recent_.pop_front();
    if (index % stride_ != 0 || !kept_.emplace(index, state).second) return;
    kept_bytes_ += state.byte_size();
    while (kept_bytes_ > most_bytes_ && !kept_.empty()) {
      stride_ *= 2;
      std::erase_if(kept_, [&](const auto& known) {
        const bool drop = known.first % stride_ != 0;
        if (drop) kept_bytes_ -= known.second.byte_size();
        return drop;
      });
    }
  }

  std::unique_ptr<DataReader> reader_;
  std::function<exec::Program()> compile_;
  std::vector<exec::StateLink> links_;
  int64_t most_bytes_;
  mutable std::mutex mutex_;  // of all below
  mutable std::optional<exec::Program> program_;
  mutable Workspace workspace_;
  mutable exec::State first_;
  mutable std::map<int64_t, exec::State> kept_;  // by sample: the multiples of stride_
  mutable int64_t kept_bytes_ = 0;
  mutable int64_t stride_ = 1;
  mutable std::deque<std::pair<int64_t, exec::State>> recent_;
};

}  // namespace

std::unique_ptr<DataReader> with_states(std::unique_ptr<DataReader> reader, std::function<exec::Program()> compile,
                                        std::vector<exec::StateLink> links, int64_t most_bytes) {
  return std::make_unique<StateFeeds>(std::move(reader), std::move(compile), std::move(links), most_bytes);
}

}  // namespace narrow::calib
