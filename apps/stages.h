// Stages of a command: each is timed, told to the log and a point where an interruption is heeded.
#pragma once

#include <spdlog/spdlog.h>

#include <string>
#include <utility>
#include <vector>

#include "apps/progress.h"
#include "lib/base/progress.h"
#include "lib/report/report.h"

namespace narrow::apps {

class Stages {
 public:
  explicit Stages(ProgressStyle style) : line_(style) {}

  /// body(), its time recorded under `name`.
  template <class Body>
  auto run(const std::string& name, Body&& body) {
    check_interruption();
    const Timed timed(*this, name);
    return std::forward<Body>(body)();
  }

  Progress progress() { return line_.progress(); }
  const std::vector<report::StageTime>& times() const { return times_; }
  /// Seconds of the stage, 0 if it did not run.
  double seconds(const std::string& name) const;

 private:
  class Timed {
   public:
    Timed(Stages& stages, const std::string& name) : stages_(stages), name_(name) {}
    ~Timed();
    Timed(const Timed&) = delete;
    Timed& operator=(const Timed&) = delete;

   private:
    Stages& stages_;
    const std::string& name_;
    Stopwatch watch_;
  };

  ProgressLine line_;
  std::vector<report::StageTime> times_;
};

}  // namespace narrow::apps
