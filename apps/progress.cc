#include "apps/progress.h"

#include <fmt/format.h>
#include <unistd.h>

#include "apps/output.h"

namespace narrow::apps {
namespace {

constexpr double kTerminalInterval = 0.1;  // seconds between redraws
constexpr double kLineInterval = 5;        // seconds between plain lines
constexpr std::string_view kWipeLine = "\r\x1b[K";

std::string progress_text(std::string_view stage, int64_t done, int64_t total) {
  if (total <= 0) return fmt::format("{}: {}", stage, done);
  return fmt::format("{}: {} of {} ({} %)", stage, done, total, 100 * done / total);
}

}  // namespace

ProgressStyle progress_style_of_stderr() {
  return ::isatty(STDERR_FILENO) == 1 ? ProgressStyle::kTerminal : ProgressStyle::kLines;
}

ProgressLine::ProgressLine(ProgressStyle style) : style_(style) {}

ProgressLine::~ProgressLine() {
  clear();
}

Progress ProgressLine::progress() {
  if (style_ == ProgressStyle::kNone) return [](std::string_view, int64_t, int64_t) {};
  return [this](std::string_view stage, int64_t done, int64_t total) { show(stage, done, total); };
}

void ProgressLine::clear() {
  if (drawn_) print_error_text(kWipeLine);
  drawn_ = false;
}

void ProgressLine::show(std::string_view stage, int64_t done, int64_t total) {
  const double now = since_start_.seconds();
  const double interval = style_ == ProgressStyle::kTerminal ? kTerminalInterval : kLineInterval;
  const bool new_stage = style_ == ProgressStyle::kTerminal && stage != stage_;
  if (!new_stage && now - last_shown_ < interval) return;
  last_shown_ = now;
  stage_ = stage;
  const std::string text = progress_text(stage, done, total);
  if (style_ == ProgressStyle::kTerminal) {
    print_error_text(std::string(kWipeLine) + text);
    drawn_ = true;
  } else {
    print_error_text("narrow: " + text + "\n");
  }
}

}  // namespace narrow::apps
