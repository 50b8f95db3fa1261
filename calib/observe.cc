#include "calib/observe.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <exception>
#include <mutex>
#include <set>
#include <unordered_map>

#include "calib/histogram_kernels.h"
#include "lib/base/error.h"
#include "lib/base/parallel.h"
#include "lib/tensor/workspace.h"

namespace narrow::calib {
namespace {

/// Histograms take finite values only; a tensor with others is rare enough to be copied without them.
std::vector<float> finite_values(std::span<const float> values) {
  std::vector<float> result;
  std::copy_if(values.begin(), values.end(), std::back_inserter(result), [](float x) { return std::isfinite(x); });
  return result;
}

class Observer : public exec::TensorListener {
 public:
  Observer(const ObserveOptions& options, const exec::Program& program) : watch_(options.watch) {
    inputs_.insert(program.input_names().begin(), program.input_names().end());
    for (const std::string& name : options.values) statistics_[name];
    for (const std::string& name : options.with_histogram) {
      const auto found = statistics_.find(name);
      ensure(found != statistics_.end(), "a value with a histogram is an observed value");
      found->second.histogram.emplace();
    }
  }

  /// Inputs are seen here, as the feed holds them, whether or not the program tells of them.
  void on_feed(int64_t sample, const exec::Feed& feed) {
    sample_ = sample;
    for (const auto& [name, tensor] : feed) observe(name, tensor);
  }

  void on_value(const std::string& value, const Tensor& tensor) override {
    if (!inputs_.contains(value)) observe(value, tensor);
    if (watch_ != nullptr) watch_->on_value(sample_, value, tensor);
  }

  void on_outputs(const std::vector<Tensor>& outputs) {
    if (watch_ != nullptr) watch_->on_outputs(sample_, outputs);
  }

  void merge_into(Observations& all) const {
    for (const auto& [name, statistics] : statistics_) {
      const auto [entry, is_new] = all.values.try_emplace(name, statistics);
      if (!is_new) entry->second.merge(statistics);
    }
  }

 private:
  void observe(const std::string& value, const Tensor& tensor) {
    const auto found = statistics_.find(value);
    if (found != statistics_.end()) found->second.add(tensor);
  }

  RunWatch* watch_;
  int64_t sample_ = 0;
  std::set<std::string> inputs_;
  std::unordered_map<std::string, ValueStatistics> statistics_;
};

/// What the workers share: which sample is next, how far they are, and the failure of the earliest sample. Samples are
/// handed out in order and a started one is finished, so the earliest failure is the same for any number of workers.
class SampleQueue {
 public:
  explicit SampleQueue(const ObserveOptions& options) : options_(options) {}

  /// Position in options.samples, or -1 when none is left or one has failed.
  int64_t next() {
    if (failed_.load()) return -1;
    const int64_t position = next_.fetch_add(1);
    return position < static_cast<int64_t>(options_.samples.size()) ? position : -1;
  }

  void report_done() {
    const std::lock_guard lock(mutex_);
    ++done_;
    if (options_.progress) options_.progress("observe", done_, static_cast<int64_t>(options_.samples.size()));
  }

  void report_failure(int64_t position, std::exception_ptr failure) {
    const std::lock_guard lock(mutex_);
    failed_.store(true);
    if (failure_ && failed_position_ < position) return;
    failed_position_ = position;
    failure_ = std::move(failure);
  }

  void rethrow_failure() const {
    if (failure_) std::rethrow_exception(failure_);
  }

 private:
  const ObserveOptions& options_;
  std::atomic<int64_t> next_{0};
  std::atomic<bool> failed_{false};
  std::mutex mutex_;
  int64_t done_ = 0;
  int64_t failed_position_ = 0;
  std::exception_ptr failure_;
};

void run_sample(const exec::Program& program, const DataReader& data, int64_t index, Observer& observer,
                Workspace& workspace) {
  check_interruption();
  const exec::Feed feed = in_context(fmt::format("sample {}", index), [&] { return data.read(index); });
  observer.on_feed(index, feed);
  in_context(fmt::format("sample {}: {}", index, data.source(index)), [&] {
    const std::vector<Tensor> outputs = program.run(feed, workspace, {.listener = &observer});
    observer.on_outputs(outputs);
  });
}

}  // namespace

void ValueStatistics::add(const Tensor& tensor) {
  const Tensor real = to_float32(tensor);
  const auto values = real.data<float>();
  const Extremes seen = find_extremes(values);
  not_finite += seen.not_finite;
  const auto finite = static_cast<int64_t>(values.size()) - seen.not_finite;
  if (finite == 0) return;
  min = count == 0 ? seen.min : std::min(min, seen.min);
  max = count == 0 ? seen.max : std::max(max, seen.max);
  count += finite;
  if (!histogram) return;
  if (seen.not_finite == 0) {
    histogram->add(values, seen);
  } else {
    histogram->add(finite_values(values), seen);
  }
}

void ValueStatistics::merge(const ValueStatistics& other) {
  not_finite += other.not_finite;
  if (other.count > 0) {
    min = count == 0 ? other.min : std::min(min, other.min);
    max = count == 0 ? other.max : std::max(max, other.max);
    count += other.count;
  }
  ensure(histogram.has_value() == other.histogram.has_value(), "statistics of one value have the same parts");
  if (histogram) histogram->merge(*other.histogram);
}

Observations observe(const exec::Program& program, const DataReader& data, const ObserveOptions& options) {
  for (const int64_t index : options.samples) ensure(index >= 0 && index < data.size(), "a sample is one of the data");
  const auto samples = static_cast<int64_t>(options.samples.size());
  const auto workers = static_cast<int>(std::clamp<int64_t>(samples, 1, std::max(options.workers, 1)));
  std::vector<Observer> observers(static_cast<size_t>(workers), Observer(options, program));
  SampleQueue queue(options);
  run_workers(workers, [&](int worker) {
    Workspace workspace;
    for (int64_t position = queue.next(); position >= 0; position = queue.next()) {
      try {
        run_sample(program, data, options.samples[static_cast<size_t>(position)],
                   observers[static_cast<size_t>(worker)], workspace);
        queue.report_done();
      } catch (...) {
        queue.report_failure(position, std::current_exception());
      }
    }
  });
  queue.rethrow_failure();
  Observations result{.values = {}, .samples = samples};
  for (const Observer& observer : observers) observer.merge_into(result);
  return result;
}

}  // namespace narrow::calib
