// Progress on stderr: one line redrawn on a terminal, a plain line every few seconds otherwise.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "lib/base/progress.h"

namespace narrow::apps {

enum class ProgressStyle { kNone, kLines, kTerminal };

/// kTerminal if stderr is one.
ProgressStyle progress_style_of_stderr();

/// Draws what the Progress functions that it hands out are told; wipes its line when it goes.
class ProgressLine {
 public:
  explicit ProgressLine(ProgressStyle style);
  ~ProgressLine();
  ProgressLine(const ProgressLine&) = delete;
  ProgressLine& operator=(const ProgressLine&) = delete;

  /// Valid as long as this object.
  Progress progress();
  /// Wipes the line, so that other text can be written.
  void clear();

 private:
  void show(std::string_view stage, int64_t done, int64_t total);

  ProgressStyle style_;
  bool drawn_ = false;
  std::string stage_;
  Stopwatch since_start_;
  double last_shown_ = 0;
};

}  // namespace narrow::apps
